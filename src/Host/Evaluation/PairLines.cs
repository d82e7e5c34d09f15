// Win rates for people: a row a model, the best first, with who judged, the baseline and how many pairs stand behind each.

using System.Globalization;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Evaluation;

internal static class PairLines
{
    private const string Controlled = "length_controlled_winrate";

    /// <summary>The lines for the content of results.json.</summary>
    internal static IEnumerable<string> Of(JsonObject results)
    {
        var rows = results["results"]!.AsObject().OrderByDescending(r => Number(r.Value!, "win_rate")).ToList();
        var settings = results["configs"]![rows[0].Key]!;
        yield return Who(settings) + $", order {(string?)settings["order"]}";
        var table = new TextTable("model", ">win_rate", ">stderr", ">discrete", ">length-controlled", ">stderr", ">n", ">failed");
        foreach (var (name, row) in rows)
        {
            var controlled = row!.AsObject().FirstOrDefault(e => e.Key.StartsWith(Controlled, StringComparison.Ordinal)).Key?.Split(',')[0];
            table.Add(
                (string?)results["configs"]![name]?["model"] ?? name, Text(row, "win_rate"), Text(row, "win_rate_stderr"), Text(row, "discrete_win_rate"),
                controlled is null ? "–" : Text(row, controlled), controlled is null ? "–" : Text(row, controlled + "_stderr"), Text(row, "n_total", "0"), Text(row, "failed", "0"));
        }
        foreach (var line in table.Lines()) yield return line;
        foreach (var how in rows.Select(r => (string?)results["configs"]![r.Key]?["length_controlled"]).OfType<string>().Distinct()) yield return $"length-controlled: {how}";
        if (rows is [var one] && one.Value!["consistency,none"] is not null)
            yield return $"both orders agree on {Text(one.Value, "consistency", "0.0 %")} of the pairs; the first place is preferred in {Text(one.Value, "first_place_share", "0.0 %")}";
    }

    /// <summary>"judged by X against Y".</summary>
    internal static string Who(JsonNode settings) => $"judged by {(string?)settings["annotator"]} against {(string?)settings["baseline"]}";

    private static double Number(JsonNode row, string metric) => row[$"{metric},none"] is JsonValue value && value.TryGetValue<double>(out var number) ? number : double.NaN;

    private static string Text(JsonNode row, string metric, string format = "0.0000") => Number(row, metric) is var number && double.IsNaN(number) ? "–" : number.ToString(format, CultureInfo.InvariantCulture);
}
