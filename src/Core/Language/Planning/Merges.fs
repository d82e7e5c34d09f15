// Merges by name: the selected policies in groups, one per combination of the axes that `across` does not name.
module internal PeftAlign.Core.Language.Merges

open System
open PeftAlign.Core.Language

/// A parent's value along an axis of `across`.
let private along (facts: Facts) axis =
    match axis with
    | "model" -> facts.Model
    | "dataset" -> String.Join("+", facts.Datasets)
    | "method" -> facts.Chain
    | "adapter" -> String.Join("+", facts.Adapters)
    | "seed" -> facts.Seed |> Option.map string |> Option.defaultValue ""
    | "stage" -> string facts.Stage
    | "merge" -> facts.Merge
    | _ -> facts.Row

/// What parents must share. An adapter is an axis only where a row makes it one; else it belongs to its method.
let private rest across (policy: Policy) =
    let facts = policy.Facts

    let unless axis value =
        if List.contains axis across then "" else value

    // Stages of one chain share how it begins.
    let soFar (chain: string) =
        if List.contains "stage" across then
            (chain.Split '>')[0]
        else
            chain

    (unless "model" facts.Model, unless "dataset" (along facts "dataset"), unless "method" (soFar facts.Chain)),
    (unless "adapter" (soFar facts.AdapterAxis), unless "seed" (along facts "seed"), unless "merge" facts.Merge),
    (unless "stage" (string facts.Stage), unless "method" facts.Variant, facts.Point)

/// Whether a value of a selection means this parent's.
let private isListed axis value (facts: Facts) listed =
    listed = value
    || axis = "method"
       && (listed = Selections.exactly facts.Chain || List.contains listed facts.Methods)

/// Parents stand in the order in which the selection lists their values; by name where it lists none.
let private order (row: MergeRow) (policy: Policy) =
    row.Across
    |> List.map (fun axis ->
        let value = along policy.Facts axis

        let place =
            row.Of.Values axis
            |> Option.bind (List.tryFindIndex (isListed axis value policy.Facts))
            |> Option.defaultValue Int32.MaxValue

        struct (place, value))

