// Four sums, right where the answer is the most probable one.

using PeftAlign.Abstractions;

namespace Sample.Faulty;

/// <summary>Ways for a benchmark to be wrong.</summary>
public enum BenchmarkFault
{
    None,
    LosesAnItem,
    RepeatsAnId,
    AsksAnew,
    RemembersItems,
    DividesByZero,
    NeedsItems,
}

internal sealed class SumsBenchmark(BenchmarkFault fault) : IBenchmark
{
    private readonly HashSet<string> asked = [];
    private int scored;

    public BenchmarkInfo Info { get; } = new("sums", 1);

    public IEnumerable<EvalItem> Items() =>
        Enumerable.Range(1, fault == BenchmarkFault.LosesAnItem ? 3 : 4).Select(k => new EvalItem(fault == BenchmarkFault.RepeatsAnId ? "sum" : $"{k}", new() { ["k"] = k }));

    public IReadOnlyList<EvalRequest> Requests(EvalItem item)
    {
        var k = item.Document["k"]!.GetValue<int>();
        var again = !asked.Add($"{k}") && fault == BenchmarkFault.AsksAnew ? " again" : "";
        return [new EvalRequest.LogLikelihood($"{k} + {k} ={again}", $" {k + k}")];
    }

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses) =>
        [new ItemScore(item.Id, new Dictionary<string, double> { ["acc"] = fault == BenchmarkFault.RemembersItems ? scored++ : responses[0].IsGreedy ? 1 : 0 })];

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items)
    {
        if (items.Count == 0 && fault != BenchmarkFault.NeedsItems) return [];
        var mean = items.Average(item => item.Scores["acc"]);
        return [new MetricResult("acc", fault == BenchmarkFault.DividesByZero ? double.NaN : mean, Math.Sqrt(mean * mean / items.Count), items.Count, true)];
    }
}
