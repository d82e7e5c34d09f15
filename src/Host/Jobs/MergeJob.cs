// Merges trained policies of a manifest: in adapter space where that is exact (sums of LoRA adapters of one base), else through
// full weights. The result is a policy like any other: folder model, or folder adapter over the common base.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Host.Running;
using PeftAlign.Merging;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Decoders;

namespace PeftAlign.Host.Jobs;

internal static class MergeJob
{
    private const string Contract = "contract.json";

    internal static JsonObject Run(JobContext job)
    {
        var options = job.Spec.Options;
        var strategies = new StrategyFinder(job.Plugins, job.Context);
        var name = (string)options["strategy"]!["name"]!;
        var strategy = strategies.Find(name);
        var parents = options["parents"]!.AsArray().Select(parent => (Name: NameOf(parent!), Place: Policies.Place(job, parent!).Plain)).ToList();
        var (root, rootPlace) = (NameOf(options["base_model"]!), Policies.Place(job, options["base_model"]!));
        var parameters = options["strategy"]!["options"]!.AsObject();
        if (AdapterSum(job, strategy, parents.ConvertAll(p => p.Place), rootPlace, parameters) is { } merged) return merged;

        var role = strategy.Contract.Traits.FirstOrDefault() ?? "";
        if (role == MergeBase.Origin && !OnFullBase(job)) rootPlace = Origin(job, rootPlace);
        var origin = role switch { MergeBase.Origin => root, MergeBase.First => parents[0].Name, _ => null };
        var places = parents.Append((Name: root, Place: rootPlace)).DistinctBy(p => p.Name).ToDictionary(p => p.Name, p => p.Place);
        var names = places.Keys.ToList();
        var config = Programmed.Config(name, strategy.Contract.Options, parents.ConvertAll(p => p.Name), origin, parameters);
        using var plan = Merger.Plan(config, new MergeFaults(job.Spec.Label), strategies.Find, model => Readable(job, names.IndexOf(model), places[model]));
        foreach (var warning in plan.Warnings) job.Warn(warning);
        if (Directory.Exists(job.Folder.Model)) Directory.Delete(job.Folder.Model, recursive: true); // of a try that ended before its result was noted
        var outcome = new MergeRunner(plan, new MergeOptions
        {
            Seed = (ulong)(long)options["seed"]!,
            Level = options["parents"]!.AsArray().Max(parent => Lineage.Merges(job, parent!)),
            Cancellation = job.Cancellation,
            Progress = (done, total, tensor) => job.Progress(done, total, tensor),
        }).Write(job.Folder.Model);
        if (Directory.Exists(Parents(job))) Directory.Delete(Parents(job), recursive: true);
        return new JsonObject { ["space"] = "weights", ["tensors"] = plan.Tensors.Count, ["bytes"] = outcome.Bytes, ["warnings"] = new JsonArray([.. plan.Warnings.Select(w => (JsonNode)w)]) };
    }

    // Differences from the base are those from what the parents were trained over, which is one.
    private static PolicyPlace Origin(JobContext job, PolicyPlace root)
    {
        var options = job.Spec.Options;
        var over = options["parents"]!.AsArray().SelectMany(parent => Lineage.Quantizations(job, parent!, options["base_model"]!)).Distinct().ToList();
        if (over.Count > 1)
            throw new UserErrorException($"{job.Spec.Label}: its parents were trained over different quantisations of their base ({string.Join(" and ", over.Select(one => one.Length == 0 ? "none" : one))}), so that no common base is left to measure differences from; give base: w16, or select parents over one of them.");
        return over is [{ Length: > 0 } one] ? root with { Over = JsonNode.Parse(one) } : root;
    }

