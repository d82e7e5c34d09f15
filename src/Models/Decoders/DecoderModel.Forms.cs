// The forms that blocks have beside the common one: both parts on the block's input, norms behind the sums, queries, keys and values that one
// layer gives head by head, and heads of whose dimensions neighbours turn together.

using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

public sealed partial class DecoderModel
{
    // The stream's sum and what a part makes its result of.
    private (Tensor Sum, Tensor Input) Into(Residual stream, string? norm, Pack pack, ForwardMode mode) =>
        Normed(stream, Spec.Block.NormsAfter ? null : norm, pack, mode);

    private Residual OutOf(Tensor x, Tensor result, string? norm, string? endNorm, Pack pack, ForwardMode mode)
    {
        var added = Added(result, endNorm, pack, mode);
        return Spec.Block.NormsAfter ? new(Normed(new(x, added), norm, pack, mode).Normal) : new(x, added);
    }

    private Tensor Added(Tensor part, string? norm, Pack pack, ForwardMode mode)
    {
        var normal = norm is null ? part : Norm(part, norm, pack, mode);
        return Spec.ResidualScale is { } scale ? normal * scale : normal;
    }

    // Both parts read the block's input, under one norm or two.
    private Residual Beside(Residual below, BlockNames block, Pack pack, AttentionForm form, ForwardMode mode, Tensor? rows)
    {
        using var scope = torch.NewDisposeScope();
        var (x, normal) = Normed(below, block.AttentionNorm, pack, mode);
        var mixed = Attention(normal, block, pack, form, mode, rows);
        if (rows is not null) (x, normal) = (x.index_select(0, rows), normal.index_select(0, rows));
        var fed = FeedForward(block.FeedForwardNorm is { } own && own != block.AttentionNorm ? Norm(x, own, pack, mode) : normal, block, pack, mode);
        return new Residual(x, Added(fed + mixed, null, pack, mode)).Outer();
    }

    // Queries, keys and values of a layer whose rows are each key head's queries, its key and its value.
    private Tensor[] ByHead(Tensor joined)
    {
        var each = Spec.Heads / Spec.KeyValueHeads;
        var parts = joined.view(-1, Spec.KeyValueHeads, each + 2, Spec.HeadWidth);
        return [parts.narrow(2, 0, each).contiguous(), parts.narrow(2, each, 1).contiguous(), parts.narrow(2, each + 1, 1).contiguous()];
    }

    // (R, heads, D) of which 2j and 2j + 1 turn together, with these half of what turns apart, where a turn looks for them. A score is the same sum in
    // another order, so that nothing has to be put back.
    private Tensor Halved(Tensor x)
    {
        if (!Spec.TurnsPairs) return x;
        var width = RotaryFrequencies.Width(Spec.Rope!, Spec.HeadWidth);
        var turning = x.narrow(2, 0, width).reshape(-1, x.size(1), width / 2, 2).transpose(2, 3).reshape(-1, x.size(1), width);
        return width < x.size(2) ? torch.cat([turning, x.narrow(2, width, x.size(2) - width)], 2) : turning;
    }
}
