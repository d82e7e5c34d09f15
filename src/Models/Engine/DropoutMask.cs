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
        var parts = pack.Segments.Select(segment =>
        {
            var positions = pack.Positions.narrow(0, segment.Start, segment.Length);
            var stream = new CounterStream(key.Seed, "dropout", $"{module}/{segment.Record}", key.Step);
            return stream.Bernoulli([segment.Positions, x.size(1)], 1 - rate).to(x.device).index_select(0, positions);
        }).ToList();
        return (torch.cat(parts) * (1 / (1 - rate))).to(x.dtype).MoveToOuterDisposeScope();
    }
}
