// Dropout that does not depend on packing: each decision is keyed by (seed, micro-batch, record, position, module).

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Engine;

internal static class DropoutMask
{
    /// <summary>(R, d) of 0 and 1 / (1 - rate), in x's dtype.</summary>
    internal static Tensor Of(DropoutKey key, string module, double rate, Pack pack, Tensor x)
    {
        using var scope = torch.NewDisposeScope();
        var parts = new List<Tensor>(pack.Segments.Count);
        foreach (var segment in pack.Segments)
        {
            var stream = new CounterStream(key.Seed, "dropout", $"{module}/{segment.Record}", key.Step);
            var kept = stream.Bernoulli([segment.Positions, x.size(1)], 1 - rate, x.dtype, x.device); // (positions, d)
            // Answers to one prompt stand side by side and repeat positions.
            parts.Add(segment.IsChain ? kept : kept.index_select(0, pack.Positions.narrow(0, segment.Start, segment.Length) - segment.Front.Prefix));
        }
        return torch.cat(parts).mul_(1 / (1 - rate)).MoveToOuterDisposeScope();
    }
}
