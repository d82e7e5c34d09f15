// Which records make which micro-batch. Depends on seed and epoch alone, so a resumed run continues where it was.

using System.Globalization;
using PeftAlign.Abstractions;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Training;

/// <summary>The order of the records.</summary>
/// <param name="records">Number of records.</param>
/// <param name="options">Batch size, accumulation, seeds, shuffling.</param>
/// <param name="mixed">Draws from several sources by proportions; null where all records are shuffled together.</param>
internal sealed class BatchOrder(int records, TrainingOptions options, MixedOrder? mixed = null)
{
    private const int LookAt = 1024; // updates among which the largest batch is looked for

    private (long Epoch, long[] Order)? current;

    /// <summary>Micro-batches of an epoch; the last may be short.</summary>
    internal int BatchesPerEpoch { get; } = (int)((records - 1L + options.BatchSize) / options.BatchSize);

    /// <summary>Updates of an epoch; the last may have fewer micro-batches.</summary>
    internal int StepsPerEpoch => (int)((BatchesPerEpoch - 1L + options.GradientAccumulationSteps) / options.GradientAccumulationSteps);

    /// <summary>Updates of the whole run.</summary>
    internal int TotalSteps => options.MaxSteps > 0 ? options.MaxSteps : StepsOf(options.Epochs);

    /// <summary>Updates of so many epochs; a started update counts.</summary>
    /// <exception cref="UserErrorException">More than can be counted.</exception>
    internal int StepsOf(double epochs) => Math.Ceiling(epochs * StepsPerEpoch) is var steps && steps <= int.MaxValue
        ? (int)steps
        : throw new UserErrorException(string.Create(CultureInfo.InvariantCulture, $"{epochs} epochs over {records} rows are {steps:G10} updates ({StepsPerEpoch} an epoch), and a training has at most {int.MaxValue}; lower epochs, or give max_steps."));

    /// <summary>The micro-batches of update <paramref name="step"/> (0, 1, ...), each a list of record numbers.</summary>
    internal IReadOnlyList<long[]> Window(int step)
    {
        var epoch = step / StepsPerEpoch;
        var first = step % StepsPerEpoch * options.GradientAccumulationSteps;
        var last = (int)Math.Min((long)first + options.GradientAccumulationSteps, BatchesPerEpoch);
        var order = Order(epoch);
        return Enumerable.Range(first, last - first).Select(b => order.Skip(b * options.BatchSize).Take(options.BatchSize).ToArray()).ToList();
    }

    /// <summary>Epochs done after <paramref name="steps"/> updates, by micro-batches, as TRL counts.</summary>
    internal double Epoch(int steps)
    {
        var (whole, rest) = Math.DivRem(steps, StepsPerEpoch);
        return whole + (double)Math.Min(rest * options.GradientAccumulationSteps, BatchesPerEpoch) / BatchesPerEpoch;
    }

    /// <summary>Sum of the lengths of the micro-batch that has most, among the first thousand updates of <paramref name="steps"/>.</summary>
    internal long Largest(IReadOnlyList<long> lengths, int steps) =>
        Enumerable.Range(0, Math.Min(steps, LookAt)).SelectMany(Window).Select(batch => batch.Sum(row => lengths[(int)row])).DefaultIfEmpty(0).Max();

    private long[] Order(long epoch)
    {
        if (current is { } known && known.Epoch == epoch) return known.Order;
        var order = mixed is not null ? mixed.Order(epoch)
            : options.Shuffle
            ? new CounterStream((ulong)(options.DataSeed ?? options.Seed), "shuffle", "", epoch).Permutation(records)
            : Enumerable.Range(0, records).Select(k => (long)k).ToArray();
        current = (epoch, order);
        return order;
    }
}
