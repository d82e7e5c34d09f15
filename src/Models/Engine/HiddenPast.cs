// Which tokens of a sequence those behind them do not see in training (forgetful causal masking, Liu et al. 2022, arXiv 2210.13432):
// each group draws a share below the key's, and each of its tokens is hidden with that probability, keyed by record and position as
// dropout is. The first token is always seen, so is each token by itself, and so is what an adapter puts before the text.

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Engine;

internal static class HiddenPast
{
    /// <summary>The hidden rows of a segment, counted from its first.</summary>
    internal static IReadOnlyList<int> Of(DropoutKey key, Segment segment)
    {
        using var scope = torch.NewDisposeScope();
        var draws = new CounterStream(key.Seed, "hidden_past", $"{segment.Record}", key.Step).Uniform([segment.Positions + 1], 0, 1).data<float>().ToArray();
        var share = draws[0] * key.HiddenPast;
        var (hidden, prompt) = (new List<int>(), segment.Branches[0]);
        for (int b = 0, first = 0; b < segment.Branches.Length; first += segment.Branches[b], b++)
            for (var row = first; row < first + segment.Branches[b]; row++)
                if ((b == 0 ? row : prompt + row - first) is var position && position > segment.Front.Tokens && draws[position + 1] < share) hidden.Add(row);
        return hidden;
    }
}
