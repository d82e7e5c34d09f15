// Which modules get which delta; the same for a new adapter and for one that is loaded, which differ only in their tensors.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Adapters;
using PeftAlign.Torch;

namespace PeftAlign.Peft.Lora;

/// <summary>Where the tensors of deltas come from.</summary>
internal interface ILoraParts
{
    LowRank LowRank(ModuleOutline module);

    Tensor Bias(ModuleOutline module, bool changed);

    Whole Saved(ModuleOutline module);

    Tensor Tokens(ModuleOutline module, long[] ids);
}

internal static class LoraSites
{
    internal static IReadOnlyList<AdapterSite> Make(ModelOutline model, LoraSettings settings, ILoraParts parts)
    {
        var sites = Chosen(model, settings).ToDictionary(m => m.Name, m => (Delta)Changed(m, settings, parts));
        foreach (var module in WholeModules.Choose(model, settings.Saved)) sites.Add(module.Name, parts.Saved(module));
        foreach (var (module, ids) in Tokens(model, settings))
        {
            if (sites.ContainsKey(module.Name)) throw Twice(module);
            sites.Add(module.Name, new TokenRows(ids, parts.Tokens(module, ids)));
        }
        if (settings.Bias == "all")
            foreach (var module in model.Modules.Where(m => !sites.ContainsKey(m.Name) && m.Tensor("bias") is not null))
                sites.Add(module.Name, new Whole(null, parts.Bias(module, changed: false)));
        return model.Modules.Where(m => sites.ContainsKey(m.Name)).Select(m => new AdapterSite(m.Name, sites[m.Name])).ToList();
    }

    /// <summary>Refuses settings that do not fit a model's modules, of which no tensor is looked at.</summary>
    internal static void Check(ModelOutline model, LoraSettings settings)
    {
        var chosen = Chosen(model, settings);
        foreach (var module in chosen) _ = settings.ScaleOf(module.Name); // refuses patterns that contradict each other
        var taken = chosen.Concat(WholeModules.Choose(model, settings.Saved)).Select(module => module.Name).ToHashSet();
        foreach (var (module, _) in Tokens(model, settings))
            if (!taken.Add(module.Name)) throw Twice(module);
    }

    private static UserErrorException Twice(ModuleOutline module) => new($"{module.Name} is a target or trained whole, and trainable tokens train rows of it; choose one.");

    private static IReadOnlyList<ModuleOutline> Chosen(ModelOutline model, LoraSettings settings)
    {
        var chosen = settings.Targets.Choose(model, ModuleKind.Linear, ModuleKind.Embedding, ModuleKind.Head);
        if (settings.UseDora && chosen.FirstOrDefault(m => m.Kind == ModuleKind.Embedding) is { } table) throw new UserErrorException($"use_dora: {table.Name} is an embedding; DoRA is for linear layers. Leave it out of the targets.");
        return chosen;
    }

    private static LowRank Changed(ModuleOutline module, LoraSettings settings, ILoraParts parts)
    {
        var low = parts.LowRank(module);
        return settings.Bias != "none" && module.Tensor("bias") is not null ? low with { Bias = parts.Bias(module, changed: true) } : low;
    }

    private static IEnumerable<(ModuleOutline Module, long[] Ids)> Tokens(ModelOutline model, LoraSettings settings)
    {
        foreach (var (name, ids) in settings.Tokens)
        {
            var module = model.Modules.FirstOrDefault(m => m.Kind == ModuleKind.Embedding && (name.Length == 0 || ModulePattern.IsTarget(m.Name, name)))
                ?? throw new UserErrorException($"trainable tokens: '{name}' is no embedding of this {model.Architecture} model.");
            foreach (var id in ids)
                if (id < 0 || id >= module.Outputs) throw new UserErrorException($"trainable tokens: id {id} is not in the vocabulary of {module.Outputs} ({module.Name}).");
            yield return (module, ids);
        }
    }
}

/// <summary>Parts of a new adapter: the change is zero, what is trained whole is a copy.</summary>
internal sealed class NewParts(LoraSettings settings, ulong seed) : ILoraParts
{
    public LowRank LowRank(ModuleOutline module)
    {
        var scale = settings.ScaleOf(module.Name);
        var (a, b) = LoraStart.Of(module, settings.RankOf(module.Name), scale, settings.Init, seed);
        var moved = LoraStart.MovesTheBase(settings.Init) && module.Kind != ModuleKind.Embedding;
        return new LowRank(a, b, scale, settings.Dropout)
        {
            Start = moved ? (a.clone(), b.clone()) : null,
            Magnitude = settings.UseDora ? Alone(() => LoraStart.Matrix(module).norm(1)) : null,
        };
    }

    public Tensor Bias(ModuleOutline module, bool changed) => Alone(() => Copy(module, "bias"))!;

    public Whole Saved(ModuleOutline module) => new(Alone(() => Copy(module, "weight")), Alone(() => Copy(module, "bias")));

    public Tensor Tokens(ModuleOutline module, long[] ids) =>
        Alone(() => module.Tensor("weight")!.detach().index_select(0, torch.tensor(ids, device: module.Device)).to(torch.float32))!;

    private static Tensor? Copy(ModuleOutline module, string name) => module.Tensor(name)?.detach().to(torch.float32).clone();

    // Disposes intermediate matrices (decoded, or in float32): on a device they would stay until a garbage collection, which does not count its memory.
    private static Tensor? Alone(Func<Tensor?> made)
    {
        using var scope = torch.NewDisposeScope();
        return made()?.MoveToOuterDisposeScope();
    }
}

/// <summary>Parts of a folder.</summary>
internal sealed class SavedParts(LoraSettings settings, AdapterTensors tensors) : ILoraParts
{
    public LowRank LowRank(ModuleOutline module)
    {
        var (rank, scale) = (settings.RankOf(module.Name), settings.ScaleOf(module.Name));
        var embedding = module.Kind == ModuleKind.Embedding;
        return new LowRank(
            tensors.Take(LoraNames.A(module), [rank, embedding ? module.Outputs : module.Inputs], module.Device),
            tensors.Take(LoraNames.B(module), [embedding ? module.Inputs : module.Outputs, rank], module.Device), scale, settings.Dropout)
        {
            Start = LoraStart.MovesTheBase(settings.Init) && !embedding ? LoraStart.Of(module, rank, scale, settings.Init, 0) : null,
            IsBFrozen = settings.Init == LoraStart.Mica,
            Magnitude = settings.UseDora ? tensors.Take(LoraNames.Magnitude(module.Name), [module.Outputs], module.Device) : null,
        };
    }

    public Tensor Bias(ModuleOutline module, bool changed) =>
        tensors.Take(changed ? LoraNames.BaseBias(module.Name) : LoraNames.Own(module.Name, "bias"), module.Tensor("bias")!.shape, module.Device);

    public Whole Saved(ModuleOutline module) => new(Own(module, "weight"), Own(module, "bias"));

    public Tensor Tokens(ModuleOutline module, long[] ids) => tensors.Take(LoraNames.Tokens(module.Name), [ids.Length, module.Inputs], module.Device);

    private Tensor? Own(ModuleOutline module, string name) =>
        module.Tensor(name) is { } base_ ? tensors.Take(LoraNames.Own(module.Name, name), base_.shape, module.Device) : null;
}
