// One row of the operator table where libtorch's versions differ.

namespace PeftAlign.Torch.Native;

/// <summary>Operators of which the first that this libtorch has is used; all take the same arguments.</summary>
internal sealed class OneOf(params Operator[] candidates)
{
    private readonly Lazy<Operator?> found = new(() => candidates.FirstOrDefault(c => c.Exists));

    /// <summary>The candidate to call, or null: the caller composes the result from other operators.</summary>
    internal Operator? Found => found.Value;

    /// <summary>The preferred candidate's name.</summary>
    internal string Name => candidates[0].Name;
}
