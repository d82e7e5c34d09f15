// Means of a method's metrics over batches. A metric is averaged over the batches that have it: KTO has none for a class that is absent.

namespace PeftAlign.Training;

internal sealed class MetricMeans
{
    private readonly Dictionary<string, (double Sum, int Count)> sums = [];

    /// <summary>In the order in which names were first seen.</summary>
    internal IEnumerable<KeyValuePair<string, double>> Means => sums.Select(m => KeyValuePair.Create(m.Key, m.Value.Sum / m.Value.Count));

    internal void Add(IReadOnlyDictionary<string, double> metrics)
    {
        foreach (var (name, value) in metrics)
        {
            var (sum, count) = sums.GetValueOrDefault(name);
            sums[name] = (sum + value, count + 1);
        }
    }
}
