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
        yield return new(spec.Names.Embedding + ".weight", [spec.Vocabulary, spec.Hidden], WeightRole.Embedding);
        if (spec.Names.Positions is { } positions) yield return new(positions + ".weight", [spec.MaxPositions, spec.Hidden], WeightRole.Embedding);
        for (var l = 0; l < spec.Layers; l++)
            foreach (var weight in OfBlock(spec, $"{spec.Names.Blocks}{l}.")) yield return weight;
        foreach (var weight in OfNorm(spec, spec.Names.FinalNorm, spec.Hidden)) yield return weight;
        if (!spec.TiedHead) yield return new(spec.Names.Head + ".weight", [spec.Labels ?? spec.Vocabulary, spec.Hidden], WeightRole.Head);
    }

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
        IEnumerable<WeightSpec> Norm(string? name, long width) => name is null ? [] : OfNorm(spec, prefix + name, width);
        IEnumerable<WeightSpec> Linears(params IEnumerable<LinearSpec> linears) => linears.SelectMany(l => OfLinear(prefix, l));
        return
        [
            .. Norm(block.AttentionNorm, spec.Hidden), .. Linears(block.AttentionInputs), .. Norm(block.QueryNorm, spec.HeadWidth * (block.WideHeadNorms ? spec.Heads : 1)), .. Norm(block.KeyNorm, spec.HeadWidth * (block.WideHeadNorms ? spec.KeyValueHeads : 1)),
            .. Linears(block.AttentionOutput), .. Norm(block.AttentionEndNorm, spec.Hidden),
            .. Norm(block.FeedForwardNorm, spec.Hidden), .. Linears([.. block.FeedForwardInputs, block.FeedForwardOutput]), .. Norm(block.FeedForwardEndNorm, spec.Hidden),
        ];
    }

    private static IEnumerable<WeightSpec> OfLinear(string prefix, LinearSpec linear)
    {
        yield return new(prefix + linear.Name + ".weight", linear.Transposed ? [linear.Inputs, linear.Outputs] : [linear.Outputs, linear.Inputs], WeightRole.Matrix) { Transposed = linear.Transposed };
        if (linear.Bias) yield return new(prefix + linear.Name + ".bias", [linear.Outputs], WeightRole.Bias);
    }

    private static IEnumerable<WeightSpec> OfNorm(DecoderSpec spec, string name, long width)
    {
        yield return new(name + ".weight", [width], WeightRole.Norm);
        if (spec.Norm.Kind == NormKind.Layer) yield return new(name + ".bias", [width], WeightRole.Bias);
    }
}
