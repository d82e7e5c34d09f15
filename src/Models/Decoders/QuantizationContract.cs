// Checks what a quantisation returns: matrices and products of the sizes that it was asked for. With other sizes the engine would fail at
// the first product, where nothing tells which plugin they came from.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

internal static class QuantizationContract
{
    /// <summary>A matrix, quantised.</summary>
    /// <exception cref="BrokenContractException">It is null or of other sizes.</exception>
    internal static QuantizedMatrix Quantized(this IQuantization format, string weight, Tensor matrix) =>
        Sized(format, nameof(format.Quantize), weight, matrix.size(0), matrix.size(1), format.Quantize(weight, matrix)
            ?? throw new BrokenContractException(format, $"Quantize gave null for {weight}", "the quantised matrix is asked for; Takes says which weights are left as they are"));

    /// <summary>A folder's matrix; null where it holds the weight as it is.</summary>
    /// <exception cref="BrokenContractException">It is of other sizes.</exception>
    internal static QuantizedMatrix? Loaded(this IQuantization format, StoredWeight weight) =>
        format.Read(weight) is { } read ? Sized(format, nameof(format.Read), weight.Name, weight.Shape[0], weight.Shape[1], read) : null;

    /// <summary>A product with a few rows; null where decoding first is the better way.</summary>
    /// <exception cref="BrokenContractException">It has other sizes.</exception>
    internal static Tensor? Multiplied(this QuantizedMatrix matrix, Tensor x)
    {
        if (matrix.Product(x) is not { } y) return null;
        return y.dim() == 2 && y.size(0) == x.size(0) && y.size(1) == matrix.Outputs ? y
            : throw new BrokenContractException(matrix, $"Product gave the shape [{string.Join(", ", y.shape)}] for {x.size(0)} rows", $"[{x.size(0)}, {matrix.Outputs}] is asked for, or null");
    }

    private static QuantizedMatrix Sized(IQuantization format, string member, string weight, long outputs, long inputs, QuantizedMatrix matrix) => (matrix.Outputs, matrix.Inputs) == (outputs, inputs)
        ? matrix
        : throw new BrokenContractException(format, $"{member} gave a matrix of {matrix.Outputs} rows and {matrix.Inputs} columns for {weight}", $"the weight has {outputs} and {inputs}");
}
