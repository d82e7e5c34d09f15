// What a policy and its reference, one frozen model under two sets of deltas, compute alike on a pack: everything before the first block
// that a delta changes, and in that block the products with the attention's own matrices, to which LoRA's thin products are only added. The
// reference's pass comes first and leaves it here, the policy's pass starts from it; in float32 and float64 the numbers are the same bit by bit.

using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

/// <summary>What two passes over one pack share.</summary>
/// <param name="block">The first block that differs, or the last one.</param>
/// <param name="products">Whether products may be shared too, beside what stands before the block.</param>
internal sealed class CommonStart(BlockNames block, bool products) : IDisposable
{
    private readonly Dictionary<string, Tensor> outputs = [];
    private readonly HashSet<string> modules = products ? [.. block.AttentionInputs.Select(module => module.Name)] : [];

    /// <summary>Number of the block.</summary>
    internal int Layer => block.Layer;

    /// <summary>(R, d) what flows into the block; null until the first pass has made it.</summary>
    internal Tensor? Stream { get; private set; }

    /// <summary>Keeps what flows into the block.</summary>
    internal void Keep(Tensor stream) => Stream = stream.detach().DetachFromDisposeScope();

    /// <summary>Keeps a module's output, where it is one that the second pass asks for.</summary>
    internal void Keep(string module, Tensor output)
    {
        if (modules.Remove(module)) outputs[module] = output.detach().DetachFromDisposeScope();
    }

    /// <summary>(R, out) a module's output without changes; null where it is not known.</summary>
    internal Tensor? Of(string module) => outputs.GetValueOrDefault(module);

    /// <summary>What needs it keeps it; a block that is computed again computes these products too.</summary>
    public void Dispose()
    {
        foreach (var output in outputs.Values.Append(Stream)) output?.Dispose();
        outputs.Clear();
    }
}
