// From {"weights": PATH or another job} to a model that can be trained or asked: base folder, adapters, tokenizer.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Text;

namespace PeftAlign.Host.Jobs;

/// <param name="Folder">A PEFT folder.</param>
/// <param name="Contract">The plugin's adapter that reads it, with the options that made it.</param>
internal sealed record AdapterPlace(string Folder, JsonNode Contract);

/// <param name="Base">Folder of the full weights.</param>
/// <param name="Adapters">Adapters over them, from the lowest to the uppermost.</param>
internal sealed record PolicyPlace(string Base, IReadOnlyList<AdapterPlace> Adapters)
{
    /// <summary>Of several adapters, the folder that holds their exact sum; null where there is none.</summary>
    internal string? Joined { get; init; }

    /// <summary>The one adapter that stands for all; null where there is none.</summary>
    /// <exception cref="UserErrorException">Several that are no single adapter.</exception>
    internal AdapterPlace? Adapter => Adapters switch
    {
        [] => null,
        [var only] => only,
        [.., var last] when Joined is { } folder => last with { Folder = folder },
        _ => throw new UserErrorException($"The adapters {string.Join(", ", Adapters.Select(a => a.Folder))} lie over one another and are no single adapter; train the last stage without an adapter, which merges them into weights."),
    };
}

/// <param name="Model">The weights.</param>
/// <param name="Tokenizer">Null where the folder has none.</param>
/// <param name="ChatTemplate">Null where the folder has none.</param>
/// <param name="Outline">The modules.</param>
/// <param name="Adapters">Changes of the weights by each adapter; empty for none.</param>
internal sealed record Policy(DecoderModel Model, ITokenizer? Tokenizer, IChatTemplate? ChatTemplate, ModelOutline Outline, IReadOnlyList<IReadOnlyList<AdapterSite>> Adapters)
{
    internal ForwardMode Mode => new() { Deltas = AdapterLayers.Deltas(Adapters) };
}

internal static class Policies
{
    /// <summary>Where a policy lies; follows jobs to what they wrote.</summary>
    internal static PolicyPlace Place(JobContext job, JsonNode policy)
    {
        var weights = policy["weights"]!;
        if (weights is JsonValue path) return new PolicyPlace(job.Spec.FullPath((string)path!), []);
        if (weights["checkpoint"] is { } checkpoint)
            throw new UserErrorException($"Starting from the checkpoint {checkpoint} of another job is not built yet; use the job's end.");
        return Of(job, job.Folder.Sibling((string)weights["job"]!));
    }

    // A job that trained an adapter wrote it alone, or, over others that stayed frozen, the whole stack.
    private static PolicyPlace Of(JobContext job, JobFolder made)
    {
        if (Directory.Exists(made.Model)) return new PolicyPlace(made.Model, []);
        var spec = JobSpec.Read(made);
        if (spec.Kind == "merge") return Place(job, spec.Options["base_model"]!) with { Adapters = [new AdapterPlace(made.Adapter, MergeJob.AdapterContract(made))] };
        var (below, own) = (Place(job, spec.Options["policy"]!), spec.Options["adapter"]!);
        if (!Directory.Exists(made.Adapters)) return below with { Adapters = [new AdapterPlace(made.Adapter, own)], Joined = null };
        var trained = Directory.GetDirectories(made.Adapters).Length - 1; // the uppermost, new or a copy that went on
        return below with { Adapters = [.. below.Adapters.Take(trained).Select((a, k) => a with { Folder = made.AdapterLayer(k) }), new AdapterPlace(made.AdapterLayer(trained), own)], Joined = Directory.Exists(made.Adapter) ? made.Adapter : null };
    }

    internal static Policy Load(JobContext job, PolicyPlace place)
    {
        DecoderModel Read() => ModelFolder.Load(place.Base, warning => job.Logger.LogWarning("{Warning}", warning), PluginArchitectures.Of(job.Plugins));
        // A training changes its model, and may load a base twice: as policy and as reference.
        var model = JobKind.Find(job.Spec.Kind)?.Shares == true ? job.Kept.Of(place.Base, Read) : Read();
        var outline = model.Outline(place.Base);
        var adapters = place.Adapters.Select(a => job.Create<IPeftAdapter>(a.Contract).Load(outline, Files(a.Folder))).ToList();
        var tokenizer = ModelFolder.HasTokenizer(place.Base) ? TokenizerLoader.Load(place.Base) : null;
        return new Policy(model, tokenizer, ChatTemplateLoader.Load(place.Base), outline, adapters);
    }

    /// <summary>The contents of a PEFT folder.</summary>
    internal static AdapterFiles Files(string folder)
    {
        using var adapter = AdapterFolder.Open(folder);
        return new AdapterFiles(JsonNode.Parse(adapter.Config.GetRawText())!.AsObject(), adapter.Names.ToDictionary(name => name, adapter.Tensor));
    }
}
