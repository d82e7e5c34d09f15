// What the language can say and this version cannot do yet, found in the plan before any job starts.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Training;

namespace PeftAlign.Host.Running;

internal static class NotBuilt
{
    private static readonly string[] Kinds = ["make-model", "make-dataset", "reference", "train", "select", "merge", "evaluate", "report"];

    /// <exception cref="UserErrorException">Every such thing is a line that names the job and what to leave out.</exception>
    internal static void ThrowIfAny(Plan plan)
    {
        var found = plan.Jobs.SelectMany(job => Of(job).Select(what => $"{job.Label}: {what}")).Distinct().ToList();
        if (found.Count > 0) throw new UserErrorException(string.Join(Environment.NewLine, [.. found, "Not built yet in this version; nothing was started."]));
    }

    private static IEnumerable<string> Of(PlanJob job)
    {
        if (!Kinds.Contains(job.Kind)) return [$"jobs of kind {job.Kind}"];
        var options = JsonNode.Parse(job.Options)!.AsObject();
        return job.Kind == "train" ? OfTraining(options) : [];
    }

    // The trainer's refusal of the options, if it is a NotBuiltException.
    private static string[] OfTraining(JsonObject options)
    {
        try
        {
            TrainingOptions.Of(options["training"]!.AsObject(), 0);
            return [];
        }
        catch (NotBuiltException e)
        {
            return [e.Message];
        }
    }
}
