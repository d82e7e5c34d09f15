// Attention over a pack: one autograd node for all groups, rotary positions included, batched products over buckets of
// groups with their tree masks. Plain slicing in autograd would make the backward quadratic in the number of groups.
// Probabilities are kept for the backward pass.

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>
/// apply(q, k, v, buckets, form) or apply(q, k, v, prefix keys, prefix values, buckets, form): q (R, H, D), k and v (R, G, D) with H
/// a multiple of G, all before rotation; prefixes (P, G, D), which are not turned; buckets that cover all rows; returns (R, H, D).
/// </summary>
internal sealed class TreeAttention : torch.autograd.SingleTensorFunction<TreeAttention>
{
    public override string Name => "TreeAttention";

    /// <summary>Applies it to what a layer has.</summary>
    internal static Tensor Of(Tensor q, Tensor k, Tensor v, IReadOnlyList<Bucket> buckets, AttentionForm form) =>
        form.Prefix is var (keys, values) ? apply(q, k, v, keys, values, buckets, form with { Prefix = null }) : apply(q, k, v, buckets, form);

    public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (q, k, v, prefixKeys, prefixValues, buckets, form) = BucketInputs.Of(vars);
        var rotary = form.Rotary;
        var output = torch.empty(q.shape, q.dtype, q.device);
        using var scope = torch.NewDisposeScope();
        var (before, after) = Scales(q, form);
        var (qr, kr) = (rotary is null ? q * before : rotary.Turn(q).mul_(before), rotary?.Turn(k) ?? k.alias());
        List<Tensor> kept = [qr, kr, v, output, .. rotary is null ? (Tensor[])[] : [rotary.Cos, rotary.Sin], .. prefixKeys is null ? (Tensor[])[] : [prefixKeys, prefixValues!]];
        var made = new List<Tensor> { qr, kr };
        foreach (var bucket in buckets)
        {
            var (shape, places) = (bucket.Shape, bucket.Places);
            var scores = Scores(shape.Queries(qr, places, k.size(1)), shape.Keys(prefixKeys, kr, places), after, form.Cap); // (B G, r T, P + T)
            scores.view(shape.Batch, -1, shape.Width, shape.Prefix + shape.Width).add_(bucket.Mask(form.Window));
            var probs = scores.softmax(-1);
            shape.Store(output, places, probs.bmm(shape.Keys(prefixValues, v, places)));
            kept.Add(probs);
            made.Add(probs);
            if (places is not null) kept.Add(places);
            scores.Dispose();
        }
        if (!vars.OfType<Tensor>().Any(tensor => tensor.requires_grad)) return output;
        foreach (var tensor in made) tensor.MoveToOuterDisposeScope();
        ctx.save_for_backward(kept);
        ctx.save_data("shapes", buckets.Select(b => b.Shape).ToList());
        ctx.save_data("form", form);
        ctx.save_data("prefix", prefixKeys is not null);
        return output;
    }

    // Factors of the queries and of the scores. The first costs less; in a narrow dtype the second rounds as Hugging Face's.
    private static (double Before, double After) Scales(Tensor q, AttentionForm form) =>
        q.dtype is torch.ScalarType.Float32 or torch.ScalarType.Float64 ? (form.Scale, 1) : (1, form.Scale);

    private static Tensor Scores(Tensor queries, Tensor keys, double scale, double? limit)
    {
        var scores = queries.bmm(keys.transpose(1, 2));
        if (scale != 1) scores.mul_(scale);
        return limit is { } cap ? scores.div_(cap).tanh().mul_(cap) : scores;
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
    {
        var saved = ctx.get_saved_variables();
        var (q, k, v, output) = (saved[0], saved[1], saved[2], saved[3]);
        var form = (AttentionForm)ctx.get_data("form")!;
        var shapes = (List<BucketShape>)ctx.get_data("shapes")!;
        var back = form.Rotary is null ? null : new Rotary(saved[4], saved[5]);
        var (dq, dk, dv) = (torch.empty(q.shape, q.dtype, q.device), torch.empty(k.shape, k.dtype, k.device), torch.empty(v.shape, v.dtype, v.device));
        var next = back is null ? 4 : 6;
        var (prefixKeys, prefixValues) = (bool)ctx.get_data("prefix")! ? ((Tensor?)saved[next++], (Tensor?)saved[next++]) : default;
        var (dpk, dpv) = prefixKeys is null ? default : ((Tensor?)torch.zeros_like(prefixKeys), (Tensor?)torch.zeros_like(prefixKeys));
        using var scope = torch.NewDisposeScope();
        var shared = (grad_output * output).sum(-1, keepdim: true); // (R, H, 1), each row's sum of probs * dprobs
        var groups = k.size(1);
        var (before, after) = Scales(q, form);
        foreach (var shape in shapes)
        {
            using var inner = torch.NewDisposeScope();
            var probs = saved[next++];
            var places = shape.Batch > 1 ? saved[next++] : null;
            var grad = shape.Queries(grad_output, places, groups); // (B G, r T, D)
            shape.StoreKeys(dpv, dv, places, probs.transpose(1, 2).bmm(grad));
            var dscores = grad.bmm(shape.Keys(prefixValues, v, places).transpose(1, 2)); // (B G, r T, P + T)
            dscores.sub_(shape.Queries(shared, places, groups)).mul_(probs);
            var (queries, keys) = (shape.Queries(q, places, groups), shape.Keys(prefixKeys, k, places));
            // d c tanh(s / c) / ds = 1 - tanh(s / c)^2; the scores are made again, since they are as large as the probabilities.
            if (form.Cap is { } cap) dscores.sub_(dscores * Scores(queries, keys, after, cap).div_(cap).square());
            if (after != 1) dscores.mul_(after);
            shape.Store(dq, places, dscores.bmm(keys));
            shape.StoreKeys(dpk, dk, places, dscores.transpose(1, 2).bmm(queries));
        }
        List<Tensor?> gradients = back is null ? [dq.mul_(before), dk, dv] : [back.TurnBack(dq).mul_(before).MoveToOuterDisposeScope(), back.TurnBack(dk).MoveToOuterDisposeScope(), dv];
        return prefixKeys is null ? gradients : [.. gradients, dpk, dpv];
    }
}

