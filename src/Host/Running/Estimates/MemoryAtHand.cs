// A prediction beside what the machine has: a forecast may be off, so it is a warning; what is certain is refused when a job begins.

using PeftAlign.Host.Inspection;

namespace PeftAlign.Host.Running.Estimates;

internal static class MemoryAtHand
{
    private const string Remedy = "train with gradient_checkpointing, a lower batch_size or max_length, an adapter in place of all weights, dtype bfloat16 under an adapter, or over a base in 4 bits (qlora)";
    private const int Times = 16; // what training all of a bfloat16 folder takes, at most about, for each byte of it

    /// <summary>Says where processes are predicted to take more than the machine has, or more than others have left of it.</summary>
    /// <param name="kinds">Of each kind of job, the predicted peak of a process and how many jobs are to be done.</param>
    /// <param name="atOnce">How many processes there may be at a time.</param>
    /// <param name="output">Where it is said.</param>
    /// <param name="remedy">What takes less; null = what does in general.</param>
    internal static void WarnIfShort(IEnumerable<(long Bytes, int Jobs)> kinds, int atOnce, Output output, string? remedy = null)
    {
        remedy ??= Remedy;
        var (bytes, together, count) = (0L, 0L, 0);
        foreach (var kind in kinds.Where(kind => kind.Jobs > 0).OrderByDescending(kind => kind.Bytes))
        {
            var more = Math.Min(kind.Jobs, atOnce - count);
            (bytes, together, count) = (Math.Max(bytes, kind.Bytes), together + (more * kind.Bytes), count + more);
        }
        if (bytes > MachineMemory.Limit)
            output.Warn($"about {Sizes.Bytes(bytes)} of memory are predicted and this machine has {Sizes.Bytes(MachineMemory.Limit)}: {remedy}");
        else if (together > MachineMemory.Limit)
            output.Warn($"{count} jobs at once may take about {Sizes.Bytes(together)} of memory and this machine has {Sizes.Bytes(MachineMemory.Limit)}: lower --jobs");
        else if (MachineMemory.Free is > 0 and var free && bytes > free)
            output.Warn($"about {Sizes.Bytes(bytes)} of memory are predicted, and of this machine's {Sizes.Bytes(MachineMemory.Total)} only {Sizes.Bytes(free)} are free now: end what takes the rest, or {remedy}");
    }

    /// <summary>Whether a training of a model's folder might take more than there is, so that a prediction is worth its second.</summary>
    internal static bool MightBeShort(string folder) =>
        Directory.Exists(folder) && MachineMemory.Free is > 0 and var free && new DirectoryInfo(folder).EnumerateFiles().Sum(Bytes) > free / Times;

    // A cache of downloaded models has links, whose own lengths say nothing.
    private static long Bytes(FileInfo file) => (file.LinkTarget is null ? file : file.ResolveLinkTarget(returnFinalTarget: true)) is FileInfo { Exists: true } own ? own.Length : 0;
}
