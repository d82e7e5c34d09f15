// Frozen linear layers of one input, under plain LoRA or under nothing, as one autograd node: the A's of all are one product, in the
// backward pass too, a thin product is added where its layer's stands, and the input's gradient is one sum over the layers.
// y_i = x W_i' + b_i + sum of s z B' over its changes, with z = x [A_1; A_2; ...]'. Beside a bfloat16 base a float32 adapter's products
// are float32, and what they are added to is rounded once.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Decoders;

/// <summary>apply(x, parts, A, B, A, B ...): the (R, out) of each part; an A and a B for each of their changes, in order.</summary>
internal sealed class JoinedLowRank : torch.autograd.MultiTensorFunction<JoinedLowRank>
{
    public override string Name => "JoinedLowRank";

    /// <param name="Layer">Frozen.</param>
    /// <param name="Lows">Its changes, one after another; empty = none.</param>
    private sealed record Part(Layer Layer, LowRank[] Lows);

    /// <summary>The layers' outputs; null where one of them needs another way (dropout, DoRA, a trained bias, other dtypes, controls), or nothing is gained.</summary>
    /// <param name="layers">Layers of one input.</param>
    /// <param name="x">(R, in)</param>
    /// <param name="mode">Deltas and dropout.</param>
    internal static Tensor[]? Of(Layer[] layers, Tensor x, ForwardMode mode)
    {
        var graph = torch.is_grad_enabled();
        if (mode.Controls.Count > 0 || (mode.Deltas.Count == 0 && !graph) || (mode.Alone && x.size(0) <= Decoding.FewRows)) return null;
        var parts = new Part[layers.Length];
        for (var k = 0; k < parts.Length; k++)
        {
            var changes = mode.Deltas.TryGetValue(layers[k].Module, out var delta) ? Deltas.Parts(delta) : [];
            if (!IsFrozen(layers[k], x) || !changes.All(change => IsPlain(change, x, mode))) return null;
            parts[k] = new Part(layers[k], [.. changes.Cast<LowRank>()]);
        }
        var factors = parts.SelectMany(p => p.Lows).SelectMany(low => new object[] { low.A, low.B }).ToArray();
        if (factors.Select(factor => ((Tensor)factor).dtype).Distinct().Count() > 1) return null;
        var pays = factors.Length > 0 || layers.All(layer => layer.Known is not null) || (layers.Length > 1 && graph && x.requires_grad);
        return pays ? [.. apply([x, parts, .. factors])] : null;
    }

    private static bool IsFrozen(Layer layer, Tensor x) => layer.Bias is not { requires_grad: true }
        && (layer.Quantized is { } quantized ? (quantized.Matrix.ComputeType ?? x.dtype) == x.dtype : layer.Stored is { requires_grad: false } weight && weight.dtype == x.dtype);

    // (out, in); of a matrix in fewer bits until the next one is asked for.
    private static Tensor Matrix(Layer layer, torch.ScalarType type) => layer.Quantized is { } quantized ? QuantizedProduct.Decoded(quantized.Matrix, type) : layer.Matrix;

    private static bool IsPlain(Delta delta, Tensor x, ForwardMode mode) =>
        delta is LowRank { Magnitude: null, Bias: null, Start: null } low && (low.A.dtype == x.dtype || (low.A.dtype == torch.float32 && x.dtype == torch.bfloat16)) && (low.Dropout == 0 || mode.Dropout is not { Activations: true });

