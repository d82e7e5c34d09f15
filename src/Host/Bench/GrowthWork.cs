// Does a long training grow? Ten thousand steps of a tiny model by the product's trainer, and the process's anonymous memory along the way.

using System.Globalization;

namespace PeftAlign.Host.Bench;

internal static class GrowthWork
{
    internal const int Steps = 10_000;

    // Steps behind which the buffers that grow with the largest batch are there.
    private const int Settled = 1_000;

    /// <summary>One row of the table.</summary>
    internal static IEnumerable<Measurement> Measure(Effort effort, Workload work, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        var rows = work.Training("growth", new TrainingRows("dpo", 1, Steps) { Fixed = 16 });
        using var side = (effort with { Threads = 1 }).Our("train", work.Model(Workload.Small), rows);
        side.Ready();
        var (seconds, answer) = side.Run();
        var memory = answer!.AsArray()[^1]!.AsArray().Select(m => (double)m!).ToList();
        yield return new("growth", string.Create(CultureInfo.InvariantCulture, $"a model of 2 small blocks, dpo, lora q v, {Steps} steps, 1 thread"), new([seconds], side.PeakMegabytes), null,
            string.Create(CultureInfo.InvariantCulture, $"anonymous MB after {Settled}, {Steps / 2} and {Steps} steps: {memory[Settled / TrainingWork.MemoryEvery - 1]:0.0}, {memory[(Steps / 2 / TrainingWork.MemoryEvery) - 1]:0.0}, {memory[^1]:0.0}"));
    }
}
