// The full names of one block's weights, made once, and what of its attention is its own.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

/// <summary>A linear layer at its place.</summary>
internal sealed class LinearModule(string prefix, LinearSpec spec)
{
    internal string Name { get; } = prefix + spec.Name;

    internal string Weight { get; } = prefix + spec.Name + ".weight";

    internal string? Bias { get; } = spec.Bias ? prefix + spec.Name + ".bias" : null;

    internal LinearSpec Spec => spec;
}

/// <summary>One block of a decoder.</summary>
internal sealed class BlockNames
{
    internal BlockNames(DecoderSpec spec, int layer)
    {
        var (block, prefix) = (spec.Block, $"{spec.Names.Blocks}{layer}.");
        string? Named(string? name) => name is null ? null : prefix + name;
        LinearModule Placed(LinearSpec linear) => new(prefix, linear);
        Layer = layer;
        Window = spec.Windows.Count > 0 ? spec.Windows[layer] : null;
        (AttentionNorm, FeedForwardNorm) = (Named(block.AttentionNorm), Named(block.FeedForwardNorm));
        (QueryNorm, KeyNorm) = (Named(block.QueryNorm), Named(block.KeyNorm));
        (AttentionEndNorm, FeedForwardEndNorm) = (Named(block.AttentionEndNorm), Named(block.FeedForwardEndNorm));
        (AttentionInputs, AttentionOutput) = ([.. block.AttentionInputs.Select(Placed)], Placed(block.AttentionOutput));
        (FeedForwardInputs, FeedForwardOutput) = ([.. block.FeedForwardInputs.Select(Placed)], Placed(block.FeedForwardOutput));
        string?[] norms = [AttentionNorm, FeedForwardNorm, QueryNorm, KeyNorm, AttentionEndNorm, FeedForwardEndNorm];
        Modules = [.. AttentionInputs.Append(AttentionOutput).Concat(FeedForwardInputs).Append(FeedForwardOutput).Select(linear => linear.Name), .. norms.OfType<string>().Distinct()];
    }

    /// <summary>All modules with tensors of their own.</summary>
    internal IReadOnlyList<string> Modules { get; }

    /// <summary>Number of the block.</summary>
    internal int Layer { get; }

    /// <summary>Positions that a row sees, its own included; null = all before it.</summary>
    internal long? Window { get; }

    internal string? AttentionNorm { get; }
    internal string? QueryNorm { get; }
    internal string? KeyNorm { get; }
    internal string? AttentionEndNorm { get; }
    internal string? FeedForwardNorm { get; }
    internal string? FeedForwardEndNorm { get; }
    internal LinearModule[] AttentionInputs { get; }
    internal LinearModule AttentionOutput { get; }
    internal LinearModule[] FeedForwardInputs { get; }
    internal LinearModule FeedForwardOutput { get; }
}
