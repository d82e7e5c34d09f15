// New LoRA deltas, and deltas to and from PEFT's adapter_config.json and adapter_model.safetensors.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;

namespace PeftAlign.Peft.Lora;

internal sealed class LoraAdapter(LoraOptions options) : IPeftAdapter, ICombinesAdapters, IChecksModules
{
    internal const string Type = "LORA";

    private LoraSettings? settings;

    public string PeftType => Type;

    public IReadOnlyList<string> CombinationTypes => LoraCombination.Types;

    public IReadOnlyList<AdapterSite> Attach(ModelOutline model, ulong seed)
    {
        settings = LoraSettings.Of(options, model);
        return LoraSites.Make(model, settings, new NewParts(settings, seed));
    }

    public void Check(ModelOutline model) => LoraSites.Check(model, LoraSettings.Of(options, model));

    public IReadOnlyList<AdapterSite> Load(ModelOutline model, AdapterFiles files)
    {
        settings = LoraSettings.Of(files.Config, model);
        if (model.Spec is { TiedHead: true, Names.Head: var head } && files.Tensors.ContainsKey(LoraNames.A(head, ModuleKind.Head))) throw ModuleTargets.OfTiedHead(model, "target_modules", head);
        SavedBase.ThrowIfResized(model, files.Tensors);
        var tensors = new AdapterTensors(files.Tensors);
        var sites = SavedBase.Under(model, LoraSites.Make(model, settings, new SavedParts(settings, tensors)), tensors);
        RefuseTying(model, files.Config, sites);
        tensors.RefuseRest($"target_modules ({string.Join(", ", settings.Targets.Targets)}), modules_to_save and bias");
        return sites;
    }

    // PEFT then applies the embedding's change to the head too; trained token rows are shared with the head in any case.
    private static void RefuseTying(ModelOutline model, JsonObject config, IReadOnlyList<AdapterSite> sites)
    {
        if (model.Spec is not { TiedHead: true, Names.Embedding: var embedding } || !config.Flag("ensure_weight_tying")) return;
        if (sites.Any(site => site.Module == embedding && SavedBase.Trained(site.Delta) is LowRank or Whole { IsFrozen: false }))
            throw AdapterConfig.Wrong("ensure_weight_tying", true, $"false: {embedding} is this model's output head too (tie_word_embeddings), and training both as one is not computed here; one of modules_to_save can be merged (merge_method passthrough of BASE+ADAPTER)");
    }

    public AdapterFiles Save(ModelOutline model, IReadOnlyList<AdapterSite> sites)
    {
        var written = settings ?? throw new InvalidOperationException("Save follows Attach or Load");
        // Stored together with its start, the change means the same over the untouched base for every reader.
        var doubled = sites.Any(s => SavedBase.Trained(s.Delta) is LowRank { Start: not null });
        if (doubled) written = written.Doubled();
        var changed = sites.Where(s => SavedBase.Trained(s.Delta) is LowRank).Select(s => s.Module).ToHashSet();
        var modules = model.Modules.Where(m => changed.Contains(m.Name)).ToList();
        var tensors = sites.SelectMany(site => LoraNames.Tensors(site, model.Modules.First(m => m.Name == site.Module).Kind, doubled));
        // A folder's numbers may have been trained further with another dropout.
        var dropout = sites.Select(s => s.Delta).OfType<LowRank>().Select(low => low.Dropout).FirstOrDefault(written.Dropout);
        written = written with { Targets = Written(model, written.Targets, changed), Dropout = dropout };
        return new AdapterFiles(written.ToConfig(model, modules.Exists(m => m.Transposed)), tensors.ToDictionary(t => t.Name, t => t.Tensor));
    }

    public AdapterFiles Combine(IReadOnlyList<(AdapterFiles Files, double Weight)> inputs, AdapterCombination combination) => LoraCombination.Combine(inputs, combination);

    // all-linear is written as the names that it stood for, so that the folder says what was trained.
    private static ModuleTargets Written(ModelOutline model, ModuleTargets targets, HashSet<string> changed)
    {
        if (targets.Targets is not ["all-linear"]) return targets.Written(changed);
        var bySuffix = targets with { Targets = [.. changed.Select(m => m.Split('.')[^1]).Distinct().Order(StringComparer.Ordinal)] };
        var same = bySuffix.Choose(model, Enum.GetValues<ModuleKind>()).Select(m => m.Name).ToHashSet().SetEquals(changed);
        return same ? bySuffix.Written(changed) : targets.ByName(changed);
    }
}
