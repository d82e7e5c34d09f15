// Benchmarks over a setting that is a number, such as the temperature of sampling.

using System.Globalization;

namespace PeftAlign.Host.Reports;

internal sealed partial class HtmlReport
{
    private static readonly HashSet<string> Lengths = ["length", "avg_length"];

    private void Settings()
    {
        // Beside each benchmark's first number the length of what was written: it moves with temperature, and judges with it.
        var swept = model.Final.Where(e => (e.IsFirst || Lengths.Contains(e.Metric)) && Number(e) is not null)
            .GroupBy(e => (Benchmark: e.Job.Axis("benchmark"), e.Metric, Number(e)!.Value.Name)).Where(g => g.Select(e => Number(e)!.Value.Value).Distinct().Count() > 1).ToList();
        if (swept.Count == 0) return;
        Section("Over the settings of benchmarks", "Each line is a policy; its numbers with their intervals are in the tables above.");
        foreach (var group in swept)
            Lines([.. group.GroupBy(e => e.Policy).Select(g => new Series(g.Key, [.. g.Select(e => (Number(e)!.Value.Value, e.Value)).OrderBy(p => p.Item1)]))], group.Key.Name, $"{group.Key.Benchmark} {group.Key.Metric}", points: true);
    }

    // The one setting in which a benchmark's variants differ, beside seeds, where it is a number.
    private static (string Name, double Value)? Number(Estimate e) =>
        e.Job.Variant is [var only] && only.Split('=') is [var name, var text]
        && double.TryParse(text, CultureInfo.InvariantCulture, out var value) && double.IsFinite(value) ? (name, value) : null;
}
