// What claims and reports are made from: one number of one evaluated policy, with the items behind it.
namespace PeftAlign.Core.Claims

open System.Collections.Generic

/// <summary>One metric of one evaluation.</summary>
/// <remarks><para>Axes: those of the plan's evaluation job (model, dataset, method, adapter, seed, stage, variant, merge, row, policy,
/// benchmark, checkpoint, control, tags), and job, equal for the places of one job. Metric: its name in the results; IsFirst: whether the benchmark lists it first.</para>
/// <para>Items: the items' scores whose mean is Value, in the benchmark's order; empty where Value is no such mean.</para></remarks>
[<CLIMutable; NoComparison>]
type Observation =
    {
        Axes: IReadOnlyDictionary<string, string>
        Metric: string
        IsFirst: bool
        Value: float
        Items: float[]
        HigherIsBetter: bool
    }

module internal Observations =
    let axis name (observation: Observation) =
        match observation.Axes.TryGetValue name with
        | true, value -> value
        | _ -> ""

    let benchmark = axis "benchmark"

    /// Equal for what several rows ask alike; empty where that is not known.
    let job = axis "job"

    /// "mmlu/acc".
    let name observation =
        $"{benchmark observation}/{observation.Metric}"

    /// All that an axis says of a policy: several data sets of a merge, several tags, the last method of a chain.
    let values name observation =
        let written = axis name observation

        match name with
        | "tag" -> (axis "tags" observation).Split(',') |> List.ofArray |> List.filter ((<>) "")
        | "kind" -> [ axis "policy" observation ]
        | "method" when written.Contains '>' -> [ written; written.Substring(written.LastIndexOf '>' + 1) ]
        | "dataset"
        | "adapter" when written.Contains '+' -> written :: List.ofArray (written.Split '+')
        | "metric" ->
            [
                observation.Metric
                benchmark observation
                $"{benchmark observation}/{observation.Metric}"
            ]
        | _ when written = "" -> []
        | _ -> [ written ]

    /// Equal for the seeds of one configuration.
    let configuration observation =
        observation.Axes
        |> Seq.filter (fun pair -> pair.Key <> "seed" && pair.Key <> "tags" && pair.Key <> "job")
        |> Seq.map (fun pair -> $"{pair.Key}={pair.Value}")
        |> Seq.sort
        |> String.concat "/"
