// What a benchmark may give: items with ids of their own, requests, scores that are numbers, and metrics.

using PeftAlign.Abstractions;

namespace PeftAlign.Host.Evaluation;

internal static class BenchmarkContract
{
    private const int ToldAtMost = 10;

    /// <summary>The items.</summary>
    /// <exception cref="BrokenContractException">There are none but null, one has no id or document, or two of a task share an id.</exception>
    internal static IReadOnlyList<EvalItem> Items(IBenchmark benchmark)
    {
        if (benchmark.Info?.Id is not { Length: > 0 }) throw new BrokenContractException(benchmark, "Info gave no id", "results are named by it");
        var items = BrokenContractException.Whole(benchmark, nameof(benchmark.Items), benchmark.Items()?.ToList());
        if (items.Index().FirstOrDefault(i => i.Item.Id is null || i.Item.Task is null || i.Item.Document is null) is { Item: not null } odd)
            throw new BrokenContractException(benchmark, $"Items gave an item {odd.Index + 1} without an id, a task or a document", "an item needs all three");
        return items.GroupBy(i => (i.Task, i.Id)).FirstOrDefault(g => g.Count() > 1) is { } twice
            ? throw new BrokenContractException(benchmark, $"Items gave two items {twice.Key.Id} in task '{twice.Key.Task}'", "each needs an id of its own, by which answers are kept")
            : items;
    }

    /// <summary>The further requests about an item.</summary>
    /// <exception cref="BrokenContractException">They are null, or one is.</exception>
    internal static IReadOnlyList<EvalRequest> FollowUps(IAsksAgain benchmark, EvalItem item, IReadOnlyList<EvalResponse> responses) =>
        BrokenContractException.Whole(benchmark, nameof(benchmark.FollowUps), benchmark.FollowUps(item, responses));

    /// <summary>An item's scores.</summary>
    /// <exception cref="BrokenContractException">They are null, one is, of another item, or NaN.</exception>
    internal static IReadOnlyList<ItemScore> Scores(IBenchmark benchmark, EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var scores = BrokenContractException.Whole(benchmark, nameof(benchmark.Score), benchmark.Score(item, responses));
        foreach (var score in scores)
        {
            if (score.Scores is null || score.Id != item.Id) throw new BrokenContractException(benchmark, $"Score gave {(score.Scores is null ? "no scores" : $"scores of the item '{score.Id}'")} for the item '{item.Id}'", "the item's own scores are asked for, by metric");
            if (score.Scores.FirstOrDefault(metric => double.IsNaN(metric.Value)) is { Key: { } metric }) throw new BrokenContractException(benchmark, $"Score gave NaN as {metric} of the item '{item.Id}'", "a metric that an item does not have is left out of its scores");
        }
        return scores;
    }

    /// <summary>The results.</summary>
    /// <exception cref="BrokenContractException">There are none, one has no name, or two have the same.</exception>
    internal static IReadOnlyList<MetricResult> Metrics(IBenchmark benchmark, IReadOnlyList<ItemScore> scores)
    {
        var metrics = BrokenContractException.Whole(benchmark, nameof(benchmark.Aggregate), benchmark.Aggregate(scores));
        if (metrics.Count == 0) throw new BrokenContractException(benchmark, "Aggregate gave no metric", "one or more are asked for");
        if (metrics.Any(metric => metric.Metric is not { Length: > 0 })) throw new BrokenContractException(benchmark, "Aggregate gave a metric without a name", "results are told by it");
        // Results are kept by these three: the second would take the first one's place.
        if (metrics.GroupBy(metric => (metric.Task, metric.Metric, metric.Filter)).FirstOrDefault(same => same.Count() > 1)?.Key is { } twice)
            throw new BrokenContractException(benchmark, $"Aggregate gave two metrics {twice.Metric} of task '{twice.Task}' ({twice.Filter})", "a result has one number of a name, task and filter");
        return metrics;
    }

    /// <summary>What is said of metrics that are NaN, as 0 / 0 is where no item counts; null where none is. They end no evaluation, since the others are good.</summary>
    internal static string? NotNumbers(IBenchmark benchmark, IReadOnlyList<MetricResult> metrics)
    {
        var odd = metrics.Where(metric => double.IsNaN(metric.Value)).Select(metric => metric.Metric + (metric.Filter == "none" ? "" : $",{metric.Filter}") + (metric.Task.Length > 0 ? $" of {metric.Task}" : "")).ToList();
        if (odd.Count == 0) return null;
        var who = BrokenContractException.Of(benchmark.GetType().Assembly) is { } plugin ? $" ({plugin})" : "";
        return $"{benchmark.Info.Id}{who}: {string.Join(", ", odd.Take(ToldAtMost))}{(odd.Count > ToldAtMost ? $" and {odd.Count - ToldAtMost} more" : "")} came out as NaN; no report and no claim has a number for it. Look at the samples that it is made of.";
    }
}
