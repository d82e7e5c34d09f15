// What a forward pass depends on beside tokens and weights: adapters, and dropout where a model is being trained.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

/// <summary>How to run a forward pass.</summary>
public sealed record ForwardMode
{
    /// <summary>No adapter, no dropout.</summary>
    public static ForwardMode Plain { get; } = new();

    /// <summary>Deltas by full module name; empty = the base model.</summary>
    public IReadOnlyDictionary<string, Delta> Deltas { get; init; } = new Dictionary<string, Delta>();

    /// <summary>
    /// Deltas of single rows: by the name of a control, deltas by module. A group that names a control is computed with these
    /// on top of <see cref="Deltas"/>, all others without. Where neither holds anything (adapter off) controls play no part.
    /// </summary>
    public IReadOnlyDictionary<string, IReadOnlyDictionary<string, Delta>> Controls { get; init; } = new Dictionary<string, IReadOnlyDictionary<string, Delta>>();

    /// <summary>Whether this is the base model.</summary>
    internal bool IsOff => Deltas.Count == 0 && Controls.Count == 0;

    /// <summary>Key of this step's dropout; null = none.</summary>
    public DropoutKey? Dropout { get; init; }

    /// <summary>Whether the graph keeps each block's input alone, and the backward pass computes the blocks again; the pack must live until then.</summary>
    internal bool Recomputes { get; init; }

    /// <summary>What this pass leaves for another one, or begins with; null = none.</summary>
    internal CommonStart? Start { get; init; }

    /// <summary>Whether the pass decodes or scores, and no loss compares its numbers with those of a pass with gradients: a few rows then go through the
    /// kernels of decoding, which read each weight once and round otherwise than <see cref="Torch.Extras.Products"/>. Without gradients.</summary>
    internal bool Alone { get; init; }

    /// <summary>Whether the graph is there for a backward pass into the leaves' own gradients, to which large parts may be added on the way.</summary>
    internal bool AddsToLeaves { get; init; }
}

/// <summary>With module, record and position this fixes every dropout decision, whatever the packing.</summary>
/// <param name="Seed">The job's seed.</param>
/// <param name="Step">Number of the micro-batch since the start.</param>
public sealed record DropoutKey(ulong Seed, long Step)
{
    /// <summary>The largest share of a sequence's tokens that those behind them do not see; each group draws its own share below it.</summary>
    public double HiddenPast { get; init; }

    /// <summary>Whether the adapters' dropout is on.</summary>
    public bool Activations { get; init; } = true;
}
