// Checks a plan's use of controls before any job starts: a control must be one that the policy will have, and nothing is trained or merged
// from a policy whose controls are adapters. The manifest's language knows which methods train controls; the controls' names depend on a
// method's options, so the method is made here.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Host.Jobs;
using PeftAlign.Models.Adapters;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Running;

/// <param name="whole">Every job, so that a part's policies can be followed to what trains them.</param>
/// <param name="run">The run's folder.</param>
/// <param name="root">The manifest's folder.</param>
/// <param name="plugins">All that the plan may name.</param>
internal sealed class PlannedControls(Plan whole, RunFolder run, string root, PluginCatalogue plugins)
{
    private static readonly Dictionary<string, PolicyControl> None = [];

    private readonly Dictionary<string, PlanJob> jobs = whole.Jobs.ToDictionary(job => job.Id);
    private readonly Dictionary<string, IReadOnlyDictionary<string, PolicyControl>> known = [];

    /// <exception cref="UserErrorException">A line for each job that asks for what there will not be.</exception>
    internal void ThrowIfLacking(Plan chosen) => PlanFaults.ThrowIfAny(chosen, Fault);

    private string? Fault(PlanJob job)
    {
        if (job.Kind is not ("evaluate" or "train" or "reference" or "merge")) return null;
        var options = JsonNode.Parse(job.Options)!.AsObject();
        try
        {
            if (job.Kind != "evaluate") foreach (var start in options["parents"] as JsonArray ?? [options["policy"]?.DeepClone()]) PolicyControls.ThrowIfAdapters(Of(start!));
            else if ((string?)options["control"] is { } control) PolicyControls.Find(Of(options["policy"]!), control, "the policy");
            return null;
        }
        catch (UserErrorException e)
        {
            return e.Message;
        }
    }

    // A folder's controls are those that it holds; a job's are those of the method that trains it.
    private IReadOnlyDictionary<string, PolicyControl> Of(JsonNode policy)
    {
        if (policy["weights"] is not JsonObject made) return PolicyControls.Texts(Path.GetFullPath((string)policy["weights"]!, root));
        var id = (string)made["job"]!;
        return known.TryGetValue(id, out var found) ? found : known[id] = Of(jobs[id]);
    }

    private IReadOnlyDictionary<string, PolicyControl> Of(PlanJob job)
    {
        var options = JsonNode.Parse(job.Options)!.AsObject();
        if (job.Kind == "select") return Of(options["candidates"]![0]!);
        if (job.Kind != "train" || !plugins.Find("method", (string)options["method"]!["name"]!).Contract.Traits.Contains("controls")) return None;
        var context = new JobContext(new JobSpec(job.Id, job.Kind, job.Label, options, root, 1, []), run.Job(job.Id), plugins, NullLogger.Instance, (_, _, _) => { }, default);
        return context.Create<IAlignmentMethod>(options["method"]!) switch
        {
            // The folder in which an adapter will be is not needed yet.
            ITrainsControls adapters => adapters.Controls.ToDictionary(name => name, name => new PolicyControl(name, null)),
            IHasTextControls texts => texts.TextControls.ToDictionary(control => control.Key, control => new PolicyControl(null, control.Value)),
            _ => None,
        };
    }
}
