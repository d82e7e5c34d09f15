// How the engine computes an adapter's deltas beside the products that they change. The module's own tensors stay as they are.
// PEFT's formulas: LoRA y = x W' + s drop(x) A' B'; DoRA with k = m / |W + s B A| of each row, constant in the backward pass:
// y = x W' + (k - 1) drop(x) W' + k s drop(x) A' B', so that the base's term inside is dropped too.

using PeftAlign.Abstractions;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Models.Decoders;

internal static class Deltas
{
    /// <summary>A module's output, where rows may have deltas of their own by their groups' controls.</summary>
    /// <param name="module">Full name.</param>
    /// <param name="pack">The rows.</param>
    /// <param name="mode">The deltas.</param>
    /// <param name="compute">The output of all rows under a delta, or under none.</param>
    /// <returns>(R, ...)</returns>
    internal static Tensor ByRow(string module, Pack pack, ForwardMode mode, Func<Delta?, Tensor> compute)
    {
        var common = mode.Deltas.GetValueOrDefault(module);
        var y = compute(common);
        if (mode.Controls.Count == 0) return y;
        foreach (var (control, deltas) in mode.Controls)
            if (deltas.TryGetValue(module, out var own) && pack.RowsUnder(control) is { } rows)
                y = torch.where(y.dim() == 2 ? rows : rows.unsqueeze(2), compute(common is null ? own : new Stack([common, own])), y);
        return y;
    }

    /// <summary>A linear layer's output.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="x">(R, in) its input.</param>
    /// <param name="pack">The rows.</param>
    /// <param name="mode">Deltas and dropout.</param>
    /// <returns>(R, out)</returns>
    internal static Tensor Linear(Layer layer, Tensor x, Pack pack, ForwardMode mode)
    {
        var own = mode.Controls.Values.Select(deltas => deltas.GetValueOrDefault(layer.Module)).OfType<Delta>();
        if (mode.Controls.Count == 0 || !own.SelectMany(Parts).All(IsThin))
            return ByRow(layer.Module, pack, mode, delta => Linear(layer, x, delta, pack, mode));
        var y = Linear(layer, x, mode.Deltas.GetValueOrDefault(layer.Module), pack, mode);
        foreach (var (control, deltas) in mode.Controls)
            if (deltas.TryGetValue(layer.Module, out var delta) && pack.RowsUnder(control) is { } rows)
                foreach (var low in Parts(delta).Cast<LowRank>())
                    y = Add(y, low, Dropped(x, low.Dropout, layer.Module, pack, mode), rows);
        return y;
    }

    // A change that is added by a thin product, which zeros in its middle switch off by row.
    private static bool IsThin(Delta part) => part is LowRank { Magnitude: null, Bias: null };

    private static Tensor Linear(Layer layer, Tensor x, Delta? delta, Pack pack, ForwardMode mode) =>
        delta is null ? layer.Product(x) : Linear(layer, x, delta, (input, rate) => Dropped(input, rate, layer.Module, pack, mode));

    /// <summary>A linear layer's, or the head's, output under a delta.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="x">(R, in) its input.</param>
    /// <param name="delta">The change.</param>
    /// <param name="drop">From the input and a share to the input with that share dropped.</param>
    internal static Tensor Linear(Layer layer, Tensor x, Delta delta, Func<Tensor, double, Tensor> drop)
    {
        var parts = Parts(delta);
        var changed = layer.Under(delta);
        foreach (var scale in parts.OfType<Scale>().Where(s => s.OfInputs)) x = (x * scale.Values).to(x.dtype);
        var y = changed.Product(x);
        foreach (var part in parts)
        {
            if (part is TokenRows rows)
            {
                var ids = torch.tensor(rows.Tokens.ToArray(), device: y.device);
                y = y.index_copy_(1, ids, F.linear(x, rows.Values.to(x.dtype), changed.Bias?.index_select(0, ids)));
            }
            if (part is not LowRank low) continue;
            var dropped = drop(x, low.Dropout);
            y = low.Magnitude is null ? Add(y, low, dropped) : (y + Turned(changed, low, dropped)).to(y.dtype);
        }
        foreach (var scale in parts.OfType<Scale>().Where(s => !s.OfInputs)) y = (y * scale.Values).to(y.dtype);
        foreach (var wrap in parts.OfType<Wrap>()) y = Wrapped(y, wrap);
        return y;
    }

