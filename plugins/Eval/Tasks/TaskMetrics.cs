// Metrics of tasks: what an item contributes, and how contributions become a number with its standard error. Names, defaults and
// formulas are lm-evaluation-harness's (0.4.13).

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Tasks;

internal static class TaskMetrics
{
    // What bleu and chrf cost, the harness resamples less often.
    private const int MostCorpusResamples = 100;

    private static readonly Dictionary<string, (string[] Outputs, string Aggregation, bool Higher)> Known = new()
    {
        ["acc"] = (["multiple_choice", "loglikelihood"], "mean", true),
        ["acc_norm"] = (["multiple_choice"], "mean", true),
        ["acc_bytes"] = (["multiple_choice"], "mean", true),
        ["acc_mutual_info"] = (["multiple_choice"], "mean", true),
        ["exact_match"] = (["multiple_choice", "generate_until"], "mean", true),
        ["f1"] = (["multiple_choice"], "f1", true),
        ["mcc"] = (["multiple_choice"], "mcc", true),
        ["brier_score"] = (["multiple_choice"], "brier_score", false),
        ["perplexity"] = (["loglikelihood"], "perplexity", false),
        ["word_perplexity"] = (["loglikelihood_rolling"], "weighted_perplexity", false),
        ["byte_perplexity"] = (["loglikelihood_rolling"], "weighted_perplexity", false),
        ["bits_per_byte"] = (["loglikelihood_rolling"], "bits_per_byte", false),
        ["chrf"] = (["generate_until"], "chrf", true),
        ["bleu"] = (["generate_until"], "bleu", true),
    };

    // By aggregation here, the harness's name of it.
    private static readonly Dictionary<string, string> OtherNames = new() { ["mcc"] = "matthews_corrcoef" };

    private static readonly string[] ForNumbers = ["mean", "nanmean", "median", "perplexity"];
    private static readonly string[] OfMatch = ["regexes_to_ignore", "ignore_case", "ignore_punctuation", "ignore_numbers"];

    /// <exception cref="UserErrorException">The metric, its aggregation or an argument is not supported.</exception>
    internal static void Check(TaskConfig task, TaskMetric metric)
    {
        if (!Known.TryGetValue(metric.Name, out var known)) throw task.Fault($"metric '{metric.Name}' is not supported", $"known are {string.Join(", ", Known.Keys)}");
        if (!known.Outputs.Contains(task.OutputType)) throw task.Fault($"metric '{metric.Name}' does not belong to {task.OutputType}", $"its metrics are {string.Join(", ", Known.Where(k => k.Value.Outputs.Contains(task.OutputType)).Select(k => k.Key))}");
        if (metric.Aggregation is { } asked && asked != known.Aggregation && asked != OtherNames.GetValueOrDefault(known.Aggregation) && !(ForNumbers.Contains(asked) && ForNumbers.Contains(known.Aggregation)))
            throw task.Fault($"aggregation '{asked}' of metric '{metric.Name}' is not supported", $"use {known.Aggregation}");
        if (metric.Options.Select(o => o.Key).FirstOrDefault(o => !(metric.Name == "exact_match" && task.OutputType == "generate_until" && OfMatch.Contains(o))) is { } option)
            throw task.Fault($"metric '{metric.Name}' has the argument '{option}', which is not supported", "leave it out");
        // Values of another type and expressions that cannot be read are found here, not once the model has answered.
        foreach (var expression in task.Texts(task.List(metric.Options["regexes_to_ignore"], "regexes_to_ignore"), "regexes_to_ignore")) task.Expression(expression);
        foreach (var flag in OfMatch[1..]) task.Value<bool>(metric.Options[flag], flag, TypedFields.Truth);
    }

    /// <summary>Whether a larger value is better.</summary>
    internal static bool HigherIsBetter(TaskMetric metric) => metric.HigherIsBetter ?? Known[metric.Name].Higher;

    /// <summary>What exact_match leaves out of account.</summary>
    internal static ExactMatchOptions Match(JsonObject options) => new(
        options["regexes_to_ignore"] is JsonArray list ? [.. list.Select(r => (string)r!)] : [],
        (bool?)options["ignore_case"] ?? false, (bool?)options["ignore_punctuation"] ?? false, (bool?)options["ignore_numbers"] ?? false);

