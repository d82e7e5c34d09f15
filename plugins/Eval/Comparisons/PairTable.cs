// The numbers of judged pairs: AlpacaEval's win rates with their counts, the length-controlled rate, failed rows, lengths, and how
// much the judge's verdicts depend on the place.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Comparisons;

internal static class PairTable
{
    /// <summary>The metrics of one model's pairs.</summary>
    /// <param name="items">Scores that Pair made, of one task.</param>
    /// <param name="model">Whose answers they are.</param>
    /// <param name="length">For the length-controlled rate.</param>
    /// <param name="note">Told how that rate was made, or why there is none.</param>
    /// <exception cref="InvalidDataException">No pair has a preference.</exception>
    internal static IReadOnlyList<MetricResult> Of(IReadOnlyList<ItemScore> items, string model, LengthControl length, Action<string> note)
    {
        if (items.Count == 0) return [];
        var judged = items.Where(i => i.Scores["failed"] == 0).ToList();
        if (judged.Count == 0) throw new InvalidDataException($"none of {items.Count} pairs has a verdict; the first one has none because: {(string?)items[0].Details?["failure"] ?? "not said"}");
        var preferences = items.Select(i => i.Scores.GetValueOrDefault("preference", double.NaN)).ToArray();
        var rates = WinRate.FromPreferences(preferences);
        MetricResult Count(string metric, double count) => new(metric, count, null, items.Count, HigherIsBetter: metric == "n_wins");
        var results = new List<MetricResult>
        {
            new("win_rate", rates.WinRate, double.IsNaN(rates.StandardError) ? null : rates.StandardError, rates.Total, HigherIsBetter: true),
            new("discrete_win_rate", rates.DiscreteWinRate, null, rates.Total, HigherIsBetter: true),
        };
        var rows = items.Zip(preferences).Select(pair => new LengthRow(pair.Second, pair.First.Scores["len_output_1"], pair.First.Scores["len_output_2"], pair.First.Scores.GetValueOrDefault("instruction_difficulty", double.NaN))).ToArray();
        if (length.Rate(model, rows) is { } controlled)
        {
            note(controlled.How);
            if (controlled.Metric.Length > 0) results.Add(new MetricResult(controlled.Metric, controlled.Value, controlled.StandardError, rates.Total, HigherIsBetter: true));
        }
        results.AddRange([Count("n_wins", rates.Wins), Count("n_wins_base", rates.BaselineWins), Count("n_draws", rates.Draws), Count("n_total", rates.Total), Count("failed", items.Count - judged.Count)]);
        results.Add(Means.Of("avg_length", [.. items.Select(i => i.Scores["len_output_2"])]));
        results.Add(Means.Of("avg_length_base", [.. items.Select(i => i.Scores["len_output_1"])]));
        results.AddRange(Optional(judged));
        return [.. results.Select(r => r with { Task = items[0].Task })];
    }

    /// <summary>What stands beside every such table.</summary>
    internal static JsonObject Settings(string annotator, string baseline, string order) => new() { ["annotator"] = annotator, ["baseline"] = baseline, ["order"] = order };

    /// <summary>A judge's name in tables: its kind with the folder, the service's model, or the job of the run that made it.</summary>
    internal static string Annotator(JudgeReference judge)
    {
        var definition = judge.Definition;
        var kind = ((string?)definition["name"] ?? "judge").Split('/')[^1];
        var own = (string?)definition["options"]?["model"] ?? (string?)definition["options"]?["path"];
        return own is not null ? $"{kind} {System.IO.Path.GetFileName(System.IO.Path.TrimEndingDirectorySeparator(own))}"
            : (string?)definition["model"]?["weights"]?["job"] is { } job ? $"{kind} of job {job}" : kind;
    }

    private static IEnumerable<MetricResult> Optional(IReadOnlyList<ItemScore> judged)
    {
        if (judged.All(i => i.Scores.ContainsKey("margin"))) yield return Means.Of("margin", judged);
        if (judged.All(i => i.Scores.ContainsKey("new_tokens"))) yield return Means.Of("new_tokens", judged);
        if (!judged.All(i => i.Scores.ContainsKey("share_when_first"))) yield break;
        // How often the answer in the first place is preferred, and how often both orders say the same: a judge of words has its habits.
        var (first, last) = (judged.Select(i => i.Scores["share_when_first"]).ToArray(), judged.Select(i => i.Scores["share_when_last"]).ToArray());
        yield return Means.Of("first_place_share", [.. first.Zip(last, (f, l) => (f + 1 - l) / 2)]);
        yield return Means.Of("consistency", [.. first.Zip(last, (f, l) => Side(f) == Side(l) ? 1.0 : 0)]);
    }

    private static int Side(double share) => Math.Sign(share - 0.5);
}
