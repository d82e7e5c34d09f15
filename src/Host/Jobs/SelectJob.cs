// Keeps one variant of a grid: the metric of each training, as it was last measured, decides. Nothing is copied; what comes later
// follows the choice that result.json holds.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Host.Reports;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Jobs;

internal static class SelectJob
{
    /// <summary>A variant: its training, what its grid's values are, how many numbers it trains, and its metric (null = not a number).</summary>
    private sealed record Variant(JobSpec Job, string Values, long Trainable, double? Value);

    internal static JsonObject Run(JobContext job)
    {
        var (by, largest) = ((string)job.Spec.Options["by"]!, (bool)job.Spec.Options["largest"]!);
        var variants = job.Spec.Options["candidates"]!.AsArray().Select(candidate => Read(job.Folder.Sibling((string)candidate!["weights"]!["job"]!), by))
            .OrderBy(variant => variant.Values, StringComparer.Ordinal).ToList();
        var known = variants.Where(variant => variant.Value is not null).ToList();
        if (known.Count == 0) throw new UserErrorException($"select: none of {variants.Count} variants has a finite {by}; look at their metrics.jsonl, or take another metric.");
        var best = largest ? known.Max(variant => variant.Value) : known.Min(variant => variant.Value);
        var tied = known.Where(variant => variant.Value == best).ToList();
        // Among equals the smallest adapter wins; then the job's id, which does not depend on how the manifest is written.
        var chosen = tied.OrderBy(variant => variant.Trainable).ThenBy(variant => variant.Job.Id, StringComparer.Ordinal).First();
        if (tied.Count > 1) job.Logger.LogInformation("{Count} variants have the best {By}; {Label} trains the fewest numbers of them", tied.Count, by, chosen.Job.Label);
        job.Logger.LogInformation("{Label} is chosen: {By} {Value}", chosen.Job.Label, by, best);
        return new JsonObject
        {
            ["chosen"] = chosen.Job.Id,
            ["variant"] = chosen.Values,
            ["by"] = by,
            ["mode"] = largest ? "max" : "min",
            [by] = best,
            ["tied"] = tied.Count,
            ["variants"] = new JsonArray([.. variants.Select(variant => (JsonNode)new JsonObject { ["id"] = variant.Job.Id, ["label"] = variant.Job.Label, ["variant"] = variant.Values, ["value"] = variant.Value })]),
        };
    }

    /// <summary>The training that stands for all, of a finished selection.</summary>
    internal static string Chosen(JobFolder selection) => (string)Outcome(selection)["chosen"]!;

    // ReadResult gives null for a result that was damaged since the run looked at it; the error then names the file.
    private static JsonObject Outcome(JobFolder folder) => RunText.Read(folder, folder.Result, () => folder.ReadResult()!["outcome"]!.AsObject());

    private static Variant Read(JobFolder folder, string by)
    {
        var spec = JobSpec.Read(folder);
        var trainable = (long?)Outcome(folder)["trainable_parameters"] ?? 0;
        return new Variant(spec, spec.Axes.GetValueOrDefault("variant", ""), trainable, Last(folder, by));
    }

    // Not every row has every metric: those of eval_data stand in rows after which it was measured, the last one among them.
    private static double? Last(JobFolder folder, string by)
    {
        var names = new SortedSet<string>(StringComparer.Ordinal);
        double? last = null;
        var found = false;
        foreach (var line in File.ReadLines(folder.File("metrics.jsonl")).Where(line => line.Length > 0))
        {
            using var row = JsonDocument.Parse(line);
            foreach (var property in row.RootElement.EnumerateObject())
            {
                names.Add(property.Name);
                if (property.Name != by) continue;
                found = true;
                last = property.Value.ValueKind == JsonValueKind.Number && property.Value.GetDouble() is var value && double.IsFinite(value) ? value : null;
            }
        }
        if (!found) throw new UserErrorException(string.Create(CultureInfo.InvariantCulture, $"select: by: {by} is no metric of {JobSpec.Read(folder).Label}; it has {string.Join(", ", names)}. Name one of them; the trainings stay as they are."));
        return last;
    }
}