    /// <summary>A metric over a task's items.</summary>
    /// <param name="metric">The metric.</param>
    /// <param name="items">Scores of one filter; contributions that are no number stand in Details.</param>
    /// <param name="iterations">Resamples of bootstraps.</param>
    internal static MetricResult Aggregate(TaskMetric metric, IReadOnlyList<ItemScore> items, int iterations)
    {
        var (value, error) = (metric.Aggregation ?? Known[metric.Name].Aggregation) switch
        {
            "mean" => Numbers(metric, items) is var v ? (v.Average(), StandardErrors.OfMean(v)) : default,
            "nanmean" => Statistic([.. Numbers(metric, items).Where(x => !double.IsNaN(x))], v => v.Average(), iterations),
            "median" => Statistic(Numbers(metric, items), UpperMedian, iterations),
            "perplexity" => Statistic(Numbers(metric, items), v => Math.Exp(-v.Average()), iterations),
            "brier_score" => (Numbers(metric, items).Average(), null),
            "weighted_perplexity" => (Math.Exp(-Ratio(metric, items)), null),
            "bits_per_byte" => (-Ratio(metric, items) / Math.Log(2), null),
            "f1" => Labels(metric, items, (gold, predicted) => Of(Classification.LabelOfRows(gold, predicted, 1, 0), one => one.F1), iterations),
            "mcc" or "matthews_corrcoef" => Labels(metric, items, (gold, predicted) => Of(Classification.OfRows(gold, predicted), all => all.MatthewsCorrelation), iterations),
            "chrf" => Corpus(metric, items, (said, meant) => Chrf.OfRows(said, meant, ChrfOptions.Default), iterations),
            "bleu" => Corpus(metric, items, Bleu.OfRows, iterations),
            var other => throw new NotSupportedException($"aggregation {other}"),
        };
        return new MetricResult(metric.Name, value, error, items.Count, HigherIsBetter(metric)) { Task = items[0].Task, Filter = items[0].Filter };
    }

    private static double[] Numbers(TaskMetric metric, IReadOnlyList<ItemScore> items) => [.. items.Select(i => i.Scores[metric.Name])];

    private static (double Value, double? Error) Statistic(double[] values, Func<double[], double> statistic, int iterations) =>
        (statistic(values), StandardErrors.Bootstrap(values.Length, rows => statistic(Array.ConvertAll(rows, r => values[r])), iterations));

    // The harness takes the upper of the two in the middle.
    private static double UpperMedian(double[] values)
    {
        Array.Sort(values = [.. values]);
        return values[values.Length / 2];
    }

    private static double Ratio(TaskMetric metric, IReadOnlyList<ItemScore> items) =>
        items.Sum(i => (double)Pair(metric, i)[0]!) / items.Sum(i => (double)Pair(metric, i)[1]!);

    // A statistic is given as what it is of any rows, so that labels and texts are looked at once for all resamples.
    private static (double Value, double? Error) Labels(TaskMetric metric, IReadOnlyList<ItemScore> items, Func<int[], int[], Func<int[], double>> statistic, int iterations) =>
        OfRows(items.Count, statistic([.. items.Select(i => (int)Pair(metric, i)[0]!)], [.. items.Select(i => (int)Pair(metric, i)[1]!)]), iterations);

    private static (double Value, double? Error) Corpus(TaskMetric metric, IReadOnlyList<ItemScore> items, Func<string[], string[][], Func<int[], double>> statistic, int iterations) =>
        OfRows(items.Count, statistic([.. items.Select(i => (string)Pair(metric, i)[1]!)], [.. items.Select(i => new[] { (string)Pair(metric, i)[0]! })]), Math.Min(iterations, MostCorpusResamples));

    private static Func<int[], double> Of<T>(Func<int[], T> scores, Func<T, double> one) => rows => one(scores(rows));

    private static (double Value, double? Error) OfRows(int count, Func<int[], double> statistic, int iterations) =>
        (statistic([.. Enumerable.Range(0, count)]), StandardErrors.Bootstrap(count, statistic, iterations));

    private static JsonArray Pair(TaskMetric metric, ItemScore item) => item.Details![metric.Name]!.AsArray();
}