    /// <summary>Rows of an embedding under a delta.</summary>
    /// <param name="layer">The embedding.</param>
    /// <param name="tokens">(R) int64.</param>
    /// <param name="delta">The change, or null.</param>
    /// <param name="padding">Row that no gradient reaches, or null.</param>
    /// <param name="look">From the module's own table, or the one in its place, to the tokens' rows: (R, d).</param>
    /// <returns>(R, d)</returns>
    internal static Tensor Embedding(Layer layer, Tensor tokens, Delta? delta, long? padding, Func<Tensor, Tensor> look)
    {
        if (delta is null) return look(layer.Weight);
        var x = look(layer.Under(delta).Weight);
        foreach (var part in Parts(delta))
        {
            if (part is LowRank low) x = (x + F.linear(F.embedding(tokens, low.A.t(), padding), low.B) * low.Scale).to(x.dtype);
            if (part is TokenRows rows) x = Replaced(x, tokens, rows);
        }
        return x;
    }

    /// <summary>The module's tensors with the delta inside: what merging writes, and what a decoding head multiplies with. In the order of
    /// <see cref="Linear(Layer, Tensor, Delta, Func{Tensor, double, Tensor})"/>: tensors in the place of others, products beside them, factors.</summary>
    /// <param name="layer">The module.</param>
    /// <param name="delta">The change.</param>
    /// <exception cref="UserErrorException">The delta is none that weights can hold.</exception>
    internal static Layer Merged(Layer layer, Delta delta)
    {
        var (parts, own) = (Parts(delta), layer.Under(delta));
        var sum = parts.Aggregate(own, (merged, part) => part switch
        {
            LowRank low => merged.With(layer.Oriented(Sum(merged, own, low))),
            TokenRows rows => merged.With(merged.Weight.clone().index_copy_(0, torch.tensor(rows.Tokens.ToArray(), device: rows.Values.device), rows.Values.to(merged.Type))),
            Scale or Whole => merged,
            _ => throw NoWeight(layer.Module, part),
        });
        return parts.OfType<Scale>().Aggregate(sum, (merged, scale) => scale.OfInputs
            ? merged.With(merged.Oriented(merged.Matrix * scale.Values))
            : merged.With(merged.Oriented(merged.Matrix * scale.Values.unsqueeze(1))) with { Bias = merged.Bias is { } bias ? bias * scale.Values : null });
    }

    /// <summary>The error for a change that weights cannot hold.</summary>
    internal static UserErrorException NoWeight(string module, Delta delta) => new($"The adapter cannot be merged into weights: {Parts(delta)[0] switch
    {
        VirtualTokens => "virtual tokens stand before the text, and no weight gives them",
        PrefixKV => "prefix keys and values stand before the text, and no weight gives them",
        Wrap => $"at {module} it is a network with an activation, and no matrix equals it",
        var part => $"a {part.GetType().Name} at {module} is no change of its tensors",
    }}. Keep it as an adapter.");

    /// <summary>A delta's parts, in order.</summary>
    internal static IReadOnlyList<Delta> Parts(Delta delta) => delta is Stack stack ? [.. stack.Layers.SelectMany(Parts)] : [delta];

