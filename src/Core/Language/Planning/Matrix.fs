// Which policies exist and which of them a selection means. Trained policies come from the rows; merged ones from groups of
// others; both by name, so that rows may refer to each other in any order.
namespace PeftAlign.Core.Language

open System
open System.Collections.Generic

/// Raised inside the planner where a fault has been added and nothing can be made of the value.
exception internal Unplannable

type internal Matrix(lookup: Lookup, context: Context) =
    let manifest = lookup.Manifest

    /// Faults of binding were reported by Check; here it only gives the settings.
    let quiet =
        { context with
            Faults = Faults()
            Uses = ResizeArray()
        }

    let settings = Dictionary<struct (string * string), Methods.Setting list>()

    let settingsOf (row: TrainRow) (method: string) =
        let key = struct ((if row.Set.IsEmpty then "" else row.Path), method)

        match settings.TryGetValue key with
        | true, found -> found
        | _ ->
            let found =
                Methods.bind quiet "" method lookup.Methods[method] row.Set
                |> Option.defaultValue []

            settings.Add(key, found)
            found

    let rows =
        lazy
            [
                for row in manifest.Train ->
                    row, Policies.ofRow lookup settingsOf (row.Seeds |> Option.defaultValue manifest.Seeds) row
            ]

    /// Two rows may make the same policy; with other settings it is another policy and needs a name.
    let joined (rows: (TrainRow * Policy list) list) =
        let first = Dictionary<Policy, TrainRow * Policy>()
        let order = List<Policy>()

        for row, policies in rows do
            let clash =
                policies
                |> List.tryFind (fun policy ->
                    match first.TryGetValue policy with
                    | true, (earlier, _) -> Nodes.written earlier.Set <> Nodes.written row.Set
                    | _ -> false)

            match clash with
            | Some policy ->
                let line = (fst first[policy]).Mark.Line
                let label = Policies.label policy

                context.Faults.Add(
                    row.Mark,
                    row.Path,
                    $"this row makes {label} as the row on line {line} does, with other settings; give one of them a name"
                )
            | None -> ()

            for policy in policies do
                match first.TryGetValue policy with
                | true, (earlier, known) ->
                    // The first stage of one chain may be the whole of another.
                    let facts =
                        { known.Facts with
                            Tags = List.distinct (known.Facts.Tags @ policy.Facts.Tags)
                            IsLast = known.Facts.IsLast || policy.Facts.IsLast
                        }

                    first[policy] <- (earlier, { known with Facts = facts })
                | _ ->
                    first.Add(policy, (row, policy))
                    order.Add policy

        [ for policy in order -> snd first[policy] ]

    let trained = lazy (joined rows.Value)

    let untouched =
        lazy
            [
                for name, model in manifest.Models.Items do
                    match model.Source with
                    | FromRun _ -> ()
                    | _ -> Policies.declared name model None
            ]

    let merged = Dictionary<string, Policy list>()
    let merging = HashSet<string>()

    let mutable empties = context.Faults.Count
    let complained = HashSet<struct (int * int)>()

    /// One fault for each place: a selection is looked at once for each seed.
    let fault (mark: Place) path message =
        if complained.Add(struct (mark.Line, mark.Column)) || mark.Line = 0 then
            context.Faults.Add(mark, path, message)

    /// A policy's values along an axis, as selections write them.
    let values (facts: Facts) axis =
        match axis with
        | "model" -> [ facts.Model ]
        | "dataset" -> facts.Datasets
        | "method" -> Selections.exactly facts.Chain :: facts.Methods
        | "adapter" -> facts.Adapters
        | "seed" -> facts.Seed |> Option.map string |> Option.toList
        | "stage" -> [ string facts.Stage ]
        | "tag" -> facts.Tags
        | "merge" -> [ facts.Merge ]
        | "row" -> [ facts.Row ]
        | _ -> [ facts.Kind ]

    let accepts (selection: Selection) (facts: Facts) =
        selection.Axes
        |> List.forall (fun (axis, accepted) -> values facts axis |> List.exists (fun value -> List.contains value accepted))

    member _.Rows = rows.Value
    member _.Untouched = untouched.Value
    member _.Trained = trained.Value |> List.filter _.Facts.IsLast

    member this.Merged = manifest.Merge |> List.collect this.MergedBy

    /// The policies that a selection means, in the matrix's order; none is a fault.
    member this.Select(selection: Selection) : Policy list =
        let kinds =
            match selection.Values "kind", selection.Values "merge" with
            | Some kinds, _ -> kinds
            | None, Some _ -> [ "merged" ]
            | None, None -> [ "trained" ]

        let mergeRows =
            match selection.Values "merge" with
            | Some names -> manifest.Merge |> List.filter (fun row -> List.contains row.Name names)
            | None -> manifest.Merge

        let candidates =
            [
                if List.contains "untouched" kinds then
                    yield! untouched.Value
                if List.contains "trained" kinds then
                    yield! trained.Value
                if List.contains "merged" kinds then
                    yield! mergeRows |> List.collect this.MergedBy
            ]

        let found =
            candidates
            |> List.filter (fun policy ->
                accepts selection policy.Facts
                && (policy.Facts.IsLast || (selection.Values "stage").IsSome))

        // After a fault of another kind this one may only be its consequence.
        if found.IsEmpty && manifest.Complete && context.Faults.Count = empties then
            fault selection.Mark selection.Path "the selection finds nothing; no row makes a policy with these values together"

            empties <- context.Faults.Count

        found

    /// Whether the policy's training reaches this step; if not, that is a fault of the selection.
    member _.HasCheckpoint(selection: Selection, policy: Policy, step: int) : bool =
        let path = Readers.join selection.Path "checkpoints"

        match policy.Origin with
        | Stage run ->
            match Methods.maxSteps run.Setting with
            | Some last when step > last ->
                fault selection.Mark path $"step {step} lies beyond max_steps {last} of {Policies.label policy}"
                false
            | _ -> true
        | _ ->
            let why =
                "only training jobs keep them, and this is an untouched, merged or chosen policy"

            fault selection.Mark path $"'{Policies.label policy}' has no checkpoints: {why}"
            false

    /// The row's merges at each point that its selection takes; none, and a fault, where a parent does not get there.
    member private this.Groups(row: MergeRow) : Policy list =
        let selected = this.Select row.Of

        match row.Of.Checkpoints with
        | [] -> Merges.groups context.Faults row None selected
        | steps ->
            let reaches step =
                selected |> List.forall (fun policy -> this.HasCheckpoint(row.Of, policy, step))

            if steps |> List.forall reaches then
                steps
                |> List.collect (fun step -> Merges.groups context.Faults row (Some(Step step)) selected)
            else
                []

    /// The parents of each merge of this row, one group per combination of the axes that `across` does not name.
    member this.MergedBy(row: MergeRow) : Policy list =
        match merged.TryGetValue row.Name with
        | true, found -> found
        | _ when not (merging.Add row.Name) ->
            fault row.Mark row.Path $"merge '{row.Name}' is made of itself, over other merges; break the circle"
            raise Unplannable
        | _ ->
            try
                let found = this.Groups row
                merged[row.Name] <- found
                found
            finally
                merging.Remove row.Name |> ignore

    /// The one policy for a seed that a model or judge `{ run: ... }` means.
    member this.One(selection: Selection, seed: int option) : Policy =
        let ofSeed =
            this.Select selection
            |> List.filter (fun policy ->
                match seed, policy.Facts.Seed with
                | Some seed, Some own when (selection.Values "seed").IsNone -> own = seed
                | _ -> true)

        match ofSeed with
        | [ one ] -> one
        | [] ->
            let which =
                seed |> Option.map (fun seed -> $" for seed {seed}") |> Option.defaultValue ""

            fault selection.Mark selection.Path $"the selection must mean one policy and finds none{which}"
            raise Unplannable
        | several ->
            let names =
                several |> List.truncate 3 |> List.map Policies.label |> String.concat ", "

            let more = if several.Length > 3 then " ..." else ""

            fault
                selection.Mark
                selection.Path
                $"the selection must mean one policy and finds {several.Length}: {names}{more}; add an axis such as seed"

            raise Unplannable
