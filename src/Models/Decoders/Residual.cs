// The residual stream between two parts of a decoder. What a part adds is not added at once: the norm behind it reads both anyway, and
// sums and normalises them in one pass.

using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

/// <summary>The stream, owned by whoever holds it: X, or X + Added.</summary>
/// <param name="X">(R, d)</param>
/// <param name="Added">(R, d), or null.</param>
internal readonly record struct Residual(Tensor X, Tensor? Added = null) : IDisposable
{
    /// <summary>The sum, as a tensor of its own.</summary>
    internal Tensor Sum() => Added is null ? X.alias() : X + Added;

    /// <summary>Takes both out of the current dispose scope.</summary>
    internal Residual Outer() => new(X.MoveToOuterDisposeScope(), Added?.MoveToOuterDisposeScope());

    /// <summary>What a gradient needs the graph keeps.</summary>
    public void Dispose()
    {
        X.Dispose();
        Added?.Dispose();
    }
}
