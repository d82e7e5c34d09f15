// From {"weights": PATH or another job} to a model that can be trained or asked: base folder, adapters, tokenizer.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Quantizing;
using PeftAlign.Host.Running;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Templates;
using PeftAlign.Models.Text;
using PeftAlign.Torch;

namespace PeftAlign.Host.Jobs;

/// <param name="Folder">A PEFT folder.</param>
/// <param name="Contract">The plugin's adapter with the options that made it; what reads the folder is found by its peft_type.</param>
internal sealed record AdapterPlace(string Folder, JsonNode Contract);

/// <param name="Base">Folder of the full weights.</param>
/// <param name="Adapters">Adapters over them, from the lowest to the uppermost.</param>
internal sealed record PolicyPlace(string Base, IReadOnlyList<AdapterPlace> Adapters)
{
    /// <summary>Of several adapters, the folder that holds their exact sum; null where there is none.</summary>
    internal string? Joined { get; init; }

    /// <summary>Another chat template than the folder's: a name, or a full path; null for none.</summary>
    internal string? Template { get; init; }

    /// <summary>How the base was quantised under its adapters; null = as its folder has it.</summary>
    internal JsonNode? Quantization => Over ?? Adapters.Select(a => a.Contract["quantization"]).FirstOrDefault(q => q is not null);

    /// <summary>A quantisation of the base that no adapter of its own names; null for none.</summary>
    internal JsonNode? Over { get; init; }

    /// <summary>The controls that the policy was trained with; empty for none.</summary>
    internal IReadOnlyDictionary<string, PolicyControl> Controls { get; init; } = new Dictionary<string, PolicyControl>();

    /// <summary>What reads the controls' folders; null where none are adapters.</summary>
    internal JsonNode? ControlContract { get; init; }

    /// <summary>The policy under one of its controls, or without any.</summary>
    /// <param name="control">A name; null for none.</param>
    /// <exception cref="UserErrorException">The policy has no such control.</exception>
    internal (PolicyPlace Place, TextControl? Text) Under(string? control)
    {
        var without = this with { Controls = new Dictionary<string, PolicyControl>() };
        if (control is null) return (without, null);
        var found = PolicyControls.Find(Controls, control, "the policy");
        return found.Folder is { } folder ? (without with { Adapters = [.. Adapters, new AdapterPlace(folder, ControlContract!)], Joined = null }, null) : (without, found.Text);
    }

    /// <summary>Refuses to go on from, or to merge, a policy whose controls would be lost.</summary>
    /// <exception cref="UserErrorException">It has controls that are adapters.</exception>
    internal PolicyPlace Plain
    {
        get
        {
            PolicyControls.ThrowIfAdapters(Controls);
            return this;
        }
    }

    /// <summary>Whether several adapters lie over one another that are no single adapter.</summary>
    internal bool IsStack => Adapters.Count > 1 && Joined is null;

    /// <summary>The one adapter that stands for all; null where there is none.</summary>
    /// <exception cref="UserErrorException">Several that are no single adapter.</exception>
    internal AdapterPlace? Adapter => Adapters switch
    {
        [] => null,
        [var only] => only,
        [.., var last] when Joined is { } folder => last with { Folder = folder },
        _ => throw new UserErrorException($"The adapters {string.Join(", ", Adapters.Select(a => a.Folder))} are stacked and are not a single adapter; train the last stage without an adapter, which merges them into weights."),
    };
}

/// <param name="Model">The weights.</param>
/// <param name="Tokenizer">Null where the folder has none.</param>
/// <param name="ChatTemplate">The policy's own, else the folder's; null where there is neither.</param>
/// <param name="Outline">The modules.</param>
/// <param name="Adapters">Changes of the weights by each adapter; empty for none.</param>
internal sealed record Policy(DecoderModel Model, ITokenizer? Tokenizer, IChatTemplate? ChatTemplate, ModelOutline Outline, IReadOnlyList<IReadOnlyList<AdapterSite>> Adapters)
{
    /// <summary>Tokens that the model has and its base's folder has not; null for none.</summary>
    internal NewTokens? Added { get; init; }

    internal ForwardMode Mode => new() { Deltas = AdapterLayers.Deltas(Adapters) };
}

internal static class Policies
{
    /// <summary>Where a policy lies; follows jobs to what they wrote.</summary>
    internal static PolicyPlace Place(JobContext job, JsonNode policy)
    {
        var place = Weights(job, policy);
        return TemplateOf(policy, job.Spec.FullPath) is { } template ? place with { Template = template } : place;
    }

    /// <summary>The chat template that a policy names, by the experiment language's rule for what is a file; null where it names none.</summary>
    /// <param name="policy">Weights, perhaps with chat_template.</param>
    /// <param name="full">A path from the manifest's folder.</param>
    internal static string? TemplateOf(JsonNode policy, Func<string, string> full) =>
        (string?)policy["chat_template"] is not { } name ? null : name.Contains('/') || name.EndsWith(".jinja", StringComparison.Ordinal) ? full(name) : name;

