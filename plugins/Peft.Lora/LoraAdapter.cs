// New LoRA deltas, and deltas to and from PEFT's adapter_config.json and adapter_model.safetensors.

using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;

namespace PeftAlign.Peft.Lora;

internal sealed class LoraAdapter(LoraOptions options) : IPeftAdapter, ICombinesAdapters
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

    public IReadOnlyList<AdapterSite> Load(ModelOutline model, AdapterFiles files)
    {
        settings = LoraSettings.Of(files.Config, model);
        SavedBase.ThrowIfResized(model, files.Tensors);
        var tensors = new AdapterTensors(files.Tensors);
        var sites = SavedBase.Under(model, LoraSites.Make(model, settings, new SavedParts(settings, tensors)), tensors);
        tensors.RefuseRest($"target_modules ({string.Join(", ", settings.Targets.Targets)}), modules_to_save and bias");
        return sites;
    }

    public AdapterFiles Save(ModelOutline model, IReadOnlyList<AdapterSite> sites)
    {
        var written = settings ?? throw new InvalidOperationException("Save follows Attach or Load");
        // With its start beside it the change means the same over the untouched base, for every reader.
        var doubled = sites.Any(s => SavedBase.Trained(s.Delta) is LowRank { Start: not null });
        if (doubled) written = written.Doubled();
        var changed = sites.Where(s => SavedBase.Trained(s.Delta) is LowRank).Select(s => s.Module).ToHashSet();
        var modules = model.Modules.Where(m => changed.Contains(m.Name)).ToList();
        var tensors = sites.SelectMany(site => LoraNames.Tensors(site, model.Modules.First(m => m.Name == site.Module).Kind, doubled));
        // A folder's numbers may have been trained on under another dropout.
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
