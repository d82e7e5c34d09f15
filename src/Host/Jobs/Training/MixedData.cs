// Mixtures of data sets: down to the data sets that are read, each with its share. Written as a list, a data set counts by its size
// and all rows are shuffled together; with proportions, every batch holds the shares. Inside another mixture either is one part.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Training;

namespace PeftAlign.Host.Jobs;

/// <param name="Name">As the manifest calls it, with a number appended where a name occurs twice.</param>
/// <param name="Rows">Its rows, in order.</param>
/// <param name="Proportion">Its share of all that is drawn; null where it counts by its size.</param>
internal sealed record DataPart(string Name, IReadOnlyList<DataRecord> Rows, double? Proportion)
{
    internal MixtureShare Share => new(Name, Rows.Count, Proportion);
}

internal static class MixedData
{
    /// <summary>The parts of a resolved data set; one where it is no mixture.</summary>
    internal static IReadOnlyList<DataPart> Parts(JobContext job, JsonObject dataset, string name = "data")
    {
        if (dataset["mixture"] is not JsonArray members) return [new DataPart(name, [.. job.Open(new DatasetReference(dataset))], null)];
        var mixed = Joined([.. members.Select(m => (Proportion: (double?)m!["proportion"], Parts: Parts(job, m["dataset"]!.AsObject(), (string?)m["name"] ?? name)))]);
        if (dataset["take"] is not { } take) return Named(mixed);
        var taken = Taken(mixed, (int)take);
        job.SayIfFewer(dataset, Size(taken), (int)take, areAll: Size(taken) == Size(mixed));
        return Named(taken);
    }

    /// <summary>A mixture as one sequence, its parts in turn by their shares and each row once. With proportions it ends where a part
    /// that is due has no row left: going on would change them.</summary>
    internal static IEnumerable<DataRecord> Sequence(IReadOnlyList<DataPart> parts)
    {
        var next = new int[parts.Count];
        var all = parts.Sum(p => p.Rows.Count);
        if (all == 0) yield break;
        foreach (var part in Interleaving.Of(Shares(parts)).Take(all))
        {
            if (next[part] == parts[part].Rows.Count) yield break;
            yield return parts[part].Rows[next[part]++];
        }
    }

    private static IReadOnlyList<DataPart> Joined(List<(double? Proportion, IReadOnlyList<DataPart> Parts)> members)
    {
        if (members.TrueForAll(m => m.Proportion is null && m.Parts.All(p => p.Proportion is null))) return [.. members.SelectMany(m => m.Parts)];
        double all = members.Sum(m => Size(m.Parts));
        return [.. members.SelectMany(m => m.Parts.Zip(Shares(m.Parts), (part, share) => part with { Proportion = (m.Proportion ?? Size(m.Parts) / all) * share }))];
    }

    private static IReadOnlyList<DataPart> Taken(IReadOnlyList<DataPart> parts, int take)
    {
        var counts = new int[parts.Count];
        foreach (var part in Size(parts) == 0 ? [] : Interleaving.Of(Shares(parts)).Take(Math.Min(take, Size(parts))))
        {
            if (counts[part] == parts[part].Rows.Count) break;
            counts[part]++;
        }
        return [.. parts.Select((part, k) => part with { Rows = [.. part.Rows.Take(counts[k])] })];
    }

    private static double[] Shares(IReadOnlyList<DataPart> parts) =>
        [.. parts.Select(p => p.Proportion ?? (Size(parts) == 0 ? 1.0 / parts.Count : (double)p.Rows.Count / Size(parts)))];

    private static int Size(IReadOnlyList<DataPart> parts) => parts.Sum(p => p.Rows.Count);

    private static IReadOnlyList<DataPart> Named(IReadOnlyList<DataPart> parts)
    {
        var seen = new Dictionary<string, int>();
        return [.. parts.Select(part => (seen[part.Name] = seen.GetValueOrDefault(part.Name) + 1) is > 1 and var again ? part with { Name = $"{part.Name} ({again})" } : part)];
    }
}
