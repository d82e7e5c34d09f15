// Benchmarks whose judge gives what they cannot read: told before any job starts, not after the trainings that they would evaluate.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Running;

internal static class PlannedJudges
{
    private const int ToldAtMost = 20;

    /// <exception cref="UserErrorException">A line for each evaluation whose judge does not fit.</exception>
    internal static void ThrowIfUnfit(Plan chosen, PluginCatalogue plugins)
    {
        var found = chosen.Jobs.Where(job => job.Kind == "evaluate").Select(job => (job.Label, Why: Fault(job, plugins))).Where(fault => fault.Why is not null).Select(fault => $"{fault.Label}: {fault.Why}").ToList();
        if (found.Count > 0) throw new UserErrorException(string.Join(Environment.NewLine, [.. found.Take(ToldAtMost), $"{found.Count} fault(s); nothing was started."]));
    }

    private static string? Fault(PlanJob job, PluginCatalogue plugins) =>
        JsonNode.Parse(job.Options)!["benchmark"] is JsonObject benchmark && benchmark["options"] is JsonObject options
            ? plugins.UnfitJudge(plugins.Find("benchmark", (string)benchmark["name"]!).Contract, options) : null;
}
