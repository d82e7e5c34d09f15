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

/// What parents must share. An adapter belongs to its method where no row makes it an axis, so methods may bring their own.
let private rest across (policy: Policy) =
    let facts = policy.Facts

    let unless axis value =
        if List.contains axis across then "" else value

    let adapter =
        if List.contains "method" across then
            ""
        else
            unless "adapter" (along facts "adapter")

    (unless "model" facts.Model, unless "dataset" (along facts "dataset"), unless "method" facts.Chain, adapter),
    (unless "seed" (along facts "seed"), unless "merge" facts.Merge, unless "stage" (string facts.Stage)),
    (if List.contains "method" across then "" else facts.Variant)

/// Parents stand in the order in which the selection lists their values; by name where it lists none.
let private order (row: MergeRow) (policy: Policy) =
    row.Across
    |> List.map (fun axis ->
        let value = along policy.Facts axis

        let place =
            row.Of.Values axis
            |> Option.bind (List.tryFindIndex ((=) value))
            |> Option.defaultValue Int32.MaxValue

        struct (place, value))

let private same (values: 'T list) =
    match List.distinct values with
    | [ one ] -> Some one
    | _ -> None

let private facts (row: MergeRow) (parents: Policy list) : Facts =
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
        Seed = parents |> List.map _.Facts.Seed |> same |> Option.flatten
        Stage = 1
        IsLast = true
        Merge = row.Name
        Row = ""
        Variant = parents |> List.map _.Facts.Variant |> same |> Option.defaultValue ""
        Tags = row.Tags @ all _.Tags |> List.distinct
    }

/// What distinguishes one merge of the row from its sisters.
let private label (row: MergeRow) (facts: Facts) =
    let unless axis value =
        if List.contains axis row.Across then "" else value

    let adapters =
        if List.contains "method" row.Across || facts.Adapters.Length > 1 then
            ""
        else
            unless "adapter" (String.Join("+", facts.Adapters))

    [
        row.Name
        facts.Model
        unless "dataset" (String.Join("+", facts.Datasets))
        unless "method" facts.Chain
        adapters
        facts.Variant
    ]
    |> List.filter ((<>) "")
    |> String.concat "/"

let private fits (faults: Faults) (row: MergeRow) (parents: Policy list) =
    let schema = row.Bound.Contract.Schema
    let range = Interval.parse (Given.text schema.Inputs)
    let names = parents |> List.map Policies.label |> String.concat ", "
    let axes = String.Join(", ", row.Across)

    let ambiguous =
        parents
        |> List.countBy (fun parent -> row.Across |> List.map (along parent.Facts))
        |> List.exists (fun (_, count) -> count > 1)

    if parents.Length < 2 then
        faults.Add(
            row.Mark,
            row.Path,
            $"merge '{row.Name}' across {axes} finds one parent alone: {names}; a merge takes at least two"
        )
    elif not (Interval.contains (float parents.Length) range) then
        faults.Add(
            row.Mark,
            row.Path,
            $"merge strategy '{schema.Name}' takes {range.Written} models and merge '{row.Name}' gathers {parents.Length}: {names}"
        )
    elif ambiguous then
        faults.Add(
            row.Mark,
            row.Path,
            $"merge '{row.Name}' across {axes} gathers parents that differ in none of these axes: {names}; name one more axis or select fewer"
        )
    elif (parents |> List.map _.Facts.Model |> same).IsNone && row.BaseModel.IsNone then
        faults.Add(row.Mark, row.Path, $"the parents of merge '{row.Name}' have no common base: {names}; name one by base_model")

/// The row's merges as policies.
let groups (faults: Faults) (row: MergeRow) (selected: Policy list) : Policy list =
    selected
    |> List.groupBy (rest row.Across)
    |> List.map (fun (_, parents) ->
        let parents = parents |> List.sortBy (order row)
        fits faults row parents
        let facts = facts row parents

        {
            Facts = facts
            Label = label row facts
            Origin = MergedFrom(row, parents)
        })
