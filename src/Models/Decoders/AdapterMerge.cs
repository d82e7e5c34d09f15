// An adapter inside full weights. The base is read from mapped files and written tensor by tensor: besides one module's
// tensors nothing large is in memory.

using PeftAlign.Abstractions;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

/// <summary>Merges adapters into weights.</summary>
public static class AdapterMerge
{
    /// <summary>Writes a model folder with an adapter inside.</summary>
    /// <param name="target">An empty folder.</param>
    /// <param name="from">The base model's folder; its configuration and tokenizer are copied.</param>
    /// <param name="load">From the base's modules to the adapter's deltas.</param>
    /// <param name="architectures">The known ones, and what reads quantised folders; null = those that are built in.</param>
    /// <param name="dtype">Element type of all weights; null = each keeps its own, a quantised one that of the matrix it was made from. Sums are made in float32 and rounded once.</param>
    /// <param name="quantization">Quantises the base first, as the adapter's training did; the folder holds its decoded matrices. Null = the base as it is.</param>
    /// <param name="cancel">Ends it between two tensors.</param>
    /// <param name="warn">Told of what is odd but usable.</param>
    /// <param name="tables">The adapter folder's tensors: where they hold tables with more rows than the base's, the model has these; null = it keeps its own.</param>
    /// <param name="progress">Told of tensors done and of all; null = nobody.</param>
    /// <returns>How many tensors the adapter changed, of how many, and how many were decoded.</returns>
    /// <exception cref="UserErrorException">The folders do not fit, weights cannot hold the adapter, or the disk is too small.</exception>
    public static (int Changed, int All, int Decoded) Write(string target, string from, Func<ModelOutline, IReadOnlyList<AdapterSite>> load, ModelArchitectures? architectures, torch.ScalarType? dtype, IQuantization? quantization = null, CancellationToken cancel = default, Action<string>? warn = null, IReadOnlyDictionary<string, Tensor>? tables = null, Action<int, int>? progress = null)
    {
        var known = architectures ?? ModelArchitectures.BuiltIn;
        var config = ModelConfig.Open(from);
        using var scope = torch.NewDisposeScope();
        using var checkpoint = CheckpointFolder.Open(from);
        var spec = TiedHead.Settled(known.Describe(config), checkpoint, warn);
        var names = StoredNames.Of(spec, checkpoint);
        var read = ModelFolder.Decoder(from, spec, null, dtype: null, ModelFolder.Reader(known, config, ref quantization), quantization);
        var model = tables is null ? read : GrownTables.Of(read, tables);
        var sites = load(model.Outline(from)).ToDictionary(s => s.Module, s => s.Delta);
        foreach (var (module, delta) in sites) Check(model, module, delta);
        var (changed, done) = (0, 0);
        List<PendingTensor> pending = [];
        pending.AddRange(model.Spec.Weights().Select(weight =>
        {
            var own = model.Weights.GetValueOrDefault(weight.Name);
            var type = dtype ?? own?.dtype ?? model.Quantized[weight.Name].StoredType;
            var delta = sites.GetValueOrDefault(ModuleOf(weight.Name));
            if (delta is not null && Changes(delta, weight.Name))
            {
                changed++;
                return new PendingTensor(names.Written(weight.Name), type, weight.Shape, () => Live(Merged(model, weight.Name, delta).to(type)));
            }
            if (own is not null && own != read.Weights.GetValueOrDefault(weight.Name)) changed++;
            if (own is null) return new PendingTensor(names.Written(weight.Name), type, weight.Shape, () => Live(model.LayerOf(ModuleOf(weight.Name)).Weight.to(type).contiguous()));
            return new PendingTensor(names.Written(weight.Name), type, own.shape, () => Live(type == own.dtype ? own.alias() : own.to(type)));
        }));
        foreach (var (name, written) in names.Beside(checkpoint))
        {
            var own = checkpoint.Find(name).DType;
            var type = own is torch.ScalarType.Float32 or torch.ScalarType.Float16 or torch.ScalarType.BFloat16 ? dtype ?? own : own;
            pending.Add(new PendingTensor(written, type, [.. checkpoint.Find(name).Shape], () => Live(type == own ? checkpoint.Tensor(name).alias() : checkpoint.Tensor(name).to(type))));
        }
        FreeSpace.Require(target, pending.Sum(tensor => tensor.Bytes));
        ModelFolder.CopyCompanions(from, target, dtype);
        TiedHead.Say(target, spec);
        if (model != read) GrownTables.Say(target, model.Spec.Vocabulary);
        CheckpointFolder.Write(target, pending);
        return (changed, pending.Count, model.Quantized.Count);

        Tensor Live(Tensor tensor)
        {
            cancel.ThrowIfCancellationRequested();
            progress?.Invoke(++done, pending.Count);
            return tensor;
        }
    }

