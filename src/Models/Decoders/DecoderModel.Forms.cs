// The forms that blocks have beside the common one: both parts on the block's input, norms behind the sums, and queries, keys and values
// that one layer gives head by head.

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

    // Queries, keys and values of a layer whose rows are each head's query, key and value.
    private Tensor[] ByHead(Tensor joined) =>
        Array.ConvertAll(joined.view(-1, Spec.Heads, 3, Spec.HeadWidth).unbind(2), part => part.contiguous());
}
