// The attention of TreeAttention as one native kernel forward and one backward, where nothing but q, k, v, the result and a number for
// each row and head is kept. For plain layers: no cap of the scores, no keys and values before the rows.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Engine;

/// <summary>apply(q, k, v, runs, form): q (R, H, D), or without gradients of the asked rows alone, k and v (R, G, D) before rotation; returns as q.</summary>
internal sealed class FusedTreeAttention : torch.autograd.SingleTensorFunction<FusedTreeAttention>
{
    public override string Name => "FusedTreeAttention";

    /// <summary>Whether the kernel computes this.</summary>
    internal static bool Takes(Tensor q, AttentionForm form) => Fused.Has(q.device, q.dtype) && form is { Cap: null, Prefix: null };

    public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (q, k, v, runs, form) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (RowRuns)vars[3], (AttentionForm)vars[4]);
        var (mixed, sums) = Fused.TreeAttention(q, k, v, form.Rotary?.Cos, form.Rotary?.Sin, runs, form.Scale, form.Asked);
        if (!q.requires_grad && !k.requires_grad && !v.requires_grad)
        {
            sums.Dispose();
            return mixed;
        }
        ctx.save_for_backward([q, k, v, mixed, sums, runs.Spans, .. form.Rotary is { } rotary ? (Tensor[])[rotary.Cos, rotary.Sin] : []]);
        ctx.save_data("groups", runs.Groups);
        ctx.save_data("scale", form.Scale);
        return mixed;
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
    {
        var saved = ctx.get_saved_variables();
        var (cos, sin) = saved.Count > 6 ? (saved[6], saved[7]) : default((Tensor?, Tensor?));
        var runs = new RowRuns(saved[5], (long[])ctx.get_data("groups")!);
        var (dq, dk, dv) = Fused.TreeAttentionBackward(grad_output, saved[0], saved[1], saved[2], (saved[3], saved[4]), cos, sin, runs, (double)ctx.get_data("scale")!);
        return [dq, dk, dv];
    }
}
