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
        var streams = pack.Segments.Select(segment => new CounterStream(key.Seed, "dropout", $"{module}/{segment.Record}", key.Step)).ToList();
        var kept = x.device.type == DeviceType.CPU ? Drawn(streams, 1 - rate, pack, x) : Composed(streams, 1 - rate, pack, x);
        return kept.mul_(1 / (1 - rate)).MoveToOuterDisposeScope();
    }

    private static Tensor Drawn(List<CounterStream> streams, double p, Pack pack, Tensor x)
    {
        var parts = new List<Tensor>(streams.Count);
        foreach (var (segment, stream) in pack.Segments.Zip(streams))
        {
            var kept = stream.Bernoulli([segment.Positions, x.size(1)], p, x.dtype); // (positions, d)
            // Answers to one prompt stand side by side and repeat positions.
            parts.Add(segment.IsChain ? kept : kept.index_select(0, pack.Positions.narrow(0, segment.Start, segment.Length) - segment.Front.Prefix));
        }
        return torch.cat(parts);
    }

    // The same bits, made on the device for all rows at once.
    private static Tensor Composed(List<CounterStream> streams, double p, Pack pack, Tensor x)
    {
        var (segments, positions) = pack.Places;
        return ComposedDraws.Bernoulli(ComposedDraws.Schedule(streams, x.device), segments, positions, x.size(1), p, x.dtype);
    }
}
