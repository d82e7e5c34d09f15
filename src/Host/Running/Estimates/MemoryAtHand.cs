// A prediction beside what the machine has: a forecast may be off, so it is a warning; what is certain is refused when a job begins.

using PeftAlign.Host.Inspection;

namespace PeftAlign.Host.Running.Estimates;

internal static class MemoryAtHand
{
    private const string Remedy = "train with gradient_checkpointing, dtype bfloat16, a lower batch_size or max_length, an adapter in place of all weights, or over a base in 4 bits (qlora)";

    /// <summary>Says where processes are predicted to take more than the machine has, or more than others have left of it.</summary>
    /// <param name="bytes">Predicted peak of the largest process.</param>
    /// <param name="atOnce">How many there may be at a time.</param>
    /// <param name="output">Where it is said.</param>
    internal static void WarnIfShort(long bytes, int atOnce, Output output)
    {
        if (bytes > MachineMemory.Limit)
            output.Warn($"about {Sizes.Bytes(bytes)} of memory are predicted and this machine has {Sizes.Bytes(MachineMemory.Limit)}: {Remedy}");
        else if (atOnce > 1 && atOnce * bytes > MachineMemory.Limit)
            output.Warn($"{atOnce} jobs at once may take about {Sizes.Bytes(atOnce * bytes)} of memory and this machine has {Sizes.Bytes(MachineMemory.Limit)}: lower --jobs");
        else if (MachineMemory.Free is > 0 and var free && bytes > free)
            output.Warn($"about {Sizes.Bytes(bytes)} of memory are predicted, and of this machine's {Sizes.Bytes(MachineMemory.Total)} only {Sizes.Bytes(free)} are free now: end what takes the rest, or {Remedy}");
    }
}