    private static PolicyPlace Weights(JobContext job, JsonNode policy)
    {
        var weights = policy["weights"]!;
        if (weights is JsonValue path) return new PolicyPlace(job.Spec.FullPath((string)path!), []) { Controls = PolicyControls.Texts(job.Spec.FullPath((string)path!)) };
        return Of(job, job.Folder.Sibling((string)weights["job"]!), (string?)weights["checkpoint"]);
    }

    // A job that trained an adapter wrote it alone, or, over others that stayed frozen, the whole stack; likewise at a point.
    private static PolicyPlace Of(JobContext job, JobFolder made, string? point)
    {
        var at = point is null ? made : made.Point(point);
        var (spec, controls) = (JobSpec.Read(made), PolicyControls.Adapters(at.Adapter));
        if (spec.Kind == "select") return Of(job, job.Folder.Sibling(SelectJob.Chosen(made)), point);
        if (Directory.Exists(at.Model)) return new PolicyPlace(at.Model, []) with { Controls = controls.Count > 0 ? controls : PolicyControls.Texts(at.Model), ControlContract = spec.Options["adapter"] };
        if (spec.Kind == "merge") return Place(job, spec.Options["base_model"]!) with { Adapters = [new AdapterPlace(at.Adapter, MergeJob.AdapterContract(made))] };
        var (below, own) = (Place(job, spec.Options["policy"]!).Plain, spec.Options["adapter"]!);
        if (controls.Count > 0) return below with { Controls = controls, ControlContract = own, Over = below.Quantization ?? own["quantization"] };
        below = below with { Controls = PolicyControls.Texts(at.Adapter) };
        if (!Directory.Exists(at.Adapters)) return below with { Adapters = [new AdapterPlace(at.Adapter, own)], Joined = null };
        var trained = Directory.GetDirectories(at.Adapters).Length - 1; // the uppermost, new or a copy that went on
        return below with { Adapters = [.. below.Adapters.Take(trained).Select((a, k) => a with { Folder = at.AdapterLayer(k) }), new AdapterPlace(at.AdapterLayer(trained), own)], Joined = Directory.Exists(at.Adapter) ? at.Adapter : null };
    }

    /// <summary>Loads a policy.</summary>
    /// <param name="job">Its plugins and log.</param>
    /// <param name="place">Where it lies.</param>
    /// <param name="over">A quantisation that a new adapter asks for; null = the policy's own.</param>
    /// <param name="scoreSeed">With a score head of one number, which a language model gets anew from this seed; null = as it is.</param>
    /// <param name="dtype">Of the weights; null = the device's standard for what is only asked. A model with a score head has float32.</param>
    internal static Policy Load(JobContext job, PolicyPlace place, JsonNode? over = null, ulong? scoreSeed = null, torch.ScalarType? dtype = null)
    {
        var (architectures, quantization) = (PluginArchitectures.Of(job.Plugins), Quantization(job, place, over));
        DecoderModel Read() => scoreSeed is { } seed ? RewardFolder.Load(place.Base, seed, job.Warn, architectures, quantization, job.Device) : ModelFolder.Load(place.Base, job.Warn, architectures, dtype ?? ComputeType.Standard(job.Device, place.Base), quantization, job.Device);
        // A training changes its model, and may load a base twice: as policy and as reference.
        var model = JobKind.Find(job.Spec.Kind)?.Shares == true ? job.Kept.Of(place.Base + (over ?? place.Quantization)?.ToJsonString(), Read) : Read();
        SkippedLayers.ThrowIfUnknown(((over ?? place.Quantization)?["options"]?["skip"] as JsonArray ?? []).Select(name => (string)name!), model.Spec, "skip");
        var outline = model.Outline(place.Base);
        var adapters = place.Adapters.Select(a => Adapter(job, outline, a.Folder)).ToList();
        var tokenizer = ModelFolder.HasTokenizer(place.Base) ? TokenizerLoader.Load(place.Base) : null;
        return new Policy(model, tokenizer, ChatTemplateLoader.Load(place.Base, place.Template), outline, adapters);
    }

    /// <summary>What quantises a policy's base; null where nothing does.</summary>
    /// <exception cref="UserErrorException">An earlier stage was trained over another quantisation: nothing is quantised twice.</exception>
    internal static IQuantization? Quantization(JobContext job, PolicyPlace place, JsonNode? over = null)
    {
        if (over is not null && place.Quantization is { } before && !JsonNode.DeepEquals(before, over))
            throw new UserErrorException($"The policy was trained over {before.ToJsonString()}, and this training asks for {over.ToJsonString()}; a stage goes on over the same base. Give both the same quantization options.");
        return (over ?? place.Quantization) is { } contract ? job.Create<IQuantization>(contract) : null;
    }

    /// <summary>The sites of a PEFT folder, read by whatever plugin of the plan has its peft_type.</summary>
    internal static IReadOnlyList<AdapterSite> Adapter(JobContext job, ModelOutline outline, string folder) =>
        AdapterReader.Sites(Open(job, folder), outline, folder, job.Warn);

    /// <summary>The contents of a PEFT folder and what reads it.</summary>
    internal static (AdapterFiles Files, IPeftAdapter Reader) Open(JobContext job, string folder) =>
        new AdapterReader(job.Plugins).Open(folder, job.Warn);
}
