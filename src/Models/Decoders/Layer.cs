// A module's own tensors, as the checkpoint stores them.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Decoders;

/// <summary>A linear layer, an embedding or a head.</summary>
/// <param name="Module">Full name.</param>
/// <param name="Stored">(out, in), or (in, out) where transposed; of an embedding (V, d). Null where it is quantised.</param>
/// <param name="Bias">(out), or null.</param>
internal sealed record Layer(string Module, Tensor? Stored, Tensor? Bias = null)
{
    /// <summary>The matrix in fewer bits, and the type that the model computes in; null where it is stored whole.</summary>
    internal (QuantizedMatrix Matrix, torch.ScalarType Type)? Quantized { get; init; }

    /// <summary>As Stored; of a quantised layer a decoded copy, made anew at each call.</summary>
    internal Tensor Weight => Stored ?? Oriented(QuantizedProduct.Full(Quantized!.Value.Matrix, Quantized.Value.Type));

    /// <summary>The weight's type.</summary>
    internal torch.ScalarType Type => Stored?.dtype ?? Quantized!.Value.Type;

    /// <summary>Whether the weight is stored (in, out).</summary>
    internal bool Transposed { get; init; }

    /// <summary>Whether the weight's rows are looked up.</summary>
    internal bool IsEmbedding { get; init; }

    /// <summary>(R, out) the product with the input at hand, which another pass has made; null = none.</summary>
    internal Tensor? Known { get; init; }

    /// <summary>Whether few rows go through the kernels of decoding, see <see cref="ForwardMode.Alone"/>.</summary>
    internal bool Alone { get; init; }

    /// <summary>(out, in), without a copy.</summary>
    internal Tensor Matrix => Transposed ? Weight.t() : Weight;

    /// <summary>From (out, in) to the order of the checkpoint.</summary>
    internal Tensor Oriented(Tensor matrix) => Transposed ? matrix.t() : matrix;

    /// <summary>With another weight, stored whole.</summary>
    internal Layer With(Tensor weight) => this with { Stored = weight, Quantized = null };

    /// <summary>x W' + b.</summary>
    internal Tensor Product(Tensor x)
    {
        if (Quantized is { } quantized)
        {
            var y = QuantizedProduct.Of(x, quantized.Matrix, Alone);
            return Bias is null ? y : y + Bias;
        }
        return Alone && !Transposed && x.size(0) <= Decoding.FewRows ? Decoding.Linear(x, Weight, Bias) : Products.Linear(x, Matrix, Bias);
    }

    /// <summary>With the tensors that a delta puts in the place of the module's own.</summary>
    internal Layer Under(Delta? delta) => delta is null ? this : this with
    {
        Stored = delta.Instead("weight")?.to(Type) ?? Stored,
        Quantized = delta.Instead("weight") is null ? Quantized : null,
        Bias = delta.Instead("bias")?.to(Type) ?? Bias,
    };
}
