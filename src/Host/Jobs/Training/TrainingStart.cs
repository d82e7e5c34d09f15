// Where a training starts: a new adapter, a folder's (init_adapter), a copy of the previous stage's, a new one over it, or the weights
// themselves; what the method refers to; and what the result's folder holds.

using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Host.Running;
using PeftAlign.Models;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Templates;
using PeftAlign.Torch;
using PeftAlign.Training;

namespace PeftAlign.Host.Jobs;

/// <param name="Adapter">What reads and writes the trained adapter; null where the weights are trained, or controls are.</param>
/// <param name="Trained">Its sites at their start; null likewise.</param>
/// <param name="Beneath">Frozen adapters below it.</param>
internal sealed record TrainingStart(IPeftAdapter? Adapter, IReadOnlyList<AdapterSite>? Trained, IReadOnlyList<IReadOnlyList<AdapterSite>> Beneath)
{
    /// <summary>The controls at their start, and what reads and writes each; null for a method without.</summary>
    internal IReadOnlyDictionary<string, ControlStart>? Controls { get; init; }

    /// <summary>The controls' sites; null likewise.</summary>
    internal IReadOnlyDictionary<string, IReadOnlyList<AdapterSite>>? ControlSites => Controls?.ToDictionary(c => c.Key, c => c.Value.Sites);

    /// <summary>Whether the model's own weights are other than those that it was loaded with.</summary>
    private bool IsMerged { get; init; }

    /// <summary>Controls that are texts; empty for none.</summary>
    private IReadOnlyDictionary<string, TextControl> Texts { get; init; } = new Dictionary<string, TextControl>();

    // What may differ between two stages that train one adapter: nothing of its shape or scale.
    internal static readonly string[] NotOfItsShape = ["dropout", "init", "init_text", "init_tokenizer"];

    /// <exception cref="UserErrorException">init_adapter does not go with the rest.</exception>
    internal static TrainingStart Of(JobContext job, PolicyPlace place, Policy policy, TrainingOptions options, IAlignmentMethod method) =>
        Of(job, place, policy, options, method as ITrainsControls) with { Texts = (method as IHasTextControls)?.TextControls ?? new Dictionary<string, TextControl>() };

    private static TrainingStart Of(JobContext job, PolicyPlace place, Policy policy, TrainingOptions options, ITrainsControls? controls)
    {
        if (controls is not null) return ControlStart.Of(job, policy, options, controls);
        if (job.Spec.Options["adapter"] is not { } contract)
        {
            if (options.InitAdapter is not null) throw new UserErrorException("init_adapter starts an adapter, but this training has none; name one (adapter: ...), or leave init_adapter out.");
            if (policy.Model.Quantized.Count > 0)
                throw new UserErrorException($"{policy.Model.Quantized.Count} matrices of this base are in 4 bits, which are frozen, and this training has no adapter; name one (adapter: lora), or train a full-precision base (adapter merge decodes).");
            return AfterMerging(policy);
        }
        var adapter = job.Create<IPeftAdapter>(contract);
        var (sites, beneath) = Sites(job, place, policy, options, contract, adapter);
        return new TrainingStart(adapter, Wide(policy.Model.Spec.Labels is null ? sites : ScoreHead.With(policy.Model, sites)), beneath);
    }

    /// <summary>Nothing trained yet, over the policy's weights with its adapters inside them.</summary>
    internal static TrainingStart AfterMerging(Policy policy)
    {
        AdapterMerge.Into(policy.Model, policy.Adapters); // full fine-tuning goes on from the whole policy
        return new TrainingStart(null, null, []) { IsMerged = policy.Adapters.Count > 0 };
    }

    private static (IReadOnlyList<AdapterSite> Sites, IReadOnlyList<IReadOnlyList<AdapterSite>> Beneath) Sites(JobContext job, PolicyPlace place, Policy policy, TrainingOptions options, JsonNode contract, IPeftAdapter adapter)
    {
        if (options.InitAdapter is { } folder)
        {
            var files = Policies.Open(job, job.Spec.FullPath(folder)).Files;
            TrainedWith.ThrowIfOther(job.Spec.FullPath(folder), place.Base, policy.Model.Spec.Vocabulary, job.Warn, policy.Tokenizer);
            TrainedWith.WarnOfFullBase(job.Spec.FullPath(folder), place.Base, policy.Model.Quantized.Count > 0, job.Warn);
            InitAdapter.ThrowIfOther(job, contract, policy.Outline, folder, files);
            return (Again(adapter, contract, policy.Outline, files, folder, job.Warn), policy.Adapters);
        }
        if (place.Adapters is [.., var last] && SameShape(last.Contract, contract))
            return (Again(adapter, contract, policy.Outline, Policies.Open(job, last.Folder).Files, last.Folder, _ => { }), [.. policy.Adapters.SkipLast(1)]); // told when the policy was loaded
        var fresh = adapter.Attached(AdapterLayers.Outline(policy.Outline, policy.Adapters), (ulong)options.Seed);
        ThrowIfApart(fresh, AdapterLayers.Deltas(policy.Adapters));
        AdapterReader.WarnOfExcluded(policy.Outline, contract["options"] is JsonObject given ? given.Texts("exclude_modules") : [], "", job.Warn);
        return (fresh, policy.Adapters);
    }

