// The attention of TreeAttention over libtorch's scaled_dot_product_attention, whose kernels on a GPU hold no scores and no
// probabilities: only a bucket's queries, keys and values are kept, and the backward pass computes it again on a graph of its own.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Models.Engine;

/// <summary>apply(q, k, v, buckets, form) or apply(q, k, v, prefix keys, prefix values, buckets, form): as <see cref="TreeAttention"/>, without a cap.</summary>
internal sealed class DeviceTreeAttention : torch.autograd.SingleTensorFunction<DeviceTreeAttention>
{
    public override string Name => "DeviceTreeAttention";

    /// <summary>Whether it is the way to compute this: off the processor, with a libtorch that has the operator, and a factor that rounds nothing.</summary>
    internal static bool Takes(Tensor q, AttentionForm form) =>
        q.device.type != DeviceType.CPU && LibTorch.HasAttention && form.Cap is null && (q.dtype is torch.ScalarType.Float32 or torch.ScalarType.Float64 || double.IsPow2(Factor(q, form)));

    /// <summary>Applies it to what a layer has.</summary>
    internal static Tensor Of(Tensor q, Tensor k, Tensor v, IReadOnlyList<Bucket> buckets, AttentionForm form) =>
        form.Prefix is var (keys, values) ? apply(q, k, v, keys, values, buckets, form with { Prefix = null }) : apply(q, k, v, buckets, form);

    // What queries are multiplied by beside the operator's own 1 / sqrt(D); 1 but for its rounding where that is the layer's scale.
    private static double Factor(Tensor q, AttentionForm form) => form.Scale * Math.Sqrt(q.size(-1)) is var factor && Math.Abs(factor - 1) < 1e-12 ? 1 : factor;

    public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (q, k, v, prefixKeys, prefixValues, buckets, form) = BucketInputs.Of(vars);
        var rotary = form.Rotary;
        var output = torch.empty(q.shape, q.dtype, q.device);
        using var scope = torch.NewDisposeScope();
        var (qr, kr) = (rotary?.Turn(q) ?? q.alias(), rotary?.Turn(k) ?? k.alias());
        if (Factor(q, form) is not 1 and var factor) qr = qr.mul(factor);
        List<Tensor> kept = [qr, kr, v, .. rotary is null ? (Tensor[])[] : [rotary.Cos, rotary.Sin], .. prefixKeys is null ? (Tensor[])[] : [prefixKeys, prefixValues!]];
        var parts = new List<Part>();
        foreach (var bucket in buckets)
        {
            using var inner = torch.NewDisposeScope();
            var part = new Part(bucket.Shape, bucket.Places is not null, bucket.IsCausal(form.Window));
            var mask = part.IsCausal ? null : bucket.Mask(form.Window);
            bucket.Shape.Store(output, bucket.Places, Attend(part.Inputs(qr, kr, v, prefixKeys, prefixValues, bucket.Places), mask, part.IsCausal));
            parts.Add(part);
            kept.AddRange(((Tensor?[])[bucket.Places, mask]).OfType<Tensor>());
        }
        if (!vars.OfType<Tensor>().Any(tensor => tensor.requires_grad)) return output;
        foreach (var tensor in (Tensor[])[qr, kr]) tensor.MoveToOuterDisposeScope();
        ctx.save_for_backward(kept);
        ctx.save_data("parts", parts);
        ctx.save_data("form", form);
        ctx.save_data("prefix", prefixKeys is not null);
        return output;
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
    {
        var saved = new Queue<Tensor>(ctx.get_saved_variables());
        var (q, k, v, form) = (saved.Dequeue(), saved.Dequeue(), saved.Dequeue(), (AttentionForm)ctx.get_data("form")!);
        var back = form.Rotary is null ? null : new Decoders.Rotary(saved.Dequeue(), saved.Dequeue());
        var (prefixKeys, prefixValues) = (bool)ctx.get_data("prefix")! ? ((Tensor?)saved.Dequeue(), (Tensor?)saved.Dequeue()) : default;
        var (dq, dk, dv) = (torch.empty(q.shape, q.dtype, q.device), torch.empty(k.shape, k.dtype, k.device), torch.empty(v.shape, v.dtype, v.device));
        var (dpk, dpv) = prefixKeys is null ? default : ((Tensor?)torch.zeros_like(prefixKeys), (Tensor?)torch.zeros_like(prefixKeys));
        using var scope = torch.NewDisposeScope();
        foreach (var part in (List<Part>)ctx.get_data("parts")!)
        {
            using var inner = torch.NewDisposeScope();
            var places = part.IsPadded ? saved.Dequeue() : null;
            var mask = part.IsCausal ? null : saved.Dequeue();
            var leaves = part.Inputs(q, k, v, prefixKeys, prefixValues, places).Select(input => input.detach().requires_grad_()).ToArray();
            using var on = torch.enable_grad();
            var found = torch.autograd.grad([Attend(leaves, mask, part.IsCausal)], leaves, [part.Shape.Padded(grad_output, places).transpose(1, 2)]);
            using var off = torch.no_grad();
            part.Shape.Store(dq, places, found[0]);
            part.Shape.StoreKeys(dpk, dk, places, found[1].flatten(0, 1));
            part.Shape.StoreKeys(dpv, dv, places, found[2].flatten(0, 1));
        }
        if (Factor(q, form) is not 1 and var factor) dq.mul_(factor);
        List<Tensor?> gradients = back is null ? [dq, dk, dv] : [back.TurnBack(dq).MoveToOuterDisposeScope(), back.TurnBack(dk).MoveToOuterDisposeScope(), dv];
        return prefixKeys is null ? gradients : [.. gradients, dpk, dpv];
    }

    // (B, H, T, D) of (B, H, T, D), (B, G, P + T, D) twice; the H / G heads of a group share its keys.
    private static Tensor Attend(IReadOnlyList<Tensor> inputs, Tensor? mask, bool causal)
    {
        var heads = inputs[0].size(1);
        Tensor ForAll(Tensor x) => x.size(1) == heads ? x : x.unsqueeze(2).expand(-1, -1, heads / x.size(1), -1, -1).flatten(1, 2);
        return F.scaled_dot_product_attention(inputs[0], ForAll(inputs[1]), ForAll(inputs[2]), mask, is_casual: causal);
    }

    // A bucket as backward needs it.
    private sealed record Part(BucketShape Shape, bool IsPadded, bool IsCausal)
    {
        internal Tensor[] Inputs(Tensor q, Tensor k, Tensor v, Tensor? prefixKeys, Tensor? prefixValues, Tensor? places) =>
            [Shape.Padded(q, places).transpose(1, 2), ByHead(prefixKeys, k, places), ByHead(prefixValues, v, places)];

        private Tensor ByHead(Tensor? prefixes, Tensor x, Tensor? places) =>
            Shape.Prefix == 0 ? Shape.Padded(x, places).transpose(1, 2) : Shape.Keys(prefixes, x, places).view(Shape.Batch, x.size(1), -1, x.size(2));
    }
}
