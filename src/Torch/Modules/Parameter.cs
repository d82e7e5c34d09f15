// A tensor that a module trains.

namespace PeftAlign.Torch.Modules;

/// <summary>
/// A tensor that is a module's parameter. It takes the native part of <c>data</c>, which is empty afterwards, and its
/// place in the dispose scope: a module that outlives the scope it is built in must be detached from it.
/// </summary>
public sealed class Parameter : Tensor
{
    /// <summary>Takes over <paramref name="data"/>.</summary>
    public Parameter(Tensor data, bool requires_grad = true) : base(data)
    {
        if (this.requires_grad != requires_grad) this.requires_grad = requires_grad;
    }
}
