// What a policy of a run descends from: how many merges are nested in it, and over which quantisation of a base its weights
// were trained. Both follow from the jobs' specs, which are part of their ids, and never from a path.

using System.Text.Json.Nodes;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Jobs;

internal static class Lineage
{
    /// <summary>How many merges lie one over another in a policy; 0 where none does, or where another run made it.</summary>
    internal static int Merges(JobContext job, JsonNode policy)
    {
        if (Maker(job, policy) is not { } maker) return 0;
        var below = Before(maker).Select(parent => Merges(job, parent)).DefaultIfEmpty(0).Max();
        return maker.Spec.Kind == "merge" ? below + 1 : below;
    }

    /// <summary>
    /// The quantisations of the base that a policy was trained over, as JSON, whether its adapters still name them or they are in its
    /// weights by now; empty text for the base as it is. Several where it was merged of policies over different ones.
    /// </summary>
    /// <param name="job">Its run.</param>
    /// <param name="policy">Weights.</param>
    /// <param name="root">What counts as the base.</param>
    internal static IReadOnlySet<string> Quantizations(JobContext job, JsonNode policy, JsonNode root)
    {
        if (Policies.Place(job, policy).Quantization is { } own) return new HashSet<string> { own.ToJsonString() };
        if (JsonNode.DeepEquals(policy["weights"], root["weights"]) || Maker(job, policy) is not { } maker || (string?)maker.Spec.Options["base"] == "w16") return new HashSet<string> { "" };
        return Before(maker).SelectMany(parent => Quantizations(job, parent, root)).DefaultIfEmpty("").ToHashSet();
    }

    private static (JobFolder Folder, JobSpec Spec)? Maker(JobContext job, JsonNode policy)
    {
        if (policy["weights"] is not JsonObject made) return null;
        var folder = job.Folder.Sibling((string)made["job"]!);
        return (folder, JobSpec.Read(folder));
    }

    // The policies that a job made its own policy from.
    private static IEnumerable<JsonNode> Before((JobFolder Folder, JobSpec Spec) maker) => maker.Spec.Kind switch
    {
        "merge" => maker.Spec.Options["parents"]!.AsArray().Select(parent => parent!),
        "select" => [new JsonObject { ["weights"] = new JsonObject { ["job"] = SelectJob.Chosen(maker.Folder) } }],
        "train" => [maker.Spec.Options["policy"]!],
        _ => [],
    };
}
