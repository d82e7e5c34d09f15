// Products with a quantised matrix: y = x W' and dx = dy W over a matrix that is decoded each time into one buffer per thread, so
// that no more than one layer's full matrix is held. The base is frozen: no gradient of W.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Decoders;

internal sealed class QuantizedProduct : torch.autograd.SingleTensorFunction<QuantizedProduct>
{
    [ThreadStatic]
    private static Tensor? buffer;

    public override string Name => "QuantizedProduct";

    /// <summary>x W'.</summary>
    /// <param name="x">(R, in)</param>
    /// <param name="matrix">W.</param>
    /// <param name="alone">Whether few rows may be multiplied straight from the codes, see <see cref="ForwardMode.Alone"/>.</param>
    /// <returns>(R, out) in x's type; the product is made in the matrix's compute type where it has one.</returns>
    internal static Tensor Of(Tensor x, QuantizedMatrix matrix, bool alone)
    {
        if (!alone || x.size(0) > Decoding.FewRows) return apply(x, matrix);
        using var scope = torch.NewDisposeScope();
        var y = matrix.Multiplied(x.to(matrix.ComputeType ?? x.dtype)) ?? apply(x, matrix);
        return y.to(x.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>The full matrix as a tensor of its own.</summary>
    /// <returns>(out, in)</returns>
    internal static Tensor Full(QuantizedMatrix matrix, torch.ScalarType type)
    {
        var full = torch.empty([matrix.Outputs, matrix.Inputs], type, matrix.Device);
        matrix.Decode(full);
        return full;
    }

    public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (x, matrix) = ((Tensor)vars[0], (QuantizedMatrix)vars[1]);
        ctx.save_data("matrix", matrix);
        ctx.save_data("type", x.dtype);
        using var scope = torch.NewDisposeScope();
        var type = matrix.ComputeType ?? x.dtype;
        return Products.Linear(x.to(type), Decoded(matrix, type)).to(x.dtype).MoveToOuterDisposeScope();
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
    {
        var (matrix, type) = ((QuantizedMatrix)ctx.get_data("matrix")!, (torch.ScalarType)ctx.get_data("type")!);
        var compute = matrix.ComputeType ?? type;
        return [Products.Of(grad_output.to(compute), Decoded(matrix, compute)).to(type)];
    }

    /// <summary>(out, in) the full matrix until the next one is asked for on this thread.</summary>
    // On a device the caching allocator gives the same memory again, and a stream's work is in order.
    internal static Tensor Decoded(QuantizedMatrix matrix, torch.ScalarType type)
    {
        if (matrix.Device.type != DeviceType.CPU) return Full(matrix, type);
        var size = matrix.Outputs * matrix.Inputs * type.ElementSize();
        if (buffer is null || buffer.numel() < size)
        {
            buffer?.Dispose();
            buffer = torch.empty([size], torch.uint8).DetachFromDisposeScope();
        }
        var full = buffer.narrow(0, 0, size).view(type).view(matrix.Outputs, matrix.Inputs);
        matrix.Decode(full);
        return full;
    }
}
