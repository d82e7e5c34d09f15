// From {"weights": PATH or another job} to a model that can be trained or asked: base folder, adapters, tokenizer.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Text;

namespace PeftAlign.Host.Jobs;

/// <param name="Base">Folder of the full weights.</param>
/// <param name="Adapter">Folder of an adapter over them, with the contract that reads it; null for none.</param>
internal sealed record PolicyPlace(string Base, (string Folder, JsonNode Contract)? Adapter);

/// <param name="Model">The weights.</param>
/// <param name="Tokenizer">Null where the folder has none.</param>
/// <param name="ChatTemplate">Null where the folder has none.</param>
/// <param name="Outline">The modules.</param>
/// <param name="Adapter">Deltas over the weights; empty for none.</param>
internal sealed record Policy(DecoderModel Model, ITokenizer? Tokenizer, IChatTemplate? ChatTemplate, ModelOutline Outline, IReadOnlyList<AdapterSite> Adapter)
{
    internal ForwardMode Mode => new() { Deltas = Adapter.ToDictionary(s => s.Module, s => s.Delta) };
}

internal static class Policies
{
    /// <summary>Where a policy lies; follows jobs to what they wrote.</summary>
    internal static PolicyPlace Place(JobContext job, JsonNode policy)
    {
        var weights = policy["weights"]!;
        if (weights is JsonValue path) return new PolicyPlace(job.Spec.FullPath((string)path!), null);
        if (weights["checkpoint"] is { } checkpoint)
            throw new UserErrorException($"Starting from the checkpoint {checkpoint} of another job is not built yet; use the job's end.");
        return Of(job, job.Folder.Sibling((string)weights["job"]!));
    }

    private static PolicyPlace Of(JobContext job, JobFolder made)
    {
        if (Directory.Exists(made.Model)) return new PolicyPlace(made.Model, null);
        var spec = JobSpec.Read(made);
        if (spec.Kind == "merge") return Place(job, spec.Options["base_model"]!) with { Adapter = (made.Adapter, MergeJob.AdapterContract(made)) };
        var below = Place(job, spec.Options["policy"]!);
        if (below.Adapter is not null)
            throw new UserErrorException($"{spec.Label} is an adapter over an adapter; stacks of adapters are not built yet. Train the first stage without an adapter.");
        return below with { Adapter = (made.Adapter, spec.Options["adapter"]!) };
    }

    internal static Policy Load(JobContext job, PolicyPlace place)
    {
        DecoderModel Read() => ModelFolder.Load(place.Base, warning => job.Logger.LogWarning("{Warning}", warning), PluginArchitectures.Of(job.Plugins));
        // A training changes its model, and may load a base twice: as policy and as reference.
        var model = JobKind.Find(job.Spec.Kind)?.Shares == true ? job.Kept.Of(place.Base, Read) : Read();
        var outline = model.Outline(place.Base);
        IReadOnlyList<AdapterSite> sites = [];
        if (place.Adapter is var (folder, contract))
            sites = job.Create<IPeftAdapter>(contract).Load(outline, Files(folder));
        var tokenizer = ModelFolder.HasTokenizer(place.Base) ? TokenizerLoader.Load(place.Base) : null;
        return new Policy(model, tokenizer, ChatTemplateLoader.Load(place.Base), outline, sites);
    }

    /// <summary>The contents of an adapter's folder.</summary>
    internal static AdapterFiles Files(string folder)
    {
        using var adapter = AdapterFolder.Open(folder);
        return new AdapterFiles(JsonNode.Parse(adapter.Config.GetRawText())!.AsObject(), adapter.Names.ToDictionary(name => name, adapter.Tensor));
    }
}