    public override List<Tensor> forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (x, parts) = ((Tensor)vars[0], (Part[])vars[1]);
        using var scope = torch.NewDisposeScope();
        var z = vars.Length > 2 ? Middle(x, [.. parts.SelectMany(p => p.Lows)]) : null; // (R, sum of ranks)
        var (outputs, first) = (new List<Tensor>(), 0L);
        foreach (var (layer, lows) in parts)
        {
            using var inner = torch.NewDisposeScope(); // on a device the next decoded matrix takes this one's memory
            var thin = lows.Select(low => (z!.narrow(1, (first += low.A.size(0)) - low.A.size(0), low.A.size(0)), low.B.t(), low.Scale));
            outputs.Add(Output(layer, x, [.. thin]).MoveToOuterDisposeScope().MoveToOuterDisposeScope());
        }
        var changes = parts.SelectMany((p, k) => p.Lows.Select(low => (Part: k, low.Scale, Trained: low.A.requires_grad || low.B.requires_grad))).ToArray();
        // With frozen changes only the input's gradient is computed, which needs neither x nor z.
        var trains = changes.Any(change => change.Trained);
        if (z is not null) ctx.save_for_backward([.. vars.Skip(2).Cast<Tensor>(), .. trains ? (Tensor[])[x, z.MoveToOuterDisposeScope()] : []]);
        ctx.save_data("layers", Array.ConvertAll(parts, p => p.Layer));
        ctx.save_data("changes", changes);
        ctx.save_data("below", x.requires_grad);
        return outputs;
    }

    private static Tensor Output(Layer layer, Tensor x, (Tensor, Tensor, double)[] thin) => layer.Known switch
    {
        null => Products.Sum([(x, Matrix(layer, x.dtype).t(), 1), .. thin], layer.Bias, x.dtype),
        var known => thin.Length == 0 ? known.detach() : Products.Add(known.clone(), thin),
    };

    // x A' of all changes.
    private static Tensor Middle(Tensor x, LowRank[] lows)
    {
        var a = torch.cat([.. lows.Select(low => low.A)]);
        return Products.Of(x.to(a.dtype), a.t());
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, List<Tensor> grad_outputs)
    {
        var layers = (Layer[])ctx.get_data("layers")!;
        var changes = ((int Part, double Scale, bool Trained)[])ctx.get_data("changes")!;
        var below = (bool)ctx.get_data("below")!;
        if (changes.Length == 0) return [below ? Below(layers, grad_outputs, []) : null];
        var saved = ctx.get_saved_variables();
        var (factors, kept) = (saved[..(2 * changes.Length)], saved[(2 * changes.Length)..]);
        var wide = grad_outputs.Select((grad, part) => changes.Any(change => change.Part == part) ? grad.to(factors[0].dtype) : grad).ToList();
        Tensor[] each = [.. changes.Select((change, k) => Products.Sum([(wide[change.Part], factors[(2 * k) + 1], change.Scale)]))];
        var gradients = kept.Count > 0 ? Trained(changes, wide, each, kept[0].to(factors[0].dtype), kept[1]) : [.. new Tensor?[factors.Count]];
        return [below ? Below(layers, grad_outputs, [(torch.cat(each, 1), torch.cat([.. factors.Where((_, k) => k % 2 == 0)]), 1)]) : null, .. gradients];
    }

    // The gradients of A and B of each change; null for frozen ones.
    private static List<Tensor?> Trained((int Part, double Scale, bool Trained)[] changes, List<Tensor> grads, Tensor[] dz, Tensor x, Tensor z)
    {
        var da = Products.Of(torch.cat([.. dz.Where((_, k) => changes[k].Trained)], 1).t(), x); // (sum of trained ranks, in)
        var (gradients, row, column) = (new List<Tensor?>(), 0L, 0L);
        foreach (var (k, (part, scale, trained)) in changes.Index())
        {
            var rank = dz[k].size(1);
            gradients.Add(trained ? da.narrow(0, row, rank) : null);
            gradients.Add(trained ? Products.Sum([(grads[part].t(), z.narrow(1, column, rank), scale)]) : null);
            (row, column) = (row + (trained ? rank : 0), column + rank);
        }
        return gradients;
    }

    // The input's gradient: what comes through the A's, and through each layer.
    private static Tensor Below(Layer[] layers, List<Tensor> grads, (Tensor, Tensor, double)[] thin)
    {
        if (layers.All(layer => layer.Quantized is null)) return Products.Sum([.. thin, .. layers.Select((layer, k) => (grads[k], layer.Matrix, 1.0))], dtype: grads[0].dtype);
        // Of quantised matrices, one at a time is decoded.
        Tensor? dx = thin.Length == 0 ? null : Products.Sum(thin, dtype: grads[0].dtype);
        foreach (var (k, layer) in layers.Index())
        {
            using var inner = torch.NewDisposeScope();
            (Tensor, Tensor, double) own = (grads[k], Matrix(layer, grads[k].dtype), 1);
            if (dx is null) dx = Products.Sum([own]).MoveToOuterDisposeScope();
            else Products.Add(dx, own);
        }
        return dx!;
    }
}
