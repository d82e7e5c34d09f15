// What another needs to repeat the run: the settings of every job, the rows that were trained, the files that were read, versions, machines.
// Everything comes from the jobs' own folders, so it is what was done and not what a manifest says today.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Reports;

/// <summary>Kind: train, evaluate ... Shared: Settings that all rows have alike. Rows: The configurations (of evaluations the benchmarks) with the
/// settings that differ.</summary>
internal sealed record RecipePart(string Kind, IReadOnlyDictionary<string, string> Shared, IReadOnlyList<RecipeRow> Rows)
{
    /// <summary>Names of the counts that any row has, in the order in which they are shown.</summary>
    internal IReadOnlyList<string> Counted => [.. Recipe.Counted.Select(c => c.Name).Where(name => Rows.Any(row => row.Counts.ContainsKey(name)))];
}

/// <summary>Name: The configuration or benchmark. Seeds: Those of its jobs. Counts: Of trainings: rows, tokens and numbers that were trained, as
/// a range over the seeds.</summary>
internal sealed record RecipeRow(string Name, IReadOnlyList<string> Seeds, IReadOnlyDictionary<string, string> Settings, IReadOnlyDictionary<string, string> Counts);

/// <summary>Inputs: Path and SHA-256 of every file and folder that was read. Versions: Of each part of the program the hash that the jobs were made
/// with, several where they differ. Machines: Name, processor, device and threads of the jobs that compute. Started: When the first of the jobs began that are still there.</summary>
internal sealed record Recipe(IReadOnlyList<RecipePart> Parts, IReadOnlyList<(string Path, string Sha256)> Inputs, IReadOnlyList<(string Part, string Version)> Versions, IReadOnlyList<string> Machines, string Started)
{
    /// <summary>What of a training's counts is shown, by its key in ledger.json or in the result.</summary>
    internal static readonly IReadOnlyList<(string Key, string Name)> Counted =
        [("rows", "rows"), ("rows_without_trained_token", "rows refused"), ("rows_truncated", "rows cut"), ("tokens_trained", "tokens trained an epoch"), ("trainable_parameters", "trained numbers"), ("steps", "steps"), ("final_loss", "last loss"), (Took, Seconds), (Peak, PeakMebibytes)];

    /// <summary>Names of the counts that differ from run to run.</summary>
    internal static readonly IReadOnlySet<string> Measured = new HashSet<string> { Seconds, PeakMebibytes };

    private const string Took = "took", Peak = "peak", Seconds = "seconds", PeakMebibytes = "peak MiB";
    private static readonly HashSet<string> NoSetting = ["kind", "engine", "result_version", "parents", "candidates"];

    /// <summary>The machines, and since when, in words; empty where no job tells.</summary>
    internal string MadeOn => Machines.Count == 0 ? "" : $"Made on {string.Join("; ", Machines)}{(Started.Length > 0 ? $", from {Started}" : "")}.";

    /// <summary>Of all finished jobs.</summary>
    internal static Recipe Of(RunData data)
    {
        var jobs = data.Jobs.ToDictionary(j => j.Id);
        // What trainings of several seeds start from alike, such as a base of one seed, is told with its seed to each of them.
        var common = data.Jobs.SelectMany(j => j.DependsOn.Select(id => (Users: (j.Kind, j.Policy, id), Seed: j.Axis("seed")))).Distinct().CountBy(used => used.Users).Where(users => users.Value > 1).Select(users => users.Key).ToHashSet();
        var told = data.Jobs.Where(j => j.Outcome is not null && File.Exists(data.Run.Job(j.Id).Spec)).Select(j => Told.Of(j, data.Run.Job(j.Id), id => Called(jobs.GetValueOrDefault(id), id, j, common.Contains((j.Kind, j.Policy, id))))).ToList();
        var timings = told.Select(t => Timing(data.Run.Job(t.Job.Id))).OfType<JsonObject>().ToList();
        return new Recipe(
            [.. told.GroupBy(t => t.Job.Kind).Select(Part)],
            [.. told.SelectMany(t => t.Inputs).Distinct().OrderBy(i => i.Path, StringComparer.Ordinal)],
            [.. told.SelectMany(t => t.Versions).Distinct().GroupBy(v => v.Part).OrderBy(g => g.Key, StringComparer.Ordinal).Select(g => (g.Key, string.Join(", ", g.Select(v => v.Version).Order(StringComparer.Ordinal))))],
            [.. (timings.Any(t => t["device"] is not null) ? timings.Where(t => t["device"] is not null) : timings).Select(Machine).Where(m => m.Length > 0).Distinct()],
            timings.Select(t => (string?)t["started"] ?? "").Where(at => at.Length > 0).Order(StringComparer.Ordinal).FirstOrDefault() ?? "");
    }

    // Settings of one configuration are those of all its seeds; where they are not (an older run's job), each kind is a row.
    private static RecipePart Part(IGrouping<string, Told> kind)
    {
        var rows = kind.SelectMany(t => t.Names.Select(name => (Name: name, Told: t))).GroupBy(t => (t.Name, t.Told.Text))
            .Select(same => (same.Key.Name, Settings: same.First().Told.Settings, All: same.Select(t => t.Told).DistinctBy(t => t.Job.Id).ToList())).ToList();
        var shared = rows.Count < 2 ? [] : rows[0].Settings.Where(s => rows.All(row => row.Settings.TryGetValue(s.Key, out var own) && own == s.Value)).ToDictionary();
        return new RecipePart(kind.Key, shared,
            [.. rows.Select(row => new RecipeRow(row.Name, kind.Key == "evaluate" ? [] : [.. row.All.Select(t => t.Job.Axis("seed")).Where(s => s.Length > 0).Distinct()], row.Settings.Where(s => !shared.ContainsKey(s.Key)).ToDictionary(), Counts(row.All)))]);
    }

