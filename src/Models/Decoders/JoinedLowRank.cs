// Linear layers of one input under plain LoRA as one autograd node: the A's of all are one product, in the backward pass too, and
// every layer adds its share of the input's gradient to one sum. y_i = x W_i' + b_i + s_i z_i B_i' with z = x [A_1; A_2; ...]'.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using F = PeftAlign.Torch.torch.nn.functional;

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
        if (mode.Controls.Count > 0 || mode.Deltas.Count == 0 || (x.size(0) <= Decoding.FewRows && !torch.is_grad_enabled())) return null;
        var parts = new Part[layers.Length];
        for (var k = 0; k < parts.Length; k++)
        {
            var delta = mode.Deltas.GetValueOrDefault(layers[k].Module);
            if (!IsFrozen(layers[k], x) || (delta is not null && !IsPlain(delta, x, mode))) return null;
            parts[k] = new Part(layers[k], (LowRank?)delta);
        }
        var factors = parts.Where(p => p.Low is not null).SelectMany(p => new object[] { p.Low!.A, p.Low.B }).ToArray();
        return factors.Length == 0 ? null : [.. apply([x, parts, .. factors])];
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
        var z = x.mm(All(parts).t()); // (R, sum of ranks)
        var (outputs, first) = (new List<Tensor>(), 0L);
        foreach (var (layer, low) in parts)
        {
            var y = F.linear(x, Matrix(layer, x.dtype), layer.Bias);
            if (low is not null) y.addmm_(z.narrow(1, (first += low.A.size(0)) - low.A.size(0), low.A.size(0)), low.B.t(), alpha: (float)low.Scale);
            outputs.Add(y.MoveToOuterDisposeScope());
        }
        ctx.save_for_backward([x, z.MoveToOuterDisposeScope(), .. vars.Skip(2).Cast<Tensor>()]);
        // addmm_ takes its factor as float32, and the gradients must have the same.
        ctx.save_data("parts", parts.Select(p => (p.Layer, (double?)(float?)p.Low?.Scale)).ToArray());
        ctx.save_data("below", x.requires_grad);
        return outputs;
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, List<Tensor> grad_outputs)
    {
        var saved = ctx.get_saved_variables();
        var (x, z, factors) = (saved[0], saved[1], saved[2..]);
        var parts = ((Layer Layer, double? Scale)[])ctx.get_data("parts")!;
        var (thin, gradients, next, first) = (new List<Tensor>(), new List<Tensor?>(), 0, 0L);
        foreach (var (k, (_, scale)) in parts.Index())
        {
            if (scale is not { } s) continue;
            var (b, grad) = (factors[next + 1], grad_outputs[k]);
            thin.Add(grad.mm(b).mul_(s)); // (R, rank)
            gradients.AddRange([null, grad.t().mm(z.narrow(1, (first += b.size(1)) - b.size(1), b.size(1))).mul_(s)]);
            next += 2;
        }
        var dz = torch.cat(thin, 1);
        var (da, row) = (dz.t().mm(x), 0L); // (sum of ranks, in)
        for (var k = 0; k < gradients.Count; k += 2) gradients[k] = da.narrow(0, (row += factors[k].size(0)) - factors[k].size(0), factors[k].size(0));
        return [(bool)ctx.get_data("below")! ? Below(parts, grad_outputs, dz, factors) : null, .. gradients];
    }

    private static Tensor Below((Layer Layer, double? Scale)[] parts, List<Tensor> grads, Tensor dz, List<Tensor> factors)
    {
        var dx = dz.mm(torch.cat(factors.Where((_, k) => k % 2 == 0).ToList()));
        foreach (var (k, (layer, _)) in parts.Index()) dx.addmm_(grads[k], Matrix(layer, dx.dtype));
        return dx;
    }

    private static Tensor All(Part[] parts) => torch.cat(parts.Select(p => p.Low?.A).OfType<Tensor>().ToList());
}
