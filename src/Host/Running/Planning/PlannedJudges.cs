// Finds benchmarks that cannot read what their judge answers, before any job starts rather than after the trainings to evaluate.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Running;

internal static class PlannedJudges
{
    /// <exception cref="UserErrorException">A line for each evaluation whose judge does not fit.</exception>
    internal static void ThrowIfUnfit(Plan chosen, PluginCatalogue plugins) => PlanFaults.ThrowIfAny(chosen, job => job.Kind == "evaluate" ? Fault(job, plugins) : null);

    private static string? Fault(PlanJob job, PluginCatalogue plugins) =>
        JsonNode.Parse(job.Options)!["benchmark"] is JsonObject benchmark && benchmark["options"] is JsonObject options
            ? plugins.UnfitJudge(plugins.Find("benchmark", (string)benchmark["name"]!).Contract, options) : null;
}