    // y belongs to this function and nothing needs it unchanged, so the thin product is added in place.
    private static Tensor Add(Tensor y, LowRank low, Tensor x, Tensor? only = null)
    {
        var wide = x.to(low.A.dtype);
        Tensor Thin(Tensor a) => only is null ? F.linear(wide, a) : F.linear(wide, a) * only; // (R, rank)
        if (low.Start is null && y.dtype == low.A.dtype) return y.addmm_(Thin(low.A), low.B.t(), alpha: (float)low.Scale);
        // A narrow base under a float32 adapter: the sum is rounded once.
        if (low.Start is not { } start) return (y + F.linear(Thin(low.A), low.B) * low.Scale).to(y.dtype);
        // As a difference of two equal products the start gives the base's numbers exactly.
        return (y + (F.linear(Thin(low.A), low.B) - F.linear(Thin(start.A), start.B)) * low.Scale).to(y.dtype);
    }

    // y + U f(D y + b) + c.
    private static Tensor Wrapped(Tensor y, Wrap wrap) =>
        (y + F.linear(F.linear(y.to(wrap.Down.dtype), wrap.Down, wrap.DownBias).Activated(wrap.Activation), wrap.Up, wrap.UpBias)).to(y.dtype);

    /// <summary>f(x).</summary>
    internal static Tensor Activated(this Tensor x, Activation activation) => activation switch
    {
        Activation.Silu => x.silu(),
        Activation.Gelu => F.gelu(x),
        Activation.GeluTanh => F.gelu(x, approximate: "tanh"),
        _ => x.relu(),
    };

    // (k - 1) x W' + k s x A' B'.
    private static Tensor Turned(Layer layer, LowRank low, Tensor x)
    {
        var factor = low.Magnitude! / RowNorms(layer.Matrix, low); // (out)
        var own = (layer with { Bias = null }).Product(x);
        return own * (factor - 1) + F.linear(F.linear(x.to(low.A.dtype), low.A), low.B) * (factor * low.Scale);
    }

    // |W + s B A| of each row from products that are thin: |w|^2 + 2 s w (b A)' + s^2 (b A) (b A)'. In float64, since the sum
    // of three may cancel.
    private static Tensor RowNorms(Tensor matrix, LowRank low)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var (a, b) = (low.A.detach(), low.B.detach() * low.Scale);
        matrix = matrix.to(a.dtype);
        var squares = matrix.norm(1).to(torch.float64).square();
        var mixed = (matrix.mm(a.t()) * b).sum(1).to(torch.float64);
        var own = (b.mm(a.mm(a.t())) * b).sum(1).to(torch.float64);
        return (squares + mixed * 2 + own).clamp(min: 0).sqrt().to(matrix.dtype).MoveToOuterDisposeScope();
    }

    // (out, in) of a linear layer or head; (V, d) of an embedding. DoRA turns the module's own weight, whatever is beside it.
    private static Tensor Sum(Layer merged, Layer own, LowRank low)
    {
        if (merged.IsEmbedding) return merged.Weight + (low.B.mm(low.A) * low.Scale).t();
        var change = low.B.mm(low.A);
        if (low.Start is { } start) change -= start.B.mm(start.A);
        if (low.Magnitude is not { } magnitude) return merged.Matrix + change * low.Scale;
        var sum = own.Matrix + change * low.Scale;
        var turned = sum * (magnitude / sum.detach().norm(1)).unsqueeze(1);
        return ReferenceEquals(merged, own) ? turned : merged.Matrix + (turned - own.Matrix);
    }

    // Multiplication by a matrix of ones and zeros: exact, and its backward pass adds each row's gradient.
    private static Tensor Replaced(Tensor x, Tensor tokens, TokenRows rows)
    {
        var ids = torch.tensor(rows.Tokens.ToArray(), device: tokens.device);
        var hits = tokens.unsqueeze(1).eq(ids.unsqueeze(0)).to(x.dtype); // (R, k)
        return x * (1 - hits.sum(1, keepdim: true)) + hits.mm(rows.Values.to(x.dtype));
    }

    private static Tensor Dropped(Tensor x, double rate, string module, Pack pack, ForwardMode mode) =>
        rate > 0 && mode.Dropout is { Activations: true } key ? x * DropoutMask.Of(key, module, rate, pack, x) : x;
}