/// <summary>How a layer's attention is computed beside its inputs.</summary>
/// <param name="Rotary">The turn of queries and keys; null = none.</param>
/// <param name="Scale">Factor of the scores.</param>
/// <param name="Cap">Scores s become c tanh(s / c); null = no cap.</param>
/// <param name="Window">Positions that a row sees, its own included; null = all before it.</param>
internal sealed record AttentionForm(Rotary? Rotary, double Scale, double? Cap = null, long? Window = null)
{
    /// <summary>(P, G, D) keys and values that stand before the rows of groups, see <see cref="Front"/>; null where none do.</summary>
    internal (Tensor Keys, Tensor Values)? Prefix { get; init; }

    /// <summary>(N) int64, rising: the rows whose results are asked for; those of others may be anything finite that has no gradient. Null = all.</summary>
    internal Tensor? Asked { get; init; }

    /// <summary>Its tensors in the order that <see cref="Over"/> takes.</summary>
    internal IEnumerable<Tensor> Tensors => [.. Rotary is null ? (Tensor[])[] : [Rotary.Cos, Rotary.Sin], .. Prefix is var (keys, values) ? (Tensor[])[keys, values] : []];

    /// <summary>The same over other tensors.</summary>
    internal AttentionForm Over(IReadOnlyList<Tensor> tensors) => this with
    {
        Rotary = Rotary is null ? null : new Rotary(tensors[0], tensors[1]),
        Prefix = Prefix is null ? null : (tensors[^2], tensors[^1]),
    };
}