let private same (values: 'T list) =
    match List.distinct values with
    | [ one ] -> Some one
    | _ -> None

let private facts (row: MergeRow) (at: Point option) (parents: Policy list) : Facts =
    let all (f: Facts -> 'T list) =
        parents |> List.collect (fun parent -> f parent.Facts) |> List.distinct

    {
        Kind = "merged"
        Model =
            parents
            |> List.map _.Facts.Model
            |> same
            |> Option.orElse row.BaseModel
            |> Option.defaultValue ""
        Datasets = all _.Datasets
        Methods = all _.Methods
        Chain = parents |> List.map _.Facts.Chain |> List.distinct |> String.concat "+"
        Adapters = all _.Adapters
        // For stages of one chain it grows with the stage, as the chain does.
        AdapterAxis =
            match parents |> List.map _.Facts.AdapterAxis |> List.distinct with
            | [ one ] -> one
            | _ when List.contains "adapter" row.Across -> ""
            | several -> String.concat "+" several
        Seed = parents |> List.map _.Facts.Seed |> same |> Option.flatten
        Stage = 1
        IsLast = true
        Merge = row.Name
        Row = ""
        Variant = parents |> List.map _.Facts.Variant |> same |> Option.defaultValue ""
        // Merges of merges stand where those stand.
        Point =
            at
            |> Option.map Point.text
            |> Option.orElse (parents |> List.map _.Facts.Point |> same)
            |> Option.defaultValue ""
        Tags = row.Tags @ all _.Tags |> List.distinct
    }

/// What distinguishes one merge of the row from the others; merged policies are compared by it.
let private label (row: MergeRow) (parents: Policy list) (facts: Facts) =
    let unless axis value =
        if List.contains axis row.Across then "" else value

    [
        row.Name
        facts.Model
        unless "dataset" (String.Join("+", facts.Datasets))
        unless "method" facts.Chain
        unless "adapter" facts.AdapterAxis
        unless "merge" parents.Head.Facts.Merge
        [ facts.Variant; facts.Point ] |> List.filter ((<>) "") |> String.concat ";"
    ]
    |> List.filter ((<>) "")
    |> String.concat "/"

/// Whether the policy's training ends there; of a merge, whether each parent's does.
let rec private endsAt point (policy: Policy) =
    match policy.Origin with
    | Stage run ->
        Methods.maxSteps run.Setting
        |> Option.exists (fun last -> Point.text (Step last) = point)
    | MergedFrom(_, parents, _) -> parents |> List.forall (endsAt point)
    | Declared _
    | Chosen _ -> false

/// The point on the way at which a merged policy's parents were taken; empty for the end of them all.
let onTheWay (policy: Policy) =
    if endsAt policy.Facts.Point policy then
        ""
    else
        policy.Facts.Point

/// Where an evaluation of the policy stands along a training: what its label adds, and the axis. A merge at the last step is both
/// the merge of the ends and the last point of a curve.
let stands (policy: Policy) (point: Point option) =
    match point |> Option.map Point.text, policy.Facts.Point with
    | Some at, _ -> [ "@" + at, at ]
    | None, at when at <> onTheWay policy -> [ "", ""; "@" + at, at ]
    | None, at -> [ "", at ]

/// The first parameter whose list has another length than there are parents, with its length. A list of filters is no list of values.
let private uneven (row: MergeRow) (parents: Policy list) =
    let isCase item =
        match item with
        | Map entries -> entries |> List.exists (fun (key, _) -> key = "value")
        | _ -> false

    let isPerModel name =
        row.Bound.Contract.Schema.Options
        |> Seq.exists (fun option -> option.Name = name && option.PerModel)

    match row.Bound.Options with
    | Map options ->
        options
        |> List.tryPick (fun (name, value) ->
            match value with
            | List items when
                items.Length <> parents.Length
                && isPerModel name
                && not (List.exists isCase items)
                ->
                Some(name, items.Length)
            | _ -> None)
    | _ -> None

/// Why these parents cannot be merged by this row.
let private unfit (row: MergeRow) (parents: Policy list) =
    let schema = row.Bound.Contract.Schema
    let range = Interval.parse (schema.Inputs)
    let names = parents |> List.map Policies.label |> String.concat ", "
    let axes = String.Join(", ", row.Across)

    let ambiguous =
        parents
        |> List.countBy (fun parent -> row.Across |> List.map (along parent.Facts))
        |> List.exists (fun (_, count) -> count > 1)

    if parents.Length < 2 then
        Some $"merge '{row.Name}' across {axes} finds one parent alone: {names}; a merge takes at least two"
    elif not (Interval.contains (float parents.Length) range) then
        Some
            $"merge strategy '{schema.Name}' takes {range.Written} models and merge '{row.Name}' gathers {parents.Length}: {names}"
    elif ambiguous then
        Some
            $"merge '{row.Name}' across {axes} gathers parents that differ in none of these axes: {names}; name one more axis or select fewer"
    elif (parents |> List.map _.Facts.Model |> same).IsNone && row.BaseModel.IsNone then
        Some $"the parents of merge '{row.Name}' have no common base: {names}; name one by base_model"
    else
        uneven row parents
        |> Option.map (fun (parameter, count) ->
            $"merge '{row.Name}' gives {count} values of {parameter} for {parents.Length} parents: {names}; give one value for all, or one for each in this order")

/// The row's merges as policies; none, and a fault, where a group does not fit.
let groups (faults: Faults) (row: MergeRow) (at: Point option) (selected: Policy list) : Policy list =
    let grouped =
        selected
        |> List.groupBy (rest row.Across)
        |> List.map (fun (_, parents) -> parents |> List.sortBy (order row))

    match grouped |> List.tryPick (unfit row) with
    | Some why ->
        faults.Add(row.Mark, row.Path, why)
        []
    | None ->
        [
            for parents in grouped do
                let facts = facts row at parents

                {
                    Facts = facts
                    Label = label row parents facts
                    Origin = MergedFrom(row, parents, at)
                }
        ]

/// What a merge of parents over these was trained over: what all of them share.
let over (row: MergeRow) (parents: string list list) =
    if row.Base = "w16" then
        [ "" ]
    else
        parents
        |> List.reduce (fun some others -> some |> List.filter (fun one -> List.contains one others))

/// Why differences from one base cannot be measured where parents were trained over different quantisations of it.
let apart (row: MergeRow) (parents: (Policy * string list) list) =
    let isMeasured = row.Bound.Contract.Schema.Traits |> Seq.contains "base-origin"

    let describe (parent, over) =
        let bases =
            match over with
            | [] -> "several of them"
            | _ ->
                over
                |> List.map (fun one -> if one = "" then "it as it is" else one)
                |> String.concat " or "

        $"{Policies.label parent} over {bases}"

    if isMeasured && (over row (parents |> List.map snd)).IsEmpty then
        let each = parents |> List.map describe |> String.concat ", "

        Some
            $"merge '{row.Name}' measures differences from the parents' common base, and they were trained over different quantisations of it: {each}; give base: w16, or select parents over one of them"
    else
        None
