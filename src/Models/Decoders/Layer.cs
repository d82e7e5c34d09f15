// A module's own tensors, as the checkpoint stores them.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Models.Decoders;

/// <summary>A linear layer, an embedding or a head.</summary>
/// <param name="Module">Full name.</param>
/// <param name="Weight">(out, in), or (in, out) where transposed; of an embedding (V, d).</param>
/// <param name="Bias">(out), or null.</param>
internal sealed record Layer(string Module, Tensor Weight, Tensor? Bias = null)
{
    /// <summary>Whether the weight is stored (in, out).</summary>
    internal bool Transposed { get; init; }

    /// <summary>Whether the weight's rows are looked up.</summary>
    internal bool IsEmbedding { get; init; }

    /// <summary>(out, in), without a copy.</summary>
    internal Tensor Matrix => Transposed ? Weight.t() : Weight;

    /// <summary>From (out, in) to the order of the checkpoint.</summary>
    internal Tensor Oriented(Tensor matrix) => Transposed ? matrix.t() : matrix;

    /// <summary>x W' + b; of a few rows without gradients by the kernel that reads the weight once.</summary>
    internal Tensor Product(Tensor x) =>
        !Transposed && x.size(0) <= Decoding.FewRows && !torch.is_grad_enabled() ? Decoding.Linear(x, Weight, Bias) : F.linear(x, Matrix, Bias);

    /// <summary>With the tensors that a delta puts in the place of the module's own.</summary>
    internal Layer Under(Delta? delta) => delta is null ? this : this with { Weight = delta.Instead("weight")?.to(Weight.dtype) ?? Weight, Bias = delta.Instead("bias")?.to(Weight.dtype) ?? Bias };
}
