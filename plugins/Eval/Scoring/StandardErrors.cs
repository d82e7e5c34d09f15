// Standard errors as lm-evaluation-harness (0.4.13) gives them: closed form for means, the bootstrap for other statistics (chunk i
// of at most 1,000 draws by a generator of seed i), pooled for groups.

using PeftAlign.Core.Statistics;

namespace PeftAlign.Eval.Scoring;

internal static class StandardErrors
{
    private const int ChunkSize = 1000;

    /// <summary>s / sqrt(n) with n - 1; null for fewer than two values.</summary>
    internal static double? OfMean(IReadOnlyList<double> values) => values.Count < 2 ? null : Descriptive.StandardError([.. values]);

    /// <summary>Sample deviation of a statistic over resamples of the rows; null without resamples or rows.</summary>
    /// <param name="count">Number of rows.</param>
    /// <param name="statistic">Of the rows with these numbers.</param>
    /// <param name="iterations">Resamples.</param>
    internal static double? Bootstrap(int count, Func<int[], double> statistic, int iterations)
    {
        if (count < 2 || iterations < 1) return null;
        var size = Math.Min(ChunkSize, iterations);
        var replicates = new double[iterations / size * size];
        Parallel.For(0, iterations / size, chunk =>
        {
            var random = new PythonRandom((uint)chunk);
            var rows = new int[count];
            for (var draw = 0; draw < size; draw++)
            {
                for (var k = 0; k < count; k++) rows[k] = (int)(random.Double() * count);
                replicates[(chunk * size) + draw] = statistic(rows);
            }
        });
        return replicates.Length < 2 ? null : Descriptive.StandardDeviation(replicates);
    }

    /// <summary>Of a mean over several tasks' items together; null where a task has none.</summary>
    internal static double? Pooled(IReadOnlyList<(double? Error, int Count)> tasks)
    {
        if (tasks.Any(t => t.Error is null)) return null;
        var total = tasks.Sum(t => t.Count);
        if (total <= tasks.Count) return null;
        return Math.Sqrt(tasks.Sum(t => (t.Count - 1) * t.Error!.Value * t.Error.Value * t.Count) / (total - tasks.Count) / total);
    }

    /// <summary>Of a mean of several tasks' numbers.</summary>
    internal static double? OfMacro(IReadOnlyList<double?> errors) =>
        errors.Any(e => e is null) ? null : Math.Sqrt(errors.Sum(e => e!.Value * e.Value)) / errors.Count;
}