    // Trained rows of tokens override every other change of an embedding. Stacked with such a change, in either order, they could not start as the previous policy.
    private static void ThrowIfApart(IReadOnlyList<AdapterSite> fresh, IReadOnlyDictionary<string, Delta> beneath)
    {
        static IEnumerable<Delta> Parts(Delta delta) => delta is Stack stack ? stack.Layers.SelectMany(Parts) : [delta];
        foreach (var (module, delta) in fresh)
        {
            var below = beneath.TryGetValue(module, out var frozen) ? Parts(frozen).ToList() : [];
            if (delta is TokenRows && below.Exists(part => part is LowRank))
                throw new UserErrorException($"trainable_tokens train rows of {module}, which the stage before changes by a product (targets); leave trainable_tokens out, or train {module} by the same adapter in both stages.");
            if (delta is Whole { Weight: not null } && below.Exists(part => part is TokenRows))
                throw new UserErrorException($"modules_to_save trains {module} whole, of which the stage before trained rows (trainable_tokens); name the tokens in trainable_tokens, or train {module} by the same adapter in both stages.");
        }
    }

    // Copies of a narrow base's tensors (modules_to_save, biases) are trained in float32 too.
    internal static List<AdapterSite> Wide(IReadOnlyList<AdapterSite> sites) => [.. sites.Select(site => site with
    {
        Delta = site.Delta.With(role => site.Delta.Parameters[role] is { dtype: torch.ScalarType.BFloat16 or torch.ScalarType.Float16 } narrow ? narrow.to(torch.ScalarType.Float32) : site.Delta.Parameters[role]),
    })];

    /// <summary>What the method refers to: null = where training starts, or, with other weights' log-probs stored, a policy that is not loaded.</summary>
    /// <exception cref="UserErrorException">The folder is no reference for this model.</exception>
    internal static (ReferencePolicy? Policy, bool IsElsewhere) Reference(JobContext job, PolicyPlace place, Policy policy, TrainingOptions options, bool isStored)
    {
        if (options.Reference == "start") return (null, false);
        if (options.Reference == "base") return Whole(job, place, policy, Policies.Place(job, job.Spec.Options["base_policy"]!).Base, "base", options, isStored);
        var folder = job.Spec.FullPath(options.Reference);
        if (!File.Exists(Path.Combine(folder, "adapter_config.json"))) return Whole(job, place, policy, folder, folder, options, isStored);
        if (job.Spec.Options["adapter"] is null)
            throw new UserErrorException($"reference {folder} is an adapter over the base, but this training changes the base's own weights; name a model folder, or train an adapter.");
        return (new ReferencePolicy(policy.Model, new ForwardMode { Deltas = AdapterLayers.Deltas(Policies.Adapter(job, policy.Outline, folder)) }), false);
    }

    /// <summary>
    /// Writes model; or adapter; or, over frozen adapters, adapters/1 ... and, where it can be one, adapter; or each control's
    /// adapter/NAME, and the model that they belong to where its weights are changed.
    /// </summary>
    /// <param name="job">The training.</param>
    /// <param name="policy">What it started from; its model holds the trained weights where they are trained.</param>
    /// <param name="place">Where that lies.</param>
    /// <param name="folder">The job's folder, or a point's.</param>
    /// <param name="parts">What is trained, with its present numbers.</param>
    internal void Write(JobContext job, Policy policy, PolicyPlace place, JobFolder folder, TrainedParts parts)
    {
        if (parts.Model || IsMerged)
            RunFolder.Fill(folder.Model, path =>
            {
                Save(path, policy, place);
                if (Texts.Count > 0) PolicyControls.Write(path, Texts);
            });
        if (Controls is not null)
            RunFolder.Fill(folder.Adapter, path =>
            {
                foreach (var (name, control) in Controls) WriteTrained(Path.Combine(path, name), policy, control.Adapter.Saved(policy.Outline, parts.Controls![name]));
            });
        if (Adapter is not null) WriteAdapter(job, policy, place, folder, parts.Adapter!);
    }

    private void WriteAdapter(JobContext job, Policy policy, PolicyPlace place, JobFolder folder, IReadOnlyList<AdapterSite> trained)
    {
        var own = policy.Model.Spec.Labels is null ? Adapter!.Saved(policy.Outline, trained) : ScoreHead.Save(Adapter!, policy.Outline, trained);
        if (policy.Model.Spec.Labels is not null) WriteMerged(job, policy, place, folder, trained);
        if (Beneath.Count == 0)
        {
            RunFolder.Fill(folder.Adapter, path => WriteOne(path, own));
            return;
        }
        RunFolder.Fill(folder.Adapters, path =>
        {
            for (var k = 0; k < Beneath.Count; k++)
            {
                Write(Path.Combine(path, $"{k + 1}"), Policies.Open(job, place.Adapters[k].Folder).Files);
                TrainedWith.Join(Path.Combine(path, $"{k + 1}"), [place.Adapters[k].Folder]);
            }
            WriteTrained(Path.Combine(path, $"{Beneath.Count + 1}"), policy, own);
        });
        if (AdapterLayers.Concatenated(policy.Outline, own.Config, [.. Beneath, trained]) is { } joined) RunFolder.Fill(folder.Adapter, path => WriteOne(path, joined));

        void WriteOne(string path, AdapterFiles files)
        {
            WriteTrained(path, policy, files);
            if (Texts.Count > 0) PolicyControls.Write(path, Texts);
        }
    }