    /// <summary>The changed tensors, by their names in checkpoints; each the caller's.</summary>
    /// <param name="model">The base.</param>
    /// <param name="sites">The adapter.</param>
    /// <exception cref="UserErrorException">Weights cannot hold the adapter.</exception>
    public static IReadOnlyDictionary<string, Tensor> Tensors(DecoderModel model, IReadOnlyList<AdapterSite> sites)
    {
        var merged = new Dictionary<string, Tensor>();
        foreach (var (module, delta) in sites)
        {
            Check(model, module, delta);
            foreach (var name in (string[])[module + ".weight", module + ".bias"])
                if ((model.Weights.ContainsKey(name) || model.Quantized.ContainsKey(name)) && Changes(delta, name)) merged[name] = Merged(model, name, delta);
        }
        return merged;
    }

    /// <summary>A model of its own with adapters inside. It shares the base's other tensors, has those decoded that the base holds in fewer bits, and leaves the base as it is.</summary>
    /// <param name="model">The base.</param>
    /// <param name="layers">Adapters over it, from the lowest to the uppermost.</param>
    /// <exception cref="UserErrorException">Weights cannot hold an adapter.</exception>
    public static DecoderModel Merged(DecoderModel model, IEnumerable<IReadOnlyList<AdapterSite>> layers)
    {
        var weights = model.Weights.Concat(model.Quantized.Keys.Select(name => KeyValuePair.Create(name, model.LayerOf(ModuleOf(name)).Weight.contiguous())));
        var merged = new DecoderModel(model.Spec, weights.ToDictionary());
        Into(merged, layers);
        return merged;
    }

    /// <summary>Puts adapters into a model's own weights, all at once: a forward pass adds what one of them multiplies to what another trained
    /// whole, whichever lies above, and one after another would lose the former.</summary>
    /// <param name="model">The base, of which nothing changed is in fewer bits.</param>
    /// <param name="layers">Adapters over it, from the lowest to the uppermost.</param>
    /// <exception cref="UserErrorException">Weights cannot hold an adapter.</exception>
    public static void Into(DecoderModel model, IEnumerable<IReadOnlyList<AdapterSite>> layers)
    {
        foreach (var (name, tensor) in Tensors(model, [.. AdapterLayers.Deltas(layers).Select(module => new AdapterSite(module.Key, module.Value))]))
            model.SetWeight(name, tensor.to(model.Weights[name].dtype));
    }

    private static Tensor Merged(DecoderModel model, string name, Delta delta)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var layer = Deltas.Merged(model.LayerOf(ModuleOf(name)), delta);
        return (IsBias(name) ? layer.Bias! : layer.Weight).contiguous().clone().MoveToOuterDisposeScope();
    }

    private static void Check(DecoderModel model, string module, Delta delta)
    {
        if (!model.TakesDelta(module, delta) || Deltas.Parts(delta).Any(part => part is VirtualTokens or PrefixKV or Wrap)) throw Deltas.NoWeight(module, delta);
        if (model.Spec.TiedHead && module == model.Spec.Names.Embedding && !Deltas.Parts(delta).All(DecoderModel.IsShared))
            throw new UserErrorException($"{module} is also the output head of this model (tie_word_embeddings), which the adapter leaves alone: merged weights would compute something else. Keep the adapter, or train without {module}.");
    }

    private static bool Changes(Delta delta, string name) => Deltas.Parts(delta).Any(part => part switch
    {
        Scale { OfInputs: true } => !IsBias(name),
        Scale => true,
        LowRank or TokenRows when !IsBias(name) => true,
        _ => part.Instead(IsBias(name) ? "bias" : "weight") is not null,
    });

    private static bool IsBias(string name) => name.EndsWith(".bias", StringComparison.Ordinal);

    private static string ModuleOf(string name) => name[..name.LastIndexOf('.')];
}
