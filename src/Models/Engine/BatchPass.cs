// A micro-batch's log-probs as leaves of a graph of their own. The method's loss is made from them and goes back to them; from there
// Backward goes on through the model, pack by pack. So a method never sees packs, and a pack's graph may be made anew when its turn
// comes instead of being kept.

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>A policy that stays as it is: the one that a method's loss refers to.</summary>
/// <param name="Model">Its weights; the policy's own model where only adapters differ.</param>
/// <param name="Mode">Its adapters, without dropout.</param>
public sealed record ReferencePolicy(DecoderModel Model, ForwardMode Mode);

/// <summary>What a pass has to answer beside the policy's log-probs.</summary>
public sealed record PassNeeds
{
    /// <summary>Log-probs under this policy too, without gradient; over the same packs where only adapters differ.</summary>
    public ReferencePolicy? Reference { get; init; }

    /// <summary>The reference's log-probs where they were computed before; answers that are not among them are computed.</summary>
    public StoredLogProbs? Stored { get; init; }

    /// <summary>Per-token statistics of the policy by name.</summary>
    public IReadOnlyList<string> Statistics { get; init; } = [];

    /// <summary>Keep each block's input alone, and compute the blocks again when Backward comes to them (gradient checkpointing); of many packs, keep nothing at all of the last.</summary>
    public bool Recompute { get; init; }
}

/// <summary>One forward pass over a micro-batch; lives in the dispose scope where it was made.</summary>
public sealed class BatchPass : IDisposable
{
    private readonly List<Part> parts = [];
    private readonly Func<Pack, Tensor[]> again;

    internal BatchPass(Tensor logProbs, Tensor? reference, IReadOnlyDictionary<string, Tensor> statistics, IReadOnlyList<Part> parts, Func<Pack, Tensor[]> again)
    {
        this.again = again;
        this.parts.AddRange(parts);
        LogProbs = logProbs;
        Reference = reference;
        Statistics = statistics;
    }

    /// <summary>(N) every completion token in order of groups, completions, tokens; 0 where a token's weight is 0. A leaf.</summary>
    public Tensor LogProbs { get; }

    /// <summary>(N) under the reference, if one was asked for.</summary>
    public Tensor? Reference { get; }

    /// <summary>(N) each; "mean_log_prob" is a leaf.</summary>
    public IReadOnlyDictionary<string, Tensor> Statistics { get; }

    /// <summary>Adds to the gradients of the model's trainable tensors what follows from the gradients of the leaves. Once.</summary>
    /// <param name="after">Called after each pack, as its gradients have come; null for nothing.</param>
    public void Backward(Action? after = null)
    {
        var leaves = Leaves(LogProbs, Statistics).Select(leaf => leaf.grad).ToList();
        foreach (var part in parts)
        {
            using var scope = torch.NewDisposeScope();
            if (leaves.TrueForAll(g => g is null) || !part.Pack.WithGradient.Contains(true)) continue;
            var outputs = part.Outputs ?? again(part.Pack);
            if (!outputs[0].requires_grad) continue;
            var flows = part.Pack.WithGradient.Contains(false) ? torch.tensor(part.Pack.WithGradient.ToArray(), device: outputs[0].device) : null;
            var gradients = outputs.Select((output, k) => leaves[k] is { } g ? Own(g.index_select(0, part.Slots), flows) : torch.zeros_like(output)).ToList();
            torch.autograd.backward(outputs, gradients);
            after?.Invoke();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var part in parts) part.Pack.Dispose();
    }

    internal static IEnumerable<Tensor> Leaves(Tensor logProbs, IReadOnlyDictionary<string, Tensor> statistics) =>
        statistics.TryGetValue(HeadAnswers.MeanLogProbName, out var mean) ? [logProbs, mean] : [logProbs];

    private static Tensor Own(Tensor gradient, Tensor? flows) => flows is null ? gradient : gradient.mul(flows.to(gradient.dtype));

    /// <param name="Pack">The rows.</param>
    /// <param name="Slots">(n) int64 where its answers belong among the batch's.</param>
    /// <param name="Outputs">The head's outputs on their graph; null where the pack is computed again.</param>
    internal sealed record Part(Pack Pack, Tensor Slots, Tensor[]? Outputs);
}
