// Attention over a pack: one autograd node for all groups, rotary positions included, batched products over buckets of
// groups with their tree masks. Plain slicing in autograd would make the backward quadratic in the number of groups.
// Probabilities are kept for the backward pass.

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>
/// apply(q, k, v, rotary, buckets, scale): q (R, H, D), k and v (R, G, D) with H a multiple of G, all before rotation;
/// buckets that cover all rows; returns (R, H, D).
/// </summary>
internal sealed class TreeAttention : torch.autograd.SingleTensorFunction<TreeAttention>
{
    public override string Name => "TreeAttention";

    public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (q, k, v) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2]);
        var (rotary, buckets, scale) = ((Rotary)vars[3], (IReadOnlyList<Bucket>)vars[4], (double)vars[5]);
        var output = torch.empty_like(q);
        using var scope = torch.NewDisposeScope();
        var (qr, kr) = (rotary.Turn(q).mul_(scale), rotary.Turn(k));
        var kept = new List<Tensor> { qr, kr, v, output, rotary.Cos, rotary.Sin };
        var made = new List<Tensor> { qr, kr };
        foreach (var bucket in buckets)
        {
            var (shape, places) = (bucket.Shape, bucket.Places);
            var scores = shape.Queries(qr, places, k.size(1)).bmm(shape.Keys(kr, places).transpose(1, 2)); // (B G, r T, T)
            scores.view(shape.Batch, -1, shape.Width, shape.Width).add_(bucket.Mask);
            var probs = scores.softmax(-1);
            shape.Store(output, places, probs.bmm(shape.Keys(v, places)));
            kept.Add(probs);
            made.Add(probs);
            if (places is not null) kept.Add(places);
            scores.Dispose();
        }
        if (!(q.requires_grad || k.requires_grad || v.requires_grad)) return output;
        foreach (var tensor in made) tensor.MoveToOuterDisposeScope();
        ctx.save_for_backward(kept);
        ctx.save_data("shapes", buckets.Select(b => b.Shape).ToList());
        ctx.save_data("scale", scale);
        return output;
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
    {
        var saved = ctx.get_saved_variables();
        var (q, k, v, output) = (saved[0], saved[1], saved[2], saved[3]);
        var back = new Rotary(saved[4], saved[5]);
        var (dq, dk, dv) = (torch.empty_like(q), torch.empty_like(k), torch.empty_like(v));
        using var scope = torch.NewDisposeScope();
        var shared = (grad_output * output).sum(-1, keepdim: true); // (R, H, 1), each row's sum of probs * dprobs
        var (groups, next) = (k.size(1), 6);
        foreach (var shape in (List<BucketShape>)ctx.get_data("shapes")!)
        {
            using var inner = torch.NewDisposeScope();
            var probs = saved[next++];
            var places = shape.Batch > 1 ? saved[next++] : null;
            var grad = shape.Queries(grad_output, places, groups); // (B G, r T, D)
            shape.Store(dv, places, probs.transpose(1, 2).bmm(grad));
            var dscores = grad.bmm(shape.Keys(v, places).transpose(1, 2)); // (B G, r T, T)
            dscores.sub_(shape.Queries(shared, places, groups)).mul_(probs);
            shape.Store(dq, places, dscores.bmm(shape.Keys(k, places)));
            shape.Store(dk, places, dscores.transpose(1, 2).bmm(shape.Queries(q, places, groups)));
        }
        var scale = (double)ctx.get_data("scale")!;
        return [back.TurnBack(dq).mul_(scale).MoveToOuterDisposeScope(), back.TurnBack(dk).MoveToOuterDisposeScope(), dv];
    }
}