    // What a job starts from is told without the seed where that is its own and no other seed starts there: so all seeds of a chain are one row.
    private static string Called(RunJob? made, string id, RunJob user, bool isCommon) =>
        made is null ? id : made.Policy.Length == 0 ? made.Label : made.Axis("seed") is { Length: > 0 } seed && (isCommon || seed != user.Axis("seed")) ? $"{made.Policy}/s{seed}" : made.Policy;

    private static Dictionary<string, string> Counts(IReadOnlyList<Told> seeds)
    {
        var found = new Dictionary<string, string>();
        foreach (var (key, name) in Counted)
        {
            var values = seeds.Where(t => t.Counts.ContainsKey(key)).Select(t => t.Counts[key]).ToList();
            if (values.Count > 0) found[name] = values.Min() == values.Max() ? Number(values[0]) : $"{Number(values.Min())} to {Number(values.Max())}";
        }
        return found;
    }

    private static string Number(double value) => value == Math.Floor(value) && Math.Abs(value) < 1e15 ? value.ToString("0", System.Globalization.CultureInfo.InvariantCulture) : Plot.Short(value);

    private static JsonObject? Timing(JobFolder job) => File.Exists(job.Timing) ? RunText.Object(job, job.Timing) : null;

    private static string Machine(JsonObject timing) =>
        (string?)timing["machine"] is not { Length: > 0 } name ? "" : $"{name}{((string?)timing["processor"] is { Length: > 0 } processor ? $" ({processor})" : "")}{((string?)timing["device"] is { } device ? $", {device}" : "")}{((int?)timing["threads"] is { } threads ? $", {threads} threads" : "")}";

    // One job, as its own files tell it.
    private sealed record Told(RunJob Job, IReadOnlyList<string> Names, IReadOnlyDictionary<string, string> Settings, IReadOnlyDictionary<string, double> Counts, IReadOnlyList<(string Path, string Sha256)> Inputs, IReadOnlyList<(string Part, string Version)> Versions)
    {
        internal string Text { get; } = string.Join('\n', Settings.Select(s => $"{s.Key}={s.Value}"));

        internal static Told Of(RunJob job, JobFolder folder, Func<string, string> names)
        {
            var spec = RunText.Object(folder, folder.Spec);
            return RunText.Read(folder, folder.Spec, () =>
            {
                var settings = new SortedDictionary<string, string>(StringComparer.Ordinal);
                Flatten(spec["options"], [], settings, names, job.Kind is "evaluate" or "select");
                if (settings.GetValueOrDefault("seed") == job.Axis("seed")) settings.Remove("seed"); // said for all seeds together
                return new Told(job, job.Kind == "evaluate" ? [job.Benchmark] : [.. job.Placed.Select(place => place.Policy.Length > 0 ? place.Policy : place.Label).Distinct()], settings, CountsOf(job, folder),
                    [.. (spec["inputs"] as JsonArray ?? []).Select(i => ((string)i!["path"]!, (string?)i["sha256"] ?? ""))],
                    [.. (spec["made_with"] as JsonObject ?? []).Select(m => (m.Key, (string)m.Value!))]);
            });
        }

        private static Dictionary<string, double> CountsOf(RunJob job, JobFolder folder)
        {
            var ledger = folder.File("ledger.json");
            var sources = new[] { job.Kind == "train" && File.Exists(ledger) ? RunText.Object(folder, ledger) : null, job.Kind == "train" ? job.Outcome : null };
            var found = Counted.SelectMany(c => sources.OfType<JsonObject>().Select(s => (c.Key, Value: s[c.Key])).Where(v => v.Value?.GetValueKind() == JsonValueKind.Number).Take(1)).ToDictionary(v => v.Key, v => (double)v.Value!);
            // What one method takes beside another; of the other kinds the sums by kind are enough.
            if (job is { Kind: "train", Seconds: { } seconds }) found[Took] = seconds;
            if (job is { Kind: "train", PeakBytes: { } bytes }) found[Peak] = Math.Round(bytes / 1048576.0);
            return found;
        }

        // "adapter.options.rank" is told as adapter.rank, "training.batch_size" as batch_size. What is empty is left out; which policy a benchmark asks is no setting of it.
        private static void Flatten(JsonNode? node, IReadOnlyList<string> path, SortedDictionary<string, string> into, Func<string, string> names, bool isOfPolicies)
        {
            if (node is JsonObject made && made.All(e => e.Key is "job" or "checkpoint") && (string?)(made["job"] as JsonValue) is { } id) Add(names(id) + (made["checkpoint"] is { } point ? $"@{point}" : ""));
            else if (node is JsonObject entries)
                foreach (var (key, value) in entries.Where(e => !NoSetting.Contains(e.Key) && !(path.Count == 0 && isOfPolicies && e.Key is "policy" or "control")))
                    Flatten(value, key is "options" or "training" or "weights" or "benchmark" ? path : [.. path, key], into, names, isOfPolicies);
            else if (node is JsonArray { Count: > 0 } list && list.Any(item => item is JsonObject))
                for (var k = 0; k < list.Count; k++) Flatten(list[k], [.. path, $"{k + 1}"], into, names, isOfPolicies);
            else if (node is JsonArray { Count: > 0 } values) Add(string.Join(", ", values.Select(v => v?.ToString() ?? "null")));
            else if (node is JsonValue value && value.ToString() is { Length: > 0 } text) Add(text);

            void Add(string text) => into[string.Join('.', path.Count > 0 && path[^1] == "name" && path.Count > 1 ? path.SkipLast(1) : path)] = text;
        }
    }
}
