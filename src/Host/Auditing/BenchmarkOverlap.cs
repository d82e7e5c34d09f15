// Whether training rows have runs of words in common with rows of benchmarks, by which a result would tell what was learned by heart.
// Source: Brown et al. 2020, appendix C, and lm-evaluation-harness's decontamination, whose runs these are.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Auditing;

/// <summary>A run of words of a training row that a benchmark's row has too.</summary>
/// <param name="Row">The benchmark's row, counted over all files.</param>
/// <param name="Run">The first that they share.</param>
internal readonly record struct SharedRun(int Row, ReadOnlyMemory<char> Run);

internal sealed class BenchmarkOverlap
{
    /// <summary>A run in more benchmark rows than these belongs to how the benchmark asks.</summary>
    internal const int Common = 10;

    private readonly Dictionary<ReadOnlyMemory<char>, int[]> runs = new(RunComparer.Instance); // to the rows that have it
    private readonly List<Compared> files = [];
    private readonly List<string> places = [];
    private readonly int words;

    /// <param name="paths">Files of benchmarks.</param>
    /// <param name="words">Words of a run.</param>
    /// <param name="examples">Places that are kept for each finding.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <exception cref="UserErrorException">A file cannot be read, or has no rows.</exception>
    internal BenchmarkOverlap(IEnumerable<string> paths, int words, int examples, CancellationToken cancel)
    {
        this.words = words;
        Rows = new Finding("overlapping_rows", examples);
        foreach (var path in paths) Add(path, examples, cancel);
        foreach (var (run, rows) in runs)
        {
            if (rows.Length <= Common) continue;
            runs.Remove(run);
            CommonRuns++;
        }
        var compared = runs.Values.SelectMany(rows => rows).ToHashSet();
        foreach (var file in files) file.NotCompared = Enumerable.Range(file.First, file.Count).Count(row => !compared.Contains(row));
    }

    /// <summary>Training rows that share a run.</summary>
    internal Finding Rows { get; }

    /// <summary>Runs that do not count, since too many benchmark rows have them.</summary>
    internal int CommonRuns { get; }

    /// <summary>The benchmark rows that share a run with a row, each once. Several threads may ask.</summary>
    /// <param name="texts">The row's.</param>
    internal IReadOnlyList<SharedRun> Shared(IEnumerable<string> texts)
    {
        SortedDictionary<int, ReadOnlyMemory<char>>? found = null;
        foreach (var run in texts.SelectMany(text => WordRuns.Of(text, words)))
            if (runs.TryGetValue(run, out var rows))
                foreach (var row in rows) (found ??= []).TryAdd(row, run);
        return found is null ? [] : [.. found.Select(shared => new SharedRun(shared.Key, shared.Value))];
    }

    /// <summary>Counts what a training row shares.</summary>
    /// <param name="place">Where the row is.</param>
    /// <param name="shared">What it shares.</param>
    internal void Add(string place, IReadOnlyList<SharedRun> shared)
    {
        if (shared.Count > 0) Rows.Add(place);
        foreach (var (row, run) in shared) files.FindLast(file => file.First <= row)!.Add(row, places[row], place, run.ToString());
    }

    private void Add(string path, int examples, CancellationToken cancel)
    {
        var file = new Compared(path, places.Count, examples);
        foreach (var row in BenchmarkRow.Of(path))
        {
            cancel.ThrowIfCancellationRequested();
            foreach (var run in row.Texts.SelectMany(text => WordRuns.Of(text, words)).Distinct(RunComparer.Instance)) Note(run, places.Count);
            places.Add(row.Place);
            file.Count++;
        }
        if (file.Count == 0) throw new UserErrorException($"--against {path}: holds no rows; give the benchmark's rows as JSON lines, JSON, CSV or TSV.");
        files.Add(file);
    }

    // One row more than count is enough to know.
    private void Note(ReadOnlyMemory<char> run, int row)
    {
        if (!runs.TryGetValue(run, out var rows)) runs.Add(run, [row]);
        else if (rows.Length <= Common) runs[run] = [.. rows, row];
    }

    internal JsonObject Document() => new()
    {
        ["words"] = words,
        [Rows.Name] = Rows.Document(),
        ["common_runs"] = CommonRuns,
        ["files"] = new JsonArray([.. files.Select(file => (JsonNode)file.Document())]),
    };

    internal IEnumerable<string> Lines()
    {
        yield return $"{Rows.Count,8} rows share {words} words in a row with a benchmark's{Rows.Some}";
        foreach (var file in files) yield return file.Line;
        if (CommonRuns > 0) yield return $"{CommonRuns,8} runs of {words} words do not count, since more than {Common} of those rows have them";
    }

    // A file and what was found of it.
    private sealed class Compared(string path, int first, int examples)
    {
        private readonly HashSet<int> found = [];
        private readonly List<(string Row, string In, string Words)> some = [];

        internal int First => first;

        internal int Count { get; set; }

        internal int NotCompared { get; set; }

        internal void Add(int row, string place, string trained, string run)
        {
            if (found.Add(row) && some.Count < examples) some.Add((place, trained, run));
        }

        internal string Line => $"{found.Count,8} of the {Count} rows of {path} are among them{Examples}{(NotCompared > 0 ? $"; of {NotCompared} nothing can be told, since they have no such run" : "")}";

        private string Examples => some.Count == 0 ? "" : $" ({string.Join("; ", some.Select(one => $"{one.Row} in {one.In}: {one.Words}"))}{(found.Count > some.Count ? "; ..." : "")})";

        internal JsonObject Document() => new()
        {
            ["file"] = path,
            ["rows"] = Count,
            ["not_compared"] = NotCompared,
            ["found"] = found.Count,
            ["examples"] = new JsonArray([.. some.Select(one => (JsonNode)new JsonObject { ["row"] = one.Row, ["in"] = one.In, ["words"] = one.Words })]),
        };
    }
}
