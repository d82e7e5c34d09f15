// The plan as C# sees it: plain records, in an order in which every job stands after those that it depends on.
namespace PeftAlign.Core

open System
open System.Collections.Generic

/// <summary>A file or folder that a job reads. Place is where its options name it, such as "policy.weights".</summary>
/// <remarks>Hash is what the caller's content hash gave; empty for what cannot change the result.</remarks>
type PlanInput =
    {
        Place: string
        Path: string
        Hash: string
    }

/// <summary>One job of a plan.</summary>
/// <remarks>
/// <para>Id: 32 hexadecimal digits, the hash of Identity. Kind: make-model, make-dataset, reference, train, select, merge, evaluate
/// or report. Label: how people and --only name it; Labels: all of its names, where several rows share it.</para>
/// <para>Options: canonical JSON of all that the job needs; paths as the manifest writes them; the output of another job as
/// {"job":ID} or {"job":ID,"checkpoint":"step:100"}. Identity: the same with contents for paths and without what cannot change
/// the result.</para>
/// <para>Keep: points of a training job that others need ("step:100", "epoch:3"); Until: the last point that is needed, empty for
/// the end. Neither is part of the identity: a finished job that lacks one goes on from its last checkpoint.</para>
/// <para>Axes: model, dataset, method, adapter, seed, stage, variant, merge, benchmark, checkpoint, control, tags (separated by commas)
/// as far as they apply; those of Label. Places: the axes of each of Labels. Plugins: ids that the job loads. Group: equal for
/// jobs that could share loaded weights.</para></remarks>
[<NoComparison>]
type PlanJob =
    {
        Id: string
        Kind: string
        Label: string
        Labels: IReadOnlyList<string>
        Axes: IReadOnlyDictionary<string, string>
        Places: IReadOnlyList<IReadOnlyDictionary<string, string>>
        Options: string
        Identity: string
        DependsOn: IReadOnlyList<string>
        Inputs: IReadOnlyList<PlanInput>
        Keep: IReadOnlyList<string>
        Until: string
        Plugins: IReadOnlyList<string>
        Group: string
    }

/// <summary>Where every job's numbers go besides metrics.jsonl. Options: canonical JSON with defaults; paths as the manifest writes them.</summary>
type PlanTracker =
    {
        Name: string
        Options: string
        Plugin: string
    }

/// <summary>What a plugin outside the product does for a model folder: computes its architecture, or reads its quantised matrices.</summary>
/// <remarks>Name is as the plugin registers it: of an architecture the model_type of the folder's config.json. It is part of the identity
/// of every job that names the folder.</remarks>
type FolderPart =
    {
        Plugin: string
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
    { Path: string; Line: int; Column: int }

/// <summary>A plan, or the faults that prevent it. Plan is null where there are faults. Missing: paths whose names stand for their
/// contents, where a plan may have such; by their places.</summary>
[<NoComparison>]
type PlanResult =
    {
        Plan: Plan | null
        Missing: IReadOnlyList<MissingPath>
        Faults: IReadOnlyList<Fault>
    }
