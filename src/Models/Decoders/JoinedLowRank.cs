// Frozen linear layers of one input, under plain LoRA or under nothing, as one autograd node: the A's of all are one product, in the
// backward pass too, a thin product is added where its layer's stands, and the input's gradient is one sum over the layers.
// y_i = x W_i' + b_i + s_i z_i B_i' with z = x [A_1; A_2; ...]'.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Decoders;

/// <summary>apply(x, parts, A, B, A, B ...): the (R, out) of each part; an A and a B for each part that has them, in order.</summary>
internal sealed class JoinedLowRank : torch.autograd.MultiTensorFunction<JoinedLowRank>
{
    public override string Name => "JoinedLowRank";

    /// <param name="Layer">Frozen.</param>
    /// <param name="Low">Its change, or null.</param>
    private sealed record Part(Layer Layer, LowRank? Low);

    /// <summary>The layers' outputs; null where one of them needs another way (dropout, DoRA, a trained bias, other dtypes, controls), or none is changed.</summary>
    /// <param name="layers">Layers of one input.</param>
    /// <param name="x">(R, in)</param>
    /// <param name="mode">Deltas and dropout.</param>
    internal static Tensor[]? Of(Layer[] layers, Tensor x, ForwardMode mode)
    {
        var graph = torch.is_grad_enabled();
        if (mode.Controls.Count > 0 || (mode.Deltas.Count == 0 && !graph) || (x.size(0) <= Decoding.FewRows && !graph)) return null;
        var parts = new Part[layers.Length];
        for (var k = 0; k < parts.Length; k++)
        {
            var delta = mode.Deltas.GetValueOrDefault(layers[k].Module);
            if (!IsFrozen(layers[k], x) || (delta is not null && !IsPlain(delta, x, mode))) return null;
            parts[k] = new Part(layers[k], (LowRank?)delta);
        }
        var factors = parts.Where(p => p.Low is not null).SelectMany(p => new object[] { p.Low!.A, p.Low.B }).ToArray();
        var pays = factors.Length > 0 || (layers.Length > 1 && graph && x.requires_grad);
        return pays ? [.. apply([x, parts, .. factors])] : null;
    }

    private static bool IsFrozen(Layer layer, Tensor x) => layer.Bias is not { requires_grad: true }
        && (layer.Quantized is { } quantized ? (quantized.Matrix.ComputeType ?? x.dtype) == x.dtype : layer.Stored is { requires_grad: false } weight && weight.dtype == x.dtype);

    // (out, in); of a matrix in fewer bits until the next one is asked for.
    private static Tensor Matrix(Layer layer, torch.ScalarType type) => layer.Quantized is { } quantized ? QuantizedProduct.Decoded(quantized.Matrix, type) : layer.Matrix;

    private static bool IsPlain(Delta delta, Tensor x, ForwardMode mode) =>
        delta is LowRank { Magnitude: null, Bias: null, Start: null } low && low.A.dtype == x.dtype && (low.Dropout == 0 || mode.Dropout is not { Activations: true });

    public override List<Tensor> forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (x, parts) = ((Tensor)vars[0], (Part[])vars[1]);
        using var scope = torch.NewDisposeScope();
        var z = vars.Length > 2 ? Products.Of(x, All(parts).t()) : null; // (R, sum of ranks)
        var (outputs, first) = (new List<Tensor>(), 0L);
        foreach (var (layer, low) in parts)
        {
            (Tensor, Tensor, double) whole = (x, Matrix(layer, x.dtype).t(), 1);
            (Tensor, Tensor, double)[] pairs = low is null ? [whole] : [whole, (z!.narrow(1, (first += low.A.size(0)) - low.A.size(0), low.A.size(0)), low.B.t(), low.Scale)];
            outputs.Add(Products.Sum(pairs, bias: layer.Bias).MoveToOuterDisposeScope());
        }
        if (z is not null) ctx.save_for_backward([x, z.MoveToOuterDisposeScope(), .. vars.Skip(2).Cast<Tensor>()]);
        ctx.save_data("parts", parts.Select(p => (p.Layer, p.Low?.Scale)).ToArray());
        ctx.save_data("below", x.requires_grad);
        return outputs;
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, List<Tensor> grad_outputs)
    {
        var parts = ((Layer Layer, double? Scale)[])ctx.get_data("parts")!;
        var below = (bool)ctx.get_data("below")!;
        if (parts.All(part => part.Scale is null)) return [below ? Below(parts, grad_outputs, []) : null];
        var saved = ctx.get_saved_variables();
        var (x, z, factors) = (saved[0], saved[1], saved[2..]);
        var (thin, gradients, next, first) = (new List<Tensor>(), new List<Tensor?>(), 0, 0L);
        foreach (var (k, (_, scale)) in parts.Index())
        {
            if (scale is not { } s) continue;
            var (b, grad) = (factors[next + 1], grad_outputs[k]);
            thin.Add(Products.Sum([(grad, b, s)])); // (R, rank)
            gradients.AddRange([null, Products.Sum([(grad.t(), z.narrow(1, (first += b.size(1)) - b.size(1), b.size(1)), s)])]);
            next += 2;
        }
        var dz = torch.cat(thin, 1);
        var (da, row) = (Products.Of(dz.t(), x), 0L); // (sum of ranks, in)
        for (var k = 0; k < gradients.Count; k += 2) gradients[k] = da.narrow(0, (row += factors[k].size(0)) - factors[k].size(0), factors[k].size(0));
        return [below ? Below(parts, grad_outputs, [(dz, torch.cat(factors.Where((_, k) => k % 2 == 0).ToList()), 1)]) : null, .. gradients];
    }

    private static Tensor Below((Layer Layer, double? Scale)[] parts, List<Tensor> grads, (Tensor, Tensor, double)[] thin)
    {
        if (parts.All(part => part.Layer.Quantized is null)) return Products.Sum([.. thin, .. parts.Select((part, k) => (grads[k], part.Layer.Matrix, 1.0))]);
        // Of matrices in fewer bits there is one at a time.
        Tensor? dx = thin.Length == 0 ? null : Products.Sum(thin);
        foreach (var (k, (layer, _)) in parts.Index())
        {
            (Tensor, Tensor, double) own = (grads[k], Matrix(layer, grads[k].dtype), 1);
            dx = dx is null ? Products.Sum([own]) : Products.Add(dx, own);
        }
        return dx!;
    }

    private static Tensor All(Part[] parts) => torch.cat(parts.Select(p => p.Low?.A).OfType<Tensor>().ToList());
}
