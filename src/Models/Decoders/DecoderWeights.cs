// A spec's weights under their checkpoint names, and its modules as adapters see them.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

/// <summary>What a weight is for.</summary>
public enum WeightRole
{
    /// <summary>Token or position embeddings.</summary>
    Embedding,

    /// <summary>Matrix of a linear layer.</summary>
    Matrix,

    /// <summary>Scale of a norm.</summary>
    Norm,

    /// <summary>What a linear layer or a norm adds.</summary>
    Bias,

    /// <summary>Matrix of the output head.</summary>
    Head,
}

/// <summary>One weight.</summary>
/// <param name="Name">In checkpoints.</param>
/// <param name="Shape">Its sizes.</param>
/// <param name="Role">What it is for.</param>
public sealed record WeightSpec(string Name, long[] Shape, WeightRole Role)
{
    /// <summary>Of a matrix: whether it is stored (inputs, outputs).</summary>
    public bool Transposed { get; init; }
}

/// <summary>Weights of decoders.</summary>
public static class DecoderWeights
{
    /// <summary>Every weight, in the order of a forward pass.</summary>
    public static IEnumerable<WeightSpec> Weights(this DecoderSpec spec)
    {
        var names = spec.Names;
        yield return new(names.Embedding + ".weight", [spec.Vocabulary, spec.EmbeddingWidth], WeightRole.Embedding);
        if (names.EmbeddingOutput is { } first) yield return new(first + ".weight", [spec.Hidden, spec.EmbeddingWidth], WeightRole.Matrix);
        if (names.Positions is { } positions) yield return new(positions + ".weight", [spec.PositionOffset + spec.MaxPositions, spec.Hidden], WeightRole.Embedding);
        for (var l = 0; l < spec.Layers; l++)
            foreach (var weight in OfBlock(spec, $"{names.Blocks}{l}.")) yield return weight;
        foreach (var weight in OfNorm(spec, names.FinalNorm, spec.Hidden)) yield return weight;
        if (names.HeadInput is { } last) yield return new(last + ".weight", [spec.EmbeddingWidth, spec.Hidden], WeightRole.Matrix);
        if (!spec.TiedHead) yield return new(names.Head + ".weight", [spec.Labels ?? spec.Vocabulary, spec.EmbeddingWidth], WeightRole.Head);
        if (spec.HeadBias) yield return new(names.Head + ".bias", [spec.Vocabulary], WeightRole.Bias);
    }

    /// <summary>What checkpoints call a weight, as far as the model tells: a head may be called otherwise than its module, and where there are parts beside the decoder every weight.</summary>
    internal static string InFiles(this DecoderSpec spec, string name)
    {
        if (spec.Names.StoredHead is { } head && name == spec.Names.Head + ".weight") return head + ".weight";
        foreach (var (module, stored) in spec.Names.Stored)
            if (name.StartsWith(module, StringComparison.Ordinal)) return stored + name[module.Length..];
        return name;
    }

    /// <summary>Whether a weight of a checkpoint, under either name, is of a part beside the decoder.</summary>
    internal static bool IsBeside(this DecoderSpec spec, string name) =>
        spec.Names.Beside.Count > 0 && spec.InFiles(name) is var stored && spec.Names.Beside.Any(part => stored.StartsWith(part, StringComparison.Ordinal));

    /// <summary>The linear layers of one block, in the order in which they are used.</summary>
    public static IEnumerable<LinearSpec> Linears(this BlockSpec block) =>
        [.. block.AttentionInputs, block.AttentionOutput, .. block.FeedForwardInputs, block.FeedForwardOutput];

    /// <summary>The modules that adapters may change.</summary>
    /// <param name="spec">The model.</param>
    /// <param name="path">What an adapter's config names as its base.</param>
    /// <param name="device">Where its weights lie.</param>
    /// <param name="tensorOf">A weight by its name; null = there is none.</param>
    /// <param name="unquantizedOf">(out, in) a weight as it was before it was quantised; null = it was not.</param>
    public static ModelOutline Outline(this DecoderSpec spec, string path, torch.Device device, Func<string, Tensor?> tensorOf, Func<string, Tensor?>? unquantizedOf = null)
    {
        var modules = spec.Weights().Where(w => w.Role != WeightRole.Bias).Select(w =>
        {
            var name = w.Name[..^".weight".Length];
            var (inputs, outputs) = w.Transposed ? (w.Shape[0], w.Shape[1]) : (w.Shape[^1], w.Shape[0]);
            return new ModuleOutline(name, KindOf(w.Role), inputs, outputs) { Device = device, Transposed = w.Transposed, Tensor = part => tensorOf($"{name}.{part}"), Unquantized = () => unquantizedOf?.Invoke(w.Name) };
        });
        return new ModelOutline(spec.ModelType, path, modules.ToList()) { Spec = spec };
    }

    private static ModuleKind KindOf(WeightRole role) => role switch
    {
        WeightRole.Embedding => ModuleKind.Embedding,
        WeightRole.Head => ModuleKind.Head,
        WeightRole.Norm => ModuleKind.Norm,
        _ => ModuleKind.Linear,
    };

    private static IEnumerable<WeightSpec> OfBlock(DecoderSpec spec, string prefix)
    {
        var block = spec.Block;
        IEnumerable<WeightSpec> Norm(string? name, long width) => OfNorm(spec, name is null ? null : prefix + name, width);
        IEnumerable<WeightSpec> Linears(params IEnumerable<LinearSpec> linears) => linears.SelectMany(l => OfLinear(prefix, l));
        return
        [
            .. Norm(block.AttentionNorm, spec.Hidden), .. Linears(block.AttentionInputs), .. Norm(block.QueryNorm, spec.HeadWidth * (block.WideHeadNorms ? spec.Heads : 1)), .. Norm(block.KeyNorm, spec.HeadWidth * (block.WideHeadNorms ? spec.KeyValueHeads : 1)),
            .. Linears(block.AttentionOutput), .. Norm(block.AttentionEndNorm, spec.Hidden),
            .. Norm(block.FeedForwardNorm == block.AttentionNorm ? null : block.FeedForwardNorm, spec.Hidden), .. Linears([.. block.FeedForwardInputs, block.FeedForwardOutput]), .. Norm(block.FeedForwardEndNorm, spec.Hidden),
        ];
    }

    private static IEnumerable<WeightSpec> OfLinear(string prefix, LinearSpec linear)
    {
        yield return new(prefix + linear.Name + ".weight", linear.Transposed ? [linear.Inputs, linear.Outputs] : [linear.Outputs, linear.Inputs], WeightRole.Matrix) { Transposed = linear.Transposed };
        if (linear.Bias) yield return new(prefix + linear.Name + ".bias", [linear.Outputs], WeightRole.Bias);
    }

    private static IEnumerable<WeightSpec> OfNorm(DecoderSpec spec, string? name, long width)
    {
        if (name is null || !spec.Norm.HasWeights) yield break;
        yield return new(name + ".weight", [width], WeightRole.Norm);
        if (spec.Norm is { Kind: NormKind.Layer, HasBias: true }) yield return new(name + ".bias", [width], WeightRole.Bias);
    }
}