    // A reward model is used from one folder, so besides the adapter's own folder the adapters are merged into its weights. At a point the
    // model is still in training, so a copy of it takes them.
    private void WriteMerged(JobContext job, Policy policy, PolicyPlace place, JobFolder folder, IReadOnlyList<AdapterSite> trained)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        DecoderModel merged;
        try
        {
            merged = AdapterMerge.Merged(policy.Model, [.. Beneath, trained]);
        }
        catch (UserErrorException e)
        {
            job.Logger.LogWarning("no {Folder} is written: {Reason}", folder.Model, e.Message);
            return;
        }
        RunFolder.Fill(folder.Model, path => Save(path, policy with { Model = merged }, place));
    }

    // A model that was trained with another template must be used with that template.
    private static void Save(string path, Policy policy, PolicyPlace place)
    {
        if (policy.Model.Spec.Labels is null) ModelFolder.Save(path, policy.Model, place.Base);
        else RewardFolder.Save(path, policy.Model, place.Base, RewardFolder.PadToken(place.Base, policy.Tokenizer, policy.Model.Spec.Vocabulary));
        policy.Added?.Write(path);
        if (place.Template is not null) File.WriteAllText(Path.Combine(path, ChatTemplateLoader.FileName), policy.ChatTemplate!.Source);
    }

    private static (ReferencePolicy? Policy, bool IsElsewhere) Whole(JobContext job, PolicyPlace place, Policy policy, string folder, string name, TrainingOptions options, bool isStored)
    {
        var trainsWeights = job.Spec.Options["adapter"] is null;
        var isBase = Path.GetFullPath(folder) == Path.GetFullPath(place.Base);
        if (isBase && !trainsWeights) return (new ReferencePolicy(policy.Model, ForwardMode.Plain), false);
        if (isBase && policy.Adapters.Count == 0) return (null, false);
        if (isStored) return (null, true);
        var other = Model(job, folder, options.Dtype);
        if (other.Spec.Vocabulary != policy.Model.Spec.Vocabulary)
            throw new UserErrorException($"The reference {name} has a vocabulary of {other.Spec.Vocabulary} and the policy one of {policy.Model.Spec.Vocabulary}; a reference needs the policy's tokenizer.");
        return (new ReferencePolicy(other, ForwardMode.Plain), false);
    }

    private static DecoderModel Model(JobContext job, string folder, torch.ScalarType dtype) => ModelFolder.Load(folder, architectures: PluginArchitectures.Of(job.Plugins), dtype: dtype, device: job.Device);

    /// <summary>Whether a stage with the second contract goes on with an adapter of the first.</summary>
    internal static bool SameShape(JsonNode a, JsonNode b)
    {
        static JsonObject Shape(JsonNode contract)
        {
            var options = contract["options"]?.DeepClone().AsObject() ?? [];
            foreach (var name in NotOfItsShape) options.Remove(name);
            return options;
        }
        return (string?)a["name"] == (string?)b["name"] && JsonNode.DeepEquals(Shape(a), Shape(b));
    }

    // A saved adapter's own numbers under this training's dropout.
    internal static List<AdapterSite> Again(IPeftAdapter adapter, JsonNode contract, ModelOutline outline, AdapterFiles files, string folder, Action<string> warn)
    {
        var dropout = (contract["options"]?["dropout"] as JsonValue)?.GetValue<double>();
        Delta Under(Delta delta) => delta switch
        {
            LowRank low when dropout is { } rate => low with { Dropout = rate },
            Stack stack => new Stack([.. stack.Layers.Select(Under)]),
            _ => delta,
        };
        return [.. AdapterReader.Sites((files, adapter), outline, folder, warn).Select(site => site with { Delta = Under(site.Delta) })];
    }

    private static void WriteTrained(string folder, Policy policy, AdapterFiles files)
    {
        Write(folder, files);
        TrainedWith.Write(folder, policy.Tokenizer, policy.Model.Spec.Vocabulary, policy.ChatTemplate is NotedTemplate { IsUsed: true } template ? template.Source : null, policy.Model.Quantized.Count > 0);
    }

    private static void Write(string folder, AdapterFiles files)
    {
        Directory.CreateDirectory(folder);
        AdapterFolder.Write(folder, files.Config.ToDictionary(c => c.Key, c => (object?)(c.Value is null ? null : JsonSerializer.SerializeToElement(c.Value))), files.Tensors);
    }
}
