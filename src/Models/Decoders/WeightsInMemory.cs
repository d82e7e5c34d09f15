// What weights take when they are loaded on a processor: nothing of their own where the arithmetic has the files' type, since they stay in
// the mapped files; else a copy of each. Copies that no memory holds are refused before the first is made, for the kernel would end the
// process without a word.

using System.Globalization;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

internal static class WeightsInMemory
{
    /// <summary>Refuses copies that are larger than all of the memory that this process may have.</summary>
    /// <param name="folder">The model's.</param>
    /// <param name="weights">Those that no file holds quantised.</param>
    /// <param name="stored">What the files say of one.</param>
    /// <param name="dtype">Of the arithmetic; null = each weight keeps its own.</param>
    /// <param name="makes">What quantises; null = nothing does.</param>
    /// <exception cref="UserErrorException">There are not so many bytes.</exception>
    internal static void ThrowIfTooMany(string folder, IEnumerable<WeightSpec> weights, Func<WeightSpec, StoredTensor> stored, torch.ScalarType? dtype, IQuantization? makes)
    {
        var copied = 0L;
        foreach (var weight in weights) copied = checked(copied + Bytes(weight, stored(weight), dtype, makes));
        if (copied <= MachineMemory.Limit) return;
        var narrower = dtype == torch.ScalarType.Float32 ? "compute in bfloat16 (dtype), which takes half of that, or nothing of its own over files in bfloat16; or " : "";
        throw new UserErrorException(string.Create(CultureInfo.InvariantCulture,
            $"{folder}: {(makes is null ? $"as {$"{dtype}".ToLowerInvariant()} " : "quantised, ")}its weights take {copied / 1e9:0.0} GB of memory, and this machine has {MachineMemory.Limit / 1e9:0.0} GB; {narrower}take a base in 4 bits (peftalign quantize), or a machine with more memory."));
    }

    // Half a byte in 4 bits is a little less than it will be, which is not known before.
    private static long Bytes(WeightSpec weight, StoredTensor stored, torch.ScalarType? dtype, IQuantization? makes) =>
        weight.Role == WeightRole.Matrix && makes?.Takes(ModelFolder.ModuleOf(weight)) == true ? stored.Count / 2
        : dtype is { } type && type != stored.DType ? stored.Count * type.ElementSize()
        : 0;
}
