// Variants: every combination of the values of grids, with the names by which labels tell them apart.
module internal PeftAlign.Core.Language.Variants

open PeftAlign.Core

/// One variant's entries and labels, where an option that its other options make meaningless has its default: its job would refuse it.
let rec private settled (schemas: OptionSchema list) (labels, entries) =
    let isIdle (option: OptionSchema) =
        match Options.condition option with
        | Some condition ->
            entries
            |> List.exists (fun (name, tree) -> name = option.Name && not (Options.isDefault option tree))
            && not (Options.isMeaningful entries condition)
        | None -> false

    match schemas |> List.tryFind isIdle with
    | None -> labels, entries
    | Some idle ->
        let settle (name, tree) =
            if name <> idle.Name then
                Some(name, tree)
            else
                Options.defaultOf idle
                |> Option.map (fun usual -> name, Options.recorded idle usual)

        // What goes with this option may mean nothing beside its default.
        settled schemas (labels |> List.filter (fun (key: string, _) -> key <> idle.Name), entries |> List.choose settle)

/// Every combination of the grids of one contract's options, with the grids' values by option.
let private combinations (schemas: OptionSchema list) (options: Tree) =
    let shown item =
        match item with
        | Text text -> text
        | Content(path, _) -> path
        | other -> Tree.options other

    let rec expand key tree =
        match tree with
        | Grid items -> items |> List.map (fun item -> [ key, shown item ], item)
        | Recorded inner -> expand key inner |> List.map (fun (label, item) -> label, Recorded item)
        | item -> [ [], item ]

    let combine soFar (key, item) =
        [
            for labels, done' in soFar do
                for label, value in expand key item -> labels @ label, (key, value) :: done'
        ]

    match options with
    | Map entries ->
        entries
        |> List.fold combine [ [], [] ]
        |> List.map (fun (labels, entries) ->
            let labels, entries = settled schemas (labels, List.rev entries)
            labels, Map entries)
    | other -> [ [], other ]

let private labelled found =
    found
    |> List.map (fun (labels, tree) -> labels |> List.map (fun (key, text) -> $"{key}={text}") |> String.concat ",", tree)
    // Values that mean nothing beside one of another option's are one variant there.
    |> List.distinctBy fst

/// Every combination of the grids in a contract's options, each with its label such as "beta=0.1,rank=8"; options without grids are one
/// with "".
let ofOptions (schemas: OptionSchema list) (options: Tree) : (string * Tree) list =
    combinations schemas options |> labelled

/// The same of several contracts whose options go together: each variant has the parts by name.
let ofParts (parts: (string * Options.Bound) list) : (string * Tree) list =
    let combine soFar (part, bound: Options.Bound) =
        let schemas = bound.Contract.Schema.Options |> List.ofSeq

        [
            for labels, done' in soFar do
                for more, options in combinations schemas bound.Options -> labels @ more, done' @ [ part, options ]
        ]

    parts
    |> List.fold combine [ [], [] ]
    |> List.map (fun (labels, parts) -> labels, Map parts)
    |> labelled
