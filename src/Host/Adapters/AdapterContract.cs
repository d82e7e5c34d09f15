// What an adapter may give: changes of modules that the model has, in the shapes of those modules. The engine would fail at the first
// product with another one, where nothing tells whose it was.

using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Torch;

namespace PeftAlign.Host.Adapters;

internal static class AdapterContract
{
    /// <summary>The new sites of an adapter.</summary>
    /// <exception cref="BrokenContractException">They do not fit the model.</exception>
    internal static IReadOnlyList<AdapterSite> Attached(this IPeftAdapter adapter, ModelOutline model, ulong seed) => Checked(adapter, nameof(adapter.Attach), model, adapter.Attach(model, seed));

    /// <summary>The sites that a folder's contents are.</summary>
    /// <exception cref="BrokenContractException">They do not fit the model.</exception>
    internal static IReadOnlyList<AdapterSite> Loaded(this IPeftAdapter adapter, ModelOutline model, AdapterFiles files) => Checked(adapter, nameof(adapter.Load), model, adapter.Load(model, BesideParts.Without(model, files)));

    /// <summary>The contents of the folder that holds these sites.</summary>
    /// <exception cref="BrokenContractException">There are none.</exception>
    internal static AdapterFiles Saved(this IPeftAdapter adapter, ModelOutline model, IReadOnlyList<AdapterSite> sites) =>
        adapter.Save(model, sites) is { Config: not null, Tensors: not null } files ? files : throw new BrokenContractException(adapter, "Save gave null, or files without a configuration or tensors", "the contents of a PEFT folder are asked for");

    private static IReadOnlyList<AdapterSite> Checked(IPeftAdapter adapter, string member, ModelOutline model, IReadOnlyList<AdapterSite>? sites)
    {
        var modules = model.Modules.ToDictionary(module => module.Name);
        var seen = new HashSet<string>();
        foreach (var (name, delta) in BrokenContractException.Whole(adapter, member, sites))
        {
            if (name is null || delta is null) throw new BrokenContractException(adapter, $"{member} gave a site without {(name is null ? "a module" : $"a change of {name}")}", "every site names a module and its change");
            if (!modules.TryGetValue(name, out var module)) throw new BrokenContractException(adapter, $"{member} gave a change of {name}", "a module of the model is asked for, by its full name in Modules");
            if (!seen.Add(name)) throw new BrokenContractException(adapter, $"{member} gave two changes of {name}", "a module has one site; several changes of it are one Stack");
            if (Kinds(delta).FirstOrDefault(kind => !Known.Contains(kind)) is { } own)
                throw new BrokenContractException(adapter, $"{member} gave a change of the kind {own.Name} for {name}", $"the engine computes {string.Join(", ", Known.Select(kind => kind.Name))}, and no kind of a plugin's own");
            foreach (var (role, tensor, shape) in Shapes(delta, module))
                if (tensor is null || !Fits(tensor.shape, shape))
                    throw new BrokenContractException(adapter, $"{member} gave {(tensor is null ? "null" : $"the shape [{string.Join(", ", tensor.shape)}]")} for {role} of {name}", $"the module asks for [{string.Join(", ", shape.Select(size => size is { } fixedSize ? $"{fixedSize}" : "any"))}]");
        }
        return sites!;
    }

    private static readonly Type[] Known = [typeof(LowRank), typeof(Whole), typeof(TokenRows), typeof(Scale), typeof(Wrap), typeof(VirtualTokens), typeof(PrefixKV), typeof(Stack)];

    private static IEnumerable<Type> Kinds(Delta delta) => delta is Stack stack ? stack.Layers.SelectMany(Kinds) : [delta.GetType()];

    // Of the kinds whose shapes follow from the module alone; null = any size, the same for both factors of a product.
    private static IEnumerable<(string Role, Tensor? Tensor, long?[] Shape)> Shapes(Delta delta, ModuleOutline module)
    {
        var (inputs, outputs) = module.Kind == ModuleKind.Embedding ? (module.Outputs, module.Inputs) : (module.Inputs, module.Outputs);
        return delta switch
        {
            Stack stack => stack.Layers.SelectMany(layer => Shapes(layer, module)),
            LowRank low => [("A", low.A, [null, inputs]), ("B", low.B, [outputs, low.A is { } a ? a.size(0) : null])],
            Whole whole when module.Kind is ModuleKind.Linear or ModuleKind.Norm => OfWhole(whole, module),
            Scale scale => [("Values", scale.Values, [scale.OfInputs ? inputs : outputs])],
            TokenRows rows => [("Values", rows.Values, [rows.Tokens.Count, module.Inputs])],
            Wrap wrap => [("Down", wrap.Down, [null, outputs]), ("Up", wrap.Up, [outputs, wrap.Down is { } down ? down.size(0) : null])],
            VirtualTokens virtualTokens => [("Values", virtualTokens.Values, [null, null])],
            _ => [],
        };
    }

    // Tables may have grown with the vocabulary.
    private static IEnumerable<(string Role, Tensor? Tensor, long?[] Shape)> OfWhole(Whole whole, ModuleOutline module)
    {
        if (whole.Weight is { } weight)
            yield return ("Weight", weight, module.Kind == ModuleKind.Norm ? [module.Outputs] : module.Transposed ? [module.Inputs, module.Outputs] : [module.Outputs, module.Inputs]);
        if (whole.Bias is { } bias) yield return ("Bias", bias, [module.Outputs]);
    }

    private static bool Fits(long[] found, long?[] asked) => found.Length == asked.Length && found.Zip(asked).All(pair => pair.Second is not { } size || pair.First == size);
}
