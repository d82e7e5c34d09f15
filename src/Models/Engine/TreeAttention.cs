// Attention over a pack: one autograd node for all groups, batched products over each group with its tree mask.
// Plain slicing in autograd would make the backward quadratic in the number of groups. Probabilities are kept.

using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>apply(q, k, v, segments, scale): q (R, H, D); k, v (R, G, D) with H a multiple of G; returns (R, H, D).</summary>
internal sealed class TreeAttention : torch.autograd.SingleTensorFunction<TreeAttention>
{
    public override string Name => "TreeAttention";

    public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (q, k, v) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2]);
        var (segments, scale) = ((IReadOnlyList<Segment>)vars[3], (double)vars[4]);
        var keep = q.requires_grad || k.requires_grad || v.requires_grad;
        var output = torch.empty_like(q);
        var kept = new List<Tensor> { q, k, v };
        using (torch.NewDisposeScope())
        {
            var groups = k.size(1);
            foreach (var s in segments)
            {
                var (qs, ks, vs) = (Queries(q, s, groups), Keys(k, s), Keys(v, s));
                var scores = Scores(qs, ks, s, scale);
                var probs = scores.softmax(-1);
                Rows(output, s).copy_(Back(probs.view(groups, -1, s.Length).bmm(vs), s, q.size(1)));
                if (keep) kept.Add(probs.MoveToOuterDisposeScope());
            }
        }
        ctx.save_for_backward(kept);
        ctx.save_data("segments", segments);
        ctx.save_data("scale", scale);
        return output;
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
    {
        var saved = ctx.get_saved_variables();
        var (q, k, v) = (saved[0], saved[1], saved[2]);
        var segments = (IReadOnlyList<Segment>)ctx.get_data("segments")!;
        var scale = (double)ctx.get_data("scale")!;
        var (dq, dk, dv) = (torch.empty_like(q), torch.empty_like(k), torch.empty_like(v));
        using (torch.NewDisposeScope())
        {
            var (heads, groups) = (q.size(1), k.size(1));
            for (var n = 0; n < segments.Count; n++)
            {
                var s = segments[n];
                var (qs, ks, vs) = (Queries(q, s, groups), Keys(k, s), Keys(v, s));
                var probs = saved[3 + n].view(groups, -1, s.Length); // (G, r T, T)
                var grad = Queries(grad_output, s, groups); // (G, r T, D)
                Rows(dv, s).copy_(probs.transpose(1, 2).bmm(grad).transpose(0, 1));
                var dprobs = grad.bmm(vs.transpose(1, 2));
                var dscores = (dprobs - (dprobs * probs).sum(-1, keepdim: true)) * probs * scale;
                Rows(dq, s).copy_(Back(dscores.bmm(ks), s, heads));
                Rows(dk, s).copy_(dscores.transpose(1, 2).bmm(qs).transpose(0, 1));
            }
        }
        return [dq, dk, dv];
    }

    private static Tensor Rows(Tensor x, Segment s) => x.narrow(0, s.Start, s.Length);

    // (T, H, D) -> (G, r T, D): the r = H / G query heads of a group share its keys without copies of them.
    private static Tensor Queries(Tensor x, Segment s, long groups) =>
        Rows(x, s).view(s.Length, groups, -1, x.size(2)).permute(1, 2, 0, 3).reshape(groups, -1, x.size(2));

    private static Tensor Keys(Tensor x, Segment s) => Rows(x, s).transpose(0, 1);

    private static Tensor Back(Tensor x, Segment s, long heads) =>
        x.view(heads, s.Length, x.size(2)).transpose(0, 1);

    private static Tensor Scores(Tensor qs, Tensor ks, Segment s, double scale)
    {
        var scores = qs.bmm(ks.transpose(1, 2)).mul_(scale); // (G, r T, T)
        return scores.view(-1, s.Length, s.Length).add_(s.Mask.to(scores.dtype));
    }
}
