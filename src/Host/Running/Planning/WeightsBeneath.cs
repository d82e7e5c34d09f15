// Weights that a job reads through others: the base under an adapter that another job trained. A job that made whole weights hides what
// they were made from, which may change or be deleted. The plan says which case it is; where only files could tell, the base counts.

using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Merging;

namespace PeftAlign.Host.Running;

/// <param name="jobs">The plan's jobs by id.</param>
internal sealed class WeightsBeneath(IReadOnlyDictionary<string, PlanJob> jobs)
{
    /// <summary>The inputs of other jobs that this one reads too, each path once.</summary>
    internal IReadOnlyList<PlanInput> Of(PlanJob job) => [.. job.DependsOn.SelectMany(Under).DistinctBy(input => input.Path)];

    private IEnumerable<PlanInput> Under(string id)
    {
        if (jobs.GetValueOrDefault(id) is not { } made) return [];
        var options = OptionsOf(made);
        return made.Kind switch
        {
            "train" when options["adapter"] is not null => Start(made, options, "policy"),
            "merge" when MayBeSum(options) => Start(made, options, "base_model"),
            "select" => Policies(options, "candidates").Select(JobOf).OfType<string>().SelectMany(Under),
            _ => [],
        };
    }

    // What adapters lie over: a folder that their job names, or what another job made.
    private IEnumerable<PlanInput> Start(PlanJob made, JsonObject options, string policy) =>
        JobOf(options[policy]) is { } below ? Under(below) : made.Inputs.Where(input => input.Place == policy + ".weights");

    private bool MayBeSum(JsonObject merge)
    {
        var parents = Policies(merge, "parents").ToList();
        return merge["strategy"] is { } strategy && LoraSums.Weights(((string)strategy["name"]!).Split('/')[^1], strategy["options"] as JsonObject ?? [], parents.Count) is not null && parents.All(MayBeAdapter);
    }

    private bool MayBeAdapter(JsonNode? policy)
    {
        if (JobOf(policy) is not { } id || jobs.GetValueOrDefault(id) is not { } made) return false;
        var options = OptionsOf(made);
        return made.Kind switch
        {
            "train" => options["adapter"] is not null,
            "merge" => MayBeSum(options),
            "select" => Policies(options, "candidates").Any(MayBeAdapter),
            _ => false,
        };
    }

    private static JsonObject OptionsOf(PlanJob job) => JsonNode.Parse(job.Options)!.AsObject();

    private static IEnumerable<JsonNode?> Policies(JsonObject options, string name) => options[name] as JsonArray ?? [];

    private static string? JobOf(JsonNode? policy) => policy?["weights"] is JsonObject made ? (string?)made["job"] : null;
}