    // The merger adds LoRA adapters itself, except those that change the base when they start; these, other types and stacked adapters
    // are first merged into weights by the plugins that read them. So are adapters over 4 bits, unless `base: w16` asks for the full base:
    // they are added to the decoded matrices that they were trained over.
    private static ModelPlace Readable(JobContext job, int number, PolicyPlace place)
    {
        var decoded = !OnFullBase(job) && (place.Quantization is not null || Models.Checkpoints.ModelConfig.Open(place.Base).IsQuantized);
        if (!decoded && !place.IsStack && (place.Adapter is not { } lora || (AdapterReader.PeftType(lora.Folder) == "LORA" && LoraWeights.Reads(lora.Folder)))) return new ModelPlace(place.Base, place.Adapter?.Folder);
        var whole = Path.Combine(Parents(job), number.ToString(CultureInfo.InvariantCulture)); // names of folders may repeat
        RunFolder.Fill(whole, folder => AdapterMerge.Write(folder, place.Base, outline => Sites(job, outline, place), PluginArchitectures.Of(job.Plugins), dtype: null, decoded ? Policies.Quantization(job, place) : null, job.Cancellation, job.Warn));
        return new ModelPlace(whole, null);
    }

    // All adapters at once: one may add to a tensor that another trained whole.
    private static IReadOnlyList<AdapterSite> Sites(JobContext job, ModelOutline outline, PolicyPlace place)
    {
        var folders = place.IsStack ? place.Adapters.Select(adapter => adapter.Folder) : place.Adapter is { } only ? [only.Folder] : [];
        return [.. AdapterLayers.Deltas(folders.Select(folder => Policies.Adapter(job, outline, folder))).Select(module => new AdapterSite(module.Key, module.Value))];
    }

    private static bool OnFullBase(JobContext job) => (string?)job.Spec.Options["base"] == "w16";

    private static string Parents(JobContext job) => job.Folder.File("parents");

    /// <summary>The contract of the adapter that a merge job wrote.</summary>
    internal static JsonNode AdapterContract(JobFolder made) => JsonNode.Parse(File.ReadAllText(Path.Combine(made.Adapter, Contract)))!;

    // For messages, and to tell the parents apart: no number depends on it.
    private static string NameOf(JsonNode policy) => policy["weights"] is JsonObject made ? (string)made["job"]! + ((string?)made["checkpoint"] is { } point ? $"@{point}" : "") : (string)policy["weights"]!;

    private static JsonObject? AdapterSum(JobContext job, ProvidedStrategy strategy, List<PolicyPlace> parents, PolicyPlace root, JsonObject parameters)
    {
        if (root.Adapter is not null || parents.Any(parent => parent.IsStack || parent.Adapter is null || parent.Base != root.Base)) return null;
        var contract = parents[0].Adapter!.Contract;
        if (AdapterReader.PeftType(parents[0].Adapter!.Folder) != "LORA") return null;
        if (parents.Any(parent => !JsonNode.DeepEquals(parent.Adapter!.Contract, contract))) return null;
        if (LoraSums.Weights(strategy.Contract.Name, parameters, parents.Count) is not { } weights) return null;
        int? rank = null;
        RunFolder.Fill(job.Folder.Adapter, folder =>
        {
            rank = LoraSums.Write(root.Base, [.. parents.Select(parent => parent.Adapter!.Folder)], weights, folder, PluginArchitectures.Of(job.Plugins));
            if (rank is null) return;
            var read = contract.DeepClone();
            (read["options"]!["rank"], read["options"]!["alpha"], read["options"]!["use_rslora"]) = (rank.Value, (double)rank.Value, false);
            if (OnFullBase(job)) read.AsObject().Remove("quantization"); // the sum stands on the full base
            // The patterns' ranks and scales are in the tensors now.
            foreach (var key in (string[])["rank_pattern", "alpha_pattern"])
                if (read["options"]![key] is JsonObject) read["options"]![key] = new JsonObject();
            File.WriteAllText(Path.Combine(folder, Contract), read.ToJsonString());
        });
        if (rank is not null) return new JsonObject { ["space"] = "adapter", ["rank"] = rank.Value, ["weights"] = new JsonArray([.. weights.Select(w => (JsonNode)w)]) };
        Directory.Delete(job.Folder.Adapter, recursive: true);
        return null;
    }
}
