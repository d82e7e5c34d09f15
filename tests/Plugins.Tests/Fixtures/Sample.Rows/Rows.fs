// An F# plugin: a benchmark over rows, with F# lists and options inside and plain .NET types outside.
namespace Sample.Rows

open System.Collections.Generic
open System.Text.Json.Nodes
open PeftAlign.Abstractions

/// Options of the rows benchmark.
type RowsOptions() =
    /// Number of items.
    [<OptionRange(1.0, 100.0)>]
    member val Count = 3 with get, set

    /// What is asked.
    [<OptionChoices("sum", "product")>]
    member val Task = "sum" with get, set

type RowsBenchmark(options: RowsOptions) =
    let items = [ for k in 1 .. options.Count -> k ]

    let answer k =
        match options.Task with
        | "sum" -> Some(k + k)
        | "product" -> Some(k * k)
        | _ -> None

    interface IBenchmark with
        member _.Info = BenchmarkInfo("rows", 1)

        member _.Items() =
            items
            |> Seq.map (fun k ->
                let document = JsonObject()
                document["k"] <- JsonValue.Create k
                EvalItem(string k, document))

        member _.Requests(item) =
            let answer = answer (int item.Id) |> Option.map string |> Option.defaultValue ""
            [| EvalRequest.LogLikelihood(item.Id, answer) :> EvalRequest |] :> IReadOnlyList<EvalRequest>

        member _.Score(item, responses) =
            let scores = readOnlyDict [ "acc", (if responses[0].IsGreedy then 1.0 else 0.0) ]
            [| ItemScore(item.Id, scores) |] :> IReadOnlyList<ItemScore>

        member _.Aggregate(scores) =
            let mean = scores |> Seq.averageBy (fun score -> score.Scores["acc"])
            [| MetricResult("acc", mean, System.Nullable(), scores.Count, true) |] :> IReadOnlyList<MetricResult>

type RowsPlugin() =
    interface IPlugin with
        member _.Register(registry) =
            registry.Add<IBenchmark, RowsOptions>("rows", 2, (fun _ options -> RowsBenchmark(options) :> IBenchmark))

module Entry =
    [<assembly: PeftAlignPlugin(typeof<RowsPlugin>)>]
    do ()
