// What a claim lacks before it can be answered: evaluations that the plan has and that are not finished, and names that no policy has. An
// answer from the rest would be one to another question.
module internal PeftAlign.Core.Claims.Gaps

open System
open System.Collections.Generic

let private toldAtMost = 5

/// A planned evaluation without its numbers.
let planned (axes: IReadOnlyDictionary<string, string>) : Observation =
    {
        Axes = axes
        Metric = ""
        IsFirst = false
        Value = nan
        Items = [||]
        HigherIsBetter = true
    }

/// The planned evaluation as each of the claim's numbers that it will give.
let private awaited (claim: Claim) (firsts: IReadOnlyDictionary<string, string>) (axes: IReadOnlyDictionary<string, string>) =
    let none = planned axes
    let benchmark = Observations.benchmark none

    let observation metric isFirst =
        { none with
            Metric = metric
            IsFirst = isFirst
        }

    [|
        for metric in claim.Metrics do
            if metric = benchmark then
                observation
                    (match firsts.TryGetValue benchmark with
                     | true, first -> first
                     | _ -> "")
                    true
            elif metric.StartsWith(benchmark + "/", StringComparison.Ordinal) then
                observation (metric.Substring(benchmark.Length + 1)) false
    |]

let private describe observation =
    let axis name = Observations.axis name observation

    let policy =
        match axis "configuration" with
        | "" ->
            [ "merge"; "model"; "dataset"; "method"; "adapter"; "variant" ]
            |> List.map axis
            |> List.filter ((<>) "")
            |> String.concat "/"
        | name -> name

    let point =
        match axis "checkpoint" with
        | "" -> ""
        | step -> "@" + step

    $"{Observations.benchmark observation} of {policy}{point}"

let rec private termsOf (node: Node) : (Term * Arm[]) seq =
    seq {
        yield node.Term, Array.collect snd node.Points
        yield! node.Parts |> Seq.collect termsOf
    }

let private has (table: Observation[]) axis value (arms: Arm seq) =
    arms
    |> Seq.exists (fun arm ->
        arm.Seeds
        |> Array.exists (fun (_, i) -> Observations.values axis table[i] |> List.contains value))

/// Names that stand in lists; a single name that nobody has would leave no unit at all.
let private listed (filter: Filter) =
    [
        for axis, values in filter do
            match values |> List.filter (fun value -> not (value.StartsWith '!')) with
            | _ :: _ :: _ as wanted -> for value in wanted -> axis, value
            | _ -> ()
    ]

let private nobodys (claim: Claim) (table: Observation[]) (units: Unit[]) =
    let byTerm =
        units
        |> Seq.collect _.Nodes
        |> Seq.collect termsOf
        |> Seq.filter (fun (term, _) -> term.Parts.IsEmpty)
        |> Array.ofSeq

    let armsOf (term: Term) =
        byTerm
        |> Seq.filter (fun (own, _) -> Object.ReferenceEquals(own, term))
        |> Seq.collect snd

    let leaves = claim.Terms |> List.collect Units.leaves

    let classes =
        [
            for each in claim.Each do
                match each with
                | Classes(axis, classes) ->
                    for _, values in classes do
                        for value in values -> axis, value
                | Axis _ -> ()
        ]

    // A term overrides what the claim says of an axis.
    let common =
        claim.Where
        |> List.filter (fun (axis, _) ->
            leaves
            |> List.exists (fun term -> not (List.exists (fst >> (=) axis) term.Where)))

    [
        for term in leaves do
            for axis, value in listed term.Where do
                if not (has table axis value (armsOf term)) then
                    axis, value
        for axis, value in listed common @ classes do
            if not (has table axis value (Seq.collect snd byTerm)) then
                axis, value
    ]
    |> List.distinct

let private some (all: string list) =
    if all.Length <= toldAtMost then
        String.Join(", ", all)
    else
        String.Join(", ", List.truncate toldAtMost all)
        + $" and {all.Length - toldAtMost} more"

/// Why the claim has no verdict; empty where it lacks nothing. Pending: axes of planned evaluations that are not finished.
let find (claim: Claim) modelTags (table: Observation[]) firsts (pending: IReadOnlyDictionary<string, string>[]) : string =
    let all = Array.append table (pending |> Array.collect (awaited claim firsts))

    let units = Units.find claim modelTags all

    let unfinished =
        units
        |> Seq.collect _.Nodes
        |> Seq.collect termsOf
        |> Seq.collect snd
        |> Seq.filter (fun arm -> arm.Seeds |> Array.forall (fun (_, i) -> i >= table.Length))
        |> Seq.map (fun arm -> describe all[snd arm.Seeds[0]])
        |> Seq.distinct
        |> List.ofSeq

    let absent =
        if units.Length = 0 then
            []
        else
            nobodys claim all units |> List.map (fun (axis, value) -> $"{axis} '{value}'")

    [
        if not unfinished.IsEmpty then
            $"not finished: {some unfinished}; finish the run"
        if not absent.IsEmpty then
            $"no policy that the claim speaks of has {some absent}; correct the names, or leave them out"
    ]
    |> String.concat "; "
