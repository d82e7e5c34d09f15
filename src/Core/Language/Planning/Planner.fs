// The whole way from a manifest to its plan: final policies of every row, merges, evaluations, the report.
module internal PeftAlign.Core.Language.Planner

open System.Collections.Generic
open PeftAlign.Core

/// A fault that leaves nothing to go on with ends its own item only.
let private attempt action =
    try
        action ()
    with Unplannable ->
        ()

/// Which policies a target means, each with the points at which it is evaluated.
let private targets (matrix: Matrix) target : (Policy * Point option) list =
    let final policies =
        policies |> List.map (fun policy -> policy, None)

    match target with
    | Untouched -> final matrix.Untouched
    | Trained -> final matrix.Trained
    | Merged -> final matrix.Merged
    | Selected selection when selection.Checkpoints.IsEmpty -> final (matrix.Select selection)
    | Selected selection ->
        [
            for policy in matrix.Select selection do
                for step in selection.Checkpoints do
                    if matrix.HasCheckpoint(selection, policy, step) then
                        policy, Some(Step step)
        ]

let private evaluate (lowering: Lowering) (benchmarks: Benchmark list) controls policies =
    let variants =
        [
            for benchmark in benchmarks do
                for variant, options in Variants.ofOptions (Parts.schemas benchmark.Bound.Contract) benchmark.Bound.Options ->
                    benchmark, variant, options
        ]

    for policy, point in policies do
        for benchmark, variant, options in variants do
            for control in (if List.isEmpty controls then [ "" ] else controls) do
                attempt (fun () -> lowering.Evaluate(policy, point, control, benchmark, variant, options))

/// Whether the policy may have controls: its last training was a method's that trains some. What a folder holds shows later.
let rec private mayHaveControls (policy: Policy) =
    match policy.Origin with
    | Stage run -> run.Setting.Method.Schema.Traits |> Seq.contains "controls"
    | Chosen(_, variants) -> variants |> List.forall mayHaveControls
    | Declared _ -> true
    | MergedFrom _ -> false

/// A policy that is asked for under a control and can have none is a fault: one for each row.
let private askedUnderControls (context: Context) (row: EvaluateRow) policies =
    match policies |> List.map fst |> List.filter (mayHaveControls >> not) with
    | first :: more when not row.Controls.IsEmpty ->
        let others =
            if more.IsEmpty then
                ""
            else
                $" (nor have {more.Length} more)"

        let names = row.Controls |> String.concat ", "

        context.Faults.Add(
            row.Mark,
            Readers.join row.Path "control",
            $"'{Policies.label first}' has no controls{others}, and the row asks under {names}; leave control out, or name policies of a method that trains controls (such as meet, vanilla or coh)"
        )
    | _ -> ()

/// Labels are unique: those of different jobs that look alike get the start of their job's id.
let private distinguish (jobs: PlanJob[]) =
    let alike =
        jobs
        |> Array.countBy _.Label
        |> Array.filter (fun (_, count) -> count > 1)
        |> Array.map fst
        |> HashSet

    jobs
    |> Array.map (fun job ->
        if alike.Contains job.Label then
            let rename label =
                if alike.Contains label then
                    $"{label}#{job.Id.Substring(0, 6)}"
                else
                    label

            { job with
                Label = rename job.Label
                Labels = job.Labels |> Seq.map rename |> Array.ofSeq
            }
        else
            job)

let private trainAndMerge (matrix: Matrix) (lowering: Lowering) (manifest: Manifest) =
    for policy in matrix.Trained do
        attempt (fun () -> lowering.Needed(policy, None) |> ignore)

    for row in manifest.Merge do
        attempt (fun () ->
            for policy in matrix.MergedBy row do
                attempt (fun () -> lowering.Needed(policy, None) |> ignore))

let private evaluateAll (context: Context) (matrix: Matrix) lowering (manifest: Manifest) =
    let final policies =
        policies |> List.map (fun policy -> policy, None)

    for row, policies in matrix.Rows do
        let last = policies |> List.filter _.Facts.IsLast
        evaluate lowering row.Evaluate [] (final last)

    for row in manifest.Merge do
        attempt (fun () -> matrix.MergedBy row |> final |> evaluate lowering row.Evaluate [])

    for row in manifest.Evaluate do
        for target in row.Of do
            attempt (fun () ->
                let policies = targets matrix target
                askedUnderControls context row policies
                evaluate lowering row.With row.Controls policies)

/// The plan's jobs; faults go to the context.
let plan (context: Context) (manifest: Manifest) (paths: Paths) (missing: ResizeArray<MissingPath> option) : PlanJob[] =
    let lookup = Lookup manifest
    let matrix = Matrix(lookup, context)
    let graph = Graph(context.Faults, context.Known, paths, missing)
    let lowering = Lowering(lookup, matrix, context, graph)

    try
        trainAndMerge matrix lowering manifest
        evaluateAll context matrix lowering manifest

        if context.Faults.Count = 0 then
            lowering.Report manifest.Claims

        distinguish graph.Jobs
    with TooMany ->
        context.Faults.Add(
            Place.none,
            "",
            $"the plan has more than {graph.Limit} jobs; make a smaller matrix or fewer evaluations"
        )

        [||]
