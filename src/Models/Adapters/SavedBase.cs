// The base's own embedding and head, which PEFT writes beside an adapter where they are targets or the vocabulary was resized, and loads
// into the base again (save_embedding_layers="auto"). Where they are this base's they change nothing; where not, they stand in its place.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Adapters;

/// <summary>Tables of the base in an adapter's folder.</summary>
public static class SavedBase
{
    private const string Own = "weight";
    private const string Wrapped = "base_layer.weight";
    private const string OwnBias = "bias";
    private const string WrappedBias = "base_layer.bias";
    private const string UnderTokens = "token_adapter.base_layer.weight";
    private const string OfModel = "base_model.model.";
    private const string TrainedRows = "token_adapter.trainable_tokens_delta";

    /// <summary>What training changes of a delta: all but the base's own tensors beneath it.</summary>
    /// <param name="delta">A site's.</param>
    public static Delta Trained(Delta delta) => delta is Stack { Layers: [Whole { IsFrozen: true }, var trained] } ? trained : delta;

    /// <summary>Refuses tables of another number of tokens, in whatever place of the folder they are.</summary>
    /// <param name="model">The base.</param>
    /// <param name="tensors">The folder's.</param>
    /// <param name="prefix">What stands before a module's name there.</param>
    /// <exception cref="UserErrorException">There is one.</exception>
    public static void ThrowIfResized(ModelOutline model, IReadOnlyDictionary<string, Tensor> tensors, string prefix = OfModel)
    {
        foreach (var module in model.Modules.Where(m => IsTable(model, m)))
            foreach (var name in Names(module.Name, prefix))
                if (tensors.TryGetValue(name, out var table) && table.dim() == 2 && table.size(1) == module.Inputs && table.size(0) != module.Outputs)
                    throw new UserErrorException($"The adapter's tensor '{name}' has {table.size(0)} rows, and {module.Name} of this model {module.Outputs}: it was trained after the vocabulary was resized. {(table.size(0) > module.Outputs && prefix == OfModel ? "'adapter merge' writes the grown model with the adapter inside; or give" : "Give")} the base of that size: resize_token_embeddings({table.size(0)}) and save_pretrained of transformers make it; its rows are then the adapter's.");
    }

    /// <summary>The sites with the folder's tables of the base beneath them, where these are not the model's own.</summary>
    /// <param name="model">The base.</param>
    /// <param name="sites">What was trained.</param>
    /// <param name="tensors">The folder's.</param>
    /// <param name="prefix">What stands before a module's name there.</param>
    public static IReadOnlyList<AdapterSite> Under(ModelOutline model, IReadOnlyList<AdapterSite> sites, AdapterTensors tensors, string prefix = OfModel)
    {
        TakeCopies(model, tensors, prefix);
        var deltas = sites.ToDictionary(site => site.Module, site => site.Delta);
        var found = false;
        foreach (var module in model.Modules.Where(m => IsTable(model, m)))
        {
            var delta = deltas.GetValueOrDefault(module.Name);
            var (table, bias) = (Table(module, delta, tensors, prefix), Bias(module, delta, tensors, prefix));
            if (table is null && bias is null) continue;
            var own = new Whole(table, bias) { IsFrozen = true };
            deltas[module.Name] = delta is null ? own : new Stack([own, delta]);
            found = true;
        }
        return !found ? sites : [.. model.Modules.Where(m => deltas.ContainsKey(m.Name)).Select(m => new AdapterSite(m.Name, deltas[m.Name]))];
    }

    // Null where there is none, or where it is the model's.
    private static Tensor? Table(ModuleOutline module, Delta? delta, AdapterTensors tensors, string prefix)
    {
        var name = Name(prefix, module.Name, delta switch
        {
            LowRank => Wrapped,
            TokenRows => UnderTokens,
            _ => Own,
        });
        if (!tensors.IsLeft(name)) return null;
        using var scope = torch.NewDisposeScope();
        var own = module.Tensor("weight");
        var table = tensors.Take(name, [module.Outputs, module.Inputs], module.Device).to(own?.dtype ?? torch.ScalarType.Float32);
        return own is not null && table.equal(own) ? null : table.MoveToOuterDisposeScope();
    }

    // Of a head that has one, where it is not trained; null where it is the model's.
    private static Tensor? Bias(ModuleOutline module, Delta? delta, AdapterTensors tensors, string prefix)
    {
        if (module.Tensor("bias") is not { } own) return null;
        var name = Name(prefix, module.Name, delta is LowRank ? WrappedBias : OwnBias);
        if (!tensors.IsLeft(name)) return null;
        using var scope = torch.NewDisposeScope();
        var bias = tensors.Take(name, own.shape, module.Device).to(own.dtype);
        return bias.equal(own) ? null : bias.MoveToOuterDisposeScope();
    }

    // Two names of one tensor: a head's and the embedding's that it shares; or PEFT's wrapper of a module that is trained whole and the module
    // that it wraps. A head that shares the wrapped module's weight would still read the latter. With bias all PEFT writes every name with
    // a bias in it, so those of any wrapped module.
    private static void TakeCopies(ModelOutline model, AdapterTensors tensors, string prefix)
    {
        if (model.Spec is { TiedHead: true, Names: var names })
            foreach (var part in (string[])[Own, UnderTokens, TrainedRows]) tensors.TakeCopy(Name(prefix, names.Head, part), Name(prefix, names.Embedding, part));
        foreach (var module in model.Modules)
        {
            if (IsTable(model, module)) TakeWrapped(module, Own, model.Spec is { TiedHead: false } ? [module.Outputs, module.Inputs] : null, tensors, prefix);
            TakeWrapped(module, OwnBias, module.Tensor("bias")?.shape, tensors, prefix);
        }
    }

    // Without a shape, what the module was stays.
    private static void TakeWrapped(ModuleOutline module, string own, long[]? shape, AdapterTensors tensors, string prefix)
    {
        var isSaved = tensors.TakeCopy(Name(prefix, module.Name, $"modules_to_save.{own}"), Name(prefix, module.Name, own));
        var before = Name(prefix, module.Name, $"original_module.{own}");
        if (isSaved && shape is not null && tensors.IsLeft(before)) tensors.Take(before, shape, module.Device).Dispose();
    }

    /// <summary>What a folder may call a table of the base, the names of one beneath a change first.</summary>
    /// <param name="module">The table's module.</param>
    /// <param name="prefix">What stands before its name there.</param>
    internal static IEnumerable<string> Names(string module, string prefix = OfModel) => ((string[])[Wrapped, UnderTokens, Own]).Select(part => Name(prefix, module, part));

    /// <summary>What a folder may call the bias of a head of the base, that beneath a change first.</summary>
    /// <param name="module">The head.</param>
    internal static IEnumerable<string> BiasNames(string module) => ((string[])[WrappedBias, OwnBias]).Select(part => Name(OfModel, module, part));

    private static string Name(string prefix, string module, string part) => $"{prefix}{module}.{part}";

    // A classifier's head counts labels.
    private static bool IsTable(ModelOutline model, ModuleOutline module) =>
        module.Kind == ModuleKind.Embedding ? module.Name != model.Spec?.Names.Positions : module.Kind == ModuleKind.Head && model.Spec is { Labels: null };
}
