// The plan as C# sees it: plain records, in an order in which every job stands after those that it depends on.
namespace PeftAlign.Core

open System
open System.Collections.Generic

/// <summary>A file or folder that a job reads.</summary>
type PlanInput =
    {
        /// Where the job's options name it, such as "policy.weights".
        Place: string
        Path: string
        /// What the caller's content hash gave; empty for inputs that cannot change the result.
        Hash: string
    }

/// <summary>One job of a plan.</summary>
[<NoComparison>]
type PlanJob =
    {
        /// 32 hexadecimal digits, the hash of Identity.
        Id: string
        /// make-model, make-dataset, reference, train, select, merge, evaluate or report.
        Kind: string
        /// The name that people and --only use.
        Label: string
        /// All of its names, where several rows share it.
        Labels: IReadOnlyList<string>
        /// Those of model, dataset, method, adapter, seed, stage, variant, merge, benchmark, checkpoint, control and tags (separated by
        /// commas) that apply to Label.
        Axes: IReadOnlyDictionary<string, string>
        /// The axes of each of Labels.
        Places: IReadOnlyList<IReadOnlyDictionary<string, string>>
        /// Canonical JSON of all that the job needs: paths as the manifest writes them, the output of another job as {"job":ID} or
        /// {"job":ID,"checkpoint":"step:100"}.
        Options: string
        /// Options with contents for paths and without what cannot change the result.
        Identity: string
        /// Ids of the jobs that must be finished before it.
        DependsOn: IReadOnlyList<string>
        Inputs: IReadOnlyList<PlanInput>
        /// Points of a training job that other jobs need ("step:100", "epoch:3"). Not part of the identity: a finished job that lacks one
        /// goes on from its last checkpoint.
        Keep: IReadOnlyList<string>
        /// The last point that is needed, empty for the end. Not part of the identity.
        Until: string
        /// Ids of the plugins that the job loads.
        Plugins: IReadOnlyList<string>
        /// Equal for jobs that could share loaded weights.
        Group: string
    }

/// <summary>Where every job's numbers go besides metrics.jsonl.</summary>
type PlanTracker =
    {
        Name: string
        /// Canonical JSON with defaults; paths as the manifest writes them.
        Options: string
        /// Id of the plugin that provides it.
        Plugin: string
    }

/// <summary>What a plugin outside the product does for a model folder: computes its architecture, or reads its quantised matrices.
/// Part of the identity of every job that names the folder.</summary>
type FolderPart =
    {
        /// The plugin's id.
        Plugin: string
        /// The name that the plugin registers; for an architecture, the model_type of the folder's config.json.
        Name: string
        ResultVersion: int
    }

/// <summary>A graph of jobs; Jobs are in an order in which each stands after those that it depends on.</summary>
[<NoComparison>]
type Plan =
    {
        Name: string
        Jobs: IReadOnlyList<PlanJob>
        Trackers: IReadOnlyList<PlanTracker>
    }

    /// <summary>Number of jobs by kind.</summary>
    member plan.Counts: IReadOnlyDictionary<string, int> =
        plan.Jobs |> Seq.countBy _.Kind |> dict |> Dictionary :> _

/// <summary>A path that a manifest names and that leads to nothing; Line and Column are 0 where no place of the manifest gives it.</summary>
type MissingPath =
    {
        Path: string
        Line: int
        Column: int
    }

    /// <summary>The fault that it is for a job that reads it.</summary>
    member missing.Fault: Fault =
        {
            Line = missing.Line
            Column = missing.Column
            Path = ""
            Message = $"'{missing.Path}' does not exist; correct the path, or plan with --dry-run"
        }

/// <summary>A plan, or the faults that prevent it. Plan is null where there are faults. Missing: paths whose names stand for their
/// contents, where a plan may have such; by their places.</summary>
[<NoComparison>]
type PlanResult =
    {
        Plan: Plan | null
        Missing: IReadOnlyList<MissingPath>
        Faults: IReadOnlyList<Fault>
    }

    /// <summary>The missing paths whose contents jobs of a part of the plan read.</summary>
    /// <param name="part">What is to be run.</param>
    member result.MissingOf(part: Plan) : IReadOnlyList<MissingPath> =
        let read =
            part.Jobs
            |> Seq.collect _.Inputs
            |> Seq.filter (fun input -> input.Hash <> "")
            |> Seq.map _.Path
            |> HashSet

        result.Missing
        |> Seq.filter (fun gone -> read.Contains gone.Path)
        |> Array.ofSeq
        :> _
