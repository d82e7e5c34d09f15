// A method's options: the plugin's own and the training options, with what a row sets over them, and the variants of its grids.
module internal PeftAlign.Core.Language.Methods

open System
open PeftAlign.Core.Language

/// One setting of a method and its adapter; Variant is empty, or names the grids' values.
type Setting =
    {
        Variant: string
        Method: Contract
        Options: Tree
        Training: Tree
    }

/// Options of which at most one may be given; what stands nearer (own before inherited) wins.
let private alternatives =
    [
        [ "max_steps"; "epochs"; "num_train_epochs" ]
        [ "warmup_steps"; "warmup_ratio" ]
    ]

let private isGiven (entry: Entry) =
    match entry.Value.Body with
    | Scalar(Scalars.Null, _) -> false
    | _ -> true

/// Drops all but the nearest of several alternatives.
let private settle context path (entries: Entry list) =
    let losers group =
        let given =
            entries
            |> List.filter (fun entry -> List.contains entry.Key group && isGiven entry)

        match given |> List.sortBy _.Distance with
        | first :: rest when not rest.IsEmpty ->
            for other in rest do
                if other.Distance = first.Distance then
                    context.Faults.Add(
                        other.KeyMark,
                        Readers.join path other.Key,
                        $"'{other.Key}' and '{first.Key}' say the same thing in two ways; remove one (null removes an inherited one)"
                    )

            rest
        | _ -> []

    let lost = alternatives |> List.collect losers

    entries
    |> List.filter (fun entry -> not (List.exists (fun other -> obj.ReferenceEquals(other, entry)) lost))

/// A row's `set` stands over the method's own entries.
let private overlay (set: Entry list) (entries: Entry list) =
    let behind = 1 + Nodes.farthest set
    let keys = set |> List.map _.Key |> List.distinct
    let under = entries |> List.filter (fun entry -> not (List.contains entry.Key keys))

    set
    @ (under
       |> List.map (fun entry ->
           { entry with
               Distance = entry.Distance + behind
           }))

let private withDuration options =
    let has name =
        List.exists (fun (key, _) -> key = name) options

    if has "max_steps" || has "epochs" then
        options
    else
        ("epochs", Real 3.0) :: options

/// Rows whose answers are scored are never cut: what would cut them is a fault, never ignored.
let private refuseCuts context path (entries: Entry list) options =
    let refuse keys =
        for entry in entries do
            if List.contains entry.Key keys && isGiven entry then
                context.Faults.Add(
                    entry.KeyMark,
                    Readers.join path entry.Key,
                    $"'{entry.Key}' is {Nodes.describe entry.Value}, but a cut answer has no end to score: rows longer than max_length are left out whole; remove it (null removes an inherited one)"
                )

    if (Tree.find "max_prompt_length" options).IsSome then
        refuse [ "max_prompt_length" ]

    match Tree.find "truncation" options with
    | None
    | Some(Text "keep_start") -> ()
    | Some _ -> refuse [ "truncation"; "truncation_mode" ]

/// Refuses packing for those of the product's methods that do not pack; for a third party's method its job does that.
let private refusePacking context path owner (contract: Contract) (entries: Entry list) options =
    if
        contract.Plugin.IsProduct
        && not (contract.Schema.Traits |> Seq.contains "packs")
    then
        for name in [ "packing"; "eval_packing" ] do
            match Tree.find name options, entries |> List.tryFind (fun entry -> entry.Key = name && isGiven entry) with
            | None, _
            | Some(Flag false), _
            | _, None -> ()
            | _, Some entry ->
                context.Faults.Add(
                    entry.KeyMark,
                    Readers.join path name,
                    $"'{name}' is {Nodes.describe entry.Value}, but {owner} does not pack rows; remove it (null removes an inherited one)"
                )

/// An option that the training loop has only by name is refused for a method that does not declare it.
let private refuseUnused context path owner declared (entries: Entry list) options =
    for name in TrainingOptions.unused declared do
        match Tree.find name options, entries |> List.tryFind (fun entry -> entry.Key = name && isGiven entry) with
        | Some(Real 0.0 | Whole 0L), _
        | _, None -> ()
        | _, Some entry ->
            let hint = Suggest.hint (declared |> List.map _.Name) name
            context.Faults.Add(entry.KeyMark, Readers.join path name, $"{owner} has no option '{name}'{hint}")

/// Every setting of the method's grids; None after a fault.
let bind context path name (method: Method) (set: Entry list) : Setting list option =
    let declared = Parts.schemas method.Contract
    let schemas = TrainingOptions.withMethod (method.Contract.Schema.Traits) declared

    let own = settle context path method.Entries

    let entries =
        if set.IsEmpty then
            own
        else
            settle context path (overlay set own)

    let others = [ "type"; "adapter"; "select"; "tags" ]

    let owner = $"the method '{name}'"

    Options.bind context path owner method.Mark others true schemas entries
    |> Option.map (fun options ->
        refuseUnused context path owner declared entries (Map options)

        refusePacking context path owner method.Contract entries (Map options)

        if method.Contract.Schema.Traits |> Seq.contains "scores" then
            refuseCuts context path entries (Map options)

        Variants.ofOptions schemas (Map(withDuration options))
        |> List.map (fun (variant, options) ->
            let training, own =
                match options with
                | Map entries ->
                    entries
                    |> List.partition (fun (key, _) -> TrainingOptions.isOfLoop declared key)
                | _ -> [], []

            {
                Variant = variant
                Method = method.Contract
                Options = Map own
                Training = Map training
            }))

/// The number of steps, where the method counts in steps.
let maxSteps (setting: Setting) =
    match Tree.find "max_steps" setting.Training with
    | Some(Whole steps) -> Some(int (min steps (int64 Int32.MaxValue)))
    | _ -> None

/// The number of epochs, where it counts in epochs.
let epochs (setting: Setting) =
    match Tree.find "epochs" setting.Training with
    | Some(Real epochs) -> Some epochs
    | _ -> None
