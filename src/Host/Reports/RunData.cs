// What a run's folder holds for its report: finished jobs with their axes, evaluations with the items behind each number, training
// curves, times. Reads files only; nothing here needs libtorch.

using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Core.Claims;
using PeftAlign.Host.Evaluation;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Reports;

/// <summary>Job: The evaluation. Metric: As results.json names it, without the filter where that is "none". Observation: The number, its
/// items and direction. StandardError: As the benchmark gave it; null where it gave none. Count: Items behind it. Where an evaluation has
/// several outermost tasks, the task's name and a slash stand before the metric's.</summary>
internal sealed record Measured(RunJob Job, string Metric, Observation Observation, double? StandardError, int Count)
{
    /// <summary>The row of results.json, and the metric's key there without its filter.</summary>
    internal required (string Row, string Metric) Source { get; init; }

    /// <summary>Where the number is the mean of its items' scores, those of the items that have one; Observation.Items has them only where all do,
    /// since claims compare policies item by item.</summary>
    internal IReadOnlyList<double> Scores { get; init; } = [];

    /// <summary>Items whose context did not fit into the model and was cut: their scores are of another prompt.</summary>
    internal int Cut { get; init; }

    /// <summary>Who judged; empty where nobody did.</summary>
    internal string Annotator { get; init; } = "";

    /// <summary>With whose answers the policy's were compared; empty for nobody's.</summary>
    internal string Baseline { get; init; } = "";

    /// <summary>What claims take for the seeds of one policy is of one name, too: chains may differ in nothing but where a stage ends.</summary>
    internal const string Configuration = "configuration";

    /// <summary>How many times the answers were drawn, of which this is the mean.</summary>
    internal int Drawings { get; init; } = 1;

    /// <summary>The same number where the job stands in another place of the experiment.</summary>
    internal Measured At(RunJob place) => this with
    {
        Job = place,
        Observation = new Observation
        {
            Axes = new Dictionary<string, string>(place.Axes) { [Configuration] = place.Configuration },
            Metric = Observation.Metric,
            IsFirst = Observation.IsFirst,
            Value = Observation.Value,
            Items = Observation.Items,
            HigherIsBetter = Observation.HigherIsBetter,
        },
    };
}

internal sealed record RunData(string Name, RunFolder Run, IReadOnlyList<RunJob> Jobs, IReadOnlyList<Measured> Measured)
{
    /// <summary>Reads what is finished.</summary>
    /// <exception cref="UserError">The folder holds no run.</exception>
    internal static RunData Read(RunFolder run)
    {
        if (!File.Exists(run.Plan)) throw new UserError(run.Path, "holds no run: plan.json is not there", "name the folder that `peftalign run` wrote, such as out/NAME");
        var (name, planned) = RunText.Read(run.Plan, "run the manifest again, which writes it anew", () => Plan(run));
        var twins = planned.SelectMany(job => job.Placed).GroupBy(place => place.Stem).SelectMany(same => same.Select(place => place.Id).Distinct().SelectMany((id, k) => same.Where(place => place.Id == id).Select(place => (Key: (id, place.Label), Twin: k + 1))))
            .DistinctBy(t => t.Key).ToDictionary(t => t.Key, t => t.Twin);
        var placed = planned.SelectMany(job => job.Placed).Select(place => place with { Twin = twins[(place.Id, place.Label)] }).ToList();
        var places = placed.ToLookup(place => place.Id);
        var jobs = planned.Select(job => places[job.Id].First()).ToList();
        var measured = jobs.Where(j => j is { Kind: "evaluate", Outcome: not null }).SelectMany(j => Evaluated(run.Job(j.Id), j).SelectMany(m => places[j.Id].Select(m.At))).ToList();
        return new RunData(name, run, jobs, measured) { Placed = placed };
    }

    /// <summary>What reports show: the numbers, of several drawings of the answers their mean.</summary>
    internal IReadOnlyList<Measured> Reported => reported ??= Drawings.Means(Measured);

    private IReadOnlyList<Measured>? reported;

    /// <summary>Every job at each of its places, those of one job together.</summary>
    internal IReadOnlyList<RunJob> Placed { get; private init; } = [];

    /// <summary>Evaluations, and what trainings cost, as claims see them.</summary>
    internal IReadOnlyList<Observation> Observations => [.. Measured.Select(m => OfJob(m.Observation, m.Job)), .. Placed.Where(j => j.Kind == "train").SelectMany(j => Costs(j).Select(o => OfJob(o, j)))];

    /// <summary>What is planned and not finished, as claims see it.</summary>
    internal IReadOnlyList<IReadOnlyDictionary<string, string>> Pending =>
        [.. Placed.Where(j => j is { Kind: "evaluate", Outcome: null }).Select(j => OfJob(j.Axes, j)), .. Placed.Where(j => j is { Kind: "train", Outcome: null }).Select(j => OfJob(new Dictionary<string, string>(j.Axes) { ["benchmark"] = "train" }, j))];

    // What two rows ask alike is one number, which claims count once.
    private static Dictionary<string, string> OfJob(IReadOnlyDictionary<string, string> axes, RunJob job) => new(axes) { [Reports.Measured.Configuration] = job.Configuration, ["job"] = job.Id };

    private static Observation OfJob(Observation o, RunJob job) => new()
    {
        Axes = OfJob(o.Axes, job),
        Metric = o.Metric,
        IsFirst = o.IsFirst,
        Value = o.Value,
        Items = o.Items,
        HigherIsBetter = o.HigherIsBetter,
    };

    private static (string Name, IReadOnlyList<RunJob> Jobs) Plan(RunFolder run)
    {
        var plan = JsonNode.Parse(File.ReadAllText(run.Plan))!;
        return ((string)plan["name"]!, [.. plan["jobs"]!.AsArray().Where(j => (string?)j!["kind"] != "report").Select(j => Job(run, j!.AsObject()))]);
    }

    private static IEnumerable<Observation> Costs(RunJob job)
    {
        if (job.Outcome?["steps"] is not { } steps || job.Seconds is not { } seconds || (long)steps! <= 0) yield break;
        var axes = new Dictionary<string, string>(job.Axes) { ["benchmark"] = "train", [Reports.Measured.Configuration] = job.Configuration };
        yield return new Observation { Axes = axes, Metric = "seconds_per_step", Value = seconds / (long)steps!, Items = [] };
    }

    private static RunJob Job(RunFolder run, JsonObject planned)
    {
        var folder = run.Job((string)planned["id"]!);
        var timing = Timing.Read(folder);
        var (kind, label) = ((string)planned["kind"]!, (string)planned["label"]!);
        // An evaluation whose files were deleted has no number to show, and must not count as finished. A training's curve needs no weights.
        var isThere = kind != "evaluate" || folder.IsFinished;
        return new RunJob(
            folder.Id, kind, label, Axes(planned),
            [.. planned["depends_on"]!.AsArray().Select(d => (string)d!)],
            isThere && folder.ReadResult() is { } result ? result["outcome"] as JsonObject ?? [] : null,
            timing?.Seconds, timing?.PeakMemory)
        {
            Places = [.. (planned["places"] as JsonArray ?? []).Select(place => ((string)place!["label"]!, Axes(place.AsObject())))],
        };
    }

    private static IReadOnlyDictionary<string, string> Axes(JsonObject place) => place["axes"]?.AsObject().ToDictionary(a => a.Key, a => (string)a.Value!) ?? [];

    private static IReadOnlyList<Measured> Evaluated(JobFolder folder, RunJob job) => RunText.Read(folder, folder.Results, () => Evaluation(folder, job).ToList());

    private static IEnumerable<Measured> Evaluation(JobFolder folder, RunJob job)
    {
        var file = folder.Results;
        if (!File.Exists(file)) yield break;
        var json = RunText.Object(folder, file);
        if (json["results"] is not JsonObject { Count: > 0 }) throw new InvalidDataException("no results");
        var rows = SampleFiles.Outermost(json, (string?)job.Outcome?["benchmark"] ?? "");
        foreach (var (name, k) in rows.Select((name, k) => (name, k)))
            foreach (var measured in Row(folder, job, json, name, rows.Count > 1 ? name + "/" : "", isFirst: k == 0)) yield return measured;
    }

    private static IEnumerable<Measured> Row(JobFolder folder, RunJob job, JsonNode json, string task, string prefix, bool isFirst)
    {
        if (json["results"]![task] is not JsonObject row) yield break;
        var directions = json["higher_is_better"]?[task] as JsonObject;
        var (scored, count) = (json[ResultFiles.ScoredKey]?[task], (int?)json["n-samples"]?[task]?["effective"] ?? 0);
        var (annotator, baseline) = ((string?)json["configs"]?[task]?["annotator"] ?? "", (string?)json["configs"]?[task]?["baseline"] ?? "");
        var (items, cut) = Items(folder, task, json);
        foreach (var (key, node) in row)
        {
            if (key.Split(',') is not [var metric, var filter] || metric.EndsWith("_stderr", StringComparison.Ordinal)) continue;
            if (node is not JsonValue number || !number.TryGetValue<double>(out var value)) continue;
            var error = row[$"{metric}_stderr,{filter}"] is JsonValue e && e.TryGetValue<double>(out var s) ? s : (double?)null;
            var name = prefix + (filter == "none" ? metric : $"{metric},{filter}");
            var (scores, ofAll) = items.GetValueOrDefault((metric, filter), ([], false));
            // Of none that failed the mean is the count, too.
            var isMean = !NumberRange.IsCount(metric) && scores.Count > 1 && Math.Abs(scores.Average() - value) <= 1e-9 * Math.Max(1, Math.Abs(value));
            var observation = new Observation
            {
                Axes = job.Axes,
                Metric = name,
                IsFirst = isFirst,
                Value = value,
                Items = isMean && ofAll ? [.. scores] : [],
                HigherIsBetter = (bool?)directions?[metric] ?? true,
            };
            isFirst = false;
            // Older results do not say how many items stand behind each number.
            var own = (int?)scored?[key] ?? (isMean && ofAll ? scores.Count : count > 0 ? count : (int?)row["sample_len"] ?? 0);
            yield return new Measured(job, name, observation, error, own) { Source = (task, metric), Scores = isMean ? scores : [], Cut = cut.GetValueOrDefault(filter), Annotator = annotator, Baseline = baseline };
        }
    }

    // Numbers of each sample by name and filter, in the samples' order, and whether every sample has one; by filter the samples whose context was cut.
    private static (Dictionary<(string Name, string Filter), (List<double> Scores, bool OfAll)> Scores, Dictionary<string, int> Cut) Items(JobFolder folder, string task, JsonNode results)
    {
        var (found, rows, cut) = (new Dictionary<(string, string Filter), List<double>>(), new Dictionary<string, int>(), new Dictionary<string, int>());
        foreach (var sample in SampleFiles.Read(folder, task, results))
        {
            var filter = sample.Filter;
            rows[filter] = rows.GetValueOrDefault(filter) + 1;
            cut[filter] = cut.GetValueOrDefault(filter) + (sample.Number("tokens_cut") > 0 ? 1 : 0);
            foreach (var property in sample.Json.EnumerateObject().Where(p => p.Value.ValueKind == JsonValueKind.Number))
            {
                if (!found.TryGetValue((property.Name, filter), out var list)) found.Add((property.Name, filter), list = []);
                list.Add(property.Value.GetDouble());
            }
        }
        return (found.ToDictionary(f => f.Key, f => (f.Value, f.Value.Count == rows[f.Key.Filter])), cut);
    }

    /// <summary>Jobs whose result is there and cannot be read.</summary>
    internal IEnumerable<RunJob> Damaged => Jobs.Where(job => job.Outcome is null && File.Exists(Run.Job(job.Id).Result));

    /// <summary>Jobs that failed in their last try, with the reason: what would rest on them is missing, and a method whose bad seeds are left out looks better than it is.</summary>
    internal IReadOnlyList<(RunJob Job, string Error)> Failed =>
        [.. Jobs.Where(j => j.Outcome is null && File.Exists(Run.Job(j.Id).Failure)).Select(j => (j, RunText.Read(Run.Job(j.Id), Run.Job(j.Id).Failure, () => (string?)JsonNode.Parse(File.ReadAllText(Run.Job(j.Id).Failure))!["error"] ?? "")))];

    /// <summary>Seeds for which a policy is to be asked a benchmark, finished or not.</summary>
    internal ILookup<(string Policy, string Setting), string> PlannedEvaluations =>
        Placed.Where(j => j.Kind == "evaluate").Select(j => (Key: (j.Policy, j.Setting), Seed: j.Axis("seed"))).Distinct().ToLookup(j => j.Key, j => j.Seed);

    /// <summary>Evaluations whose judge was away, with how many of its questions nobody answered.</summary>
    internal IReadOnlyList<(RunJob Job, long Count)> Unanswered => [.. Jobs.Where(j => j.Outcome?[EvaluateJob.UnansweredKey] is not null).Select(j => (j, (long)j.Outcome![EvaluateJob.UnansweredKey]!))];

    /// <summary>What judges took, by who judged, over all evaluations.</summary>
    internal IReadOnlyList<JudgeBill> Judges => [.. Jobs.Where(j => j.Kind == "evaluate").SelectMany(j => JudgeBill.Read(Run.Job(j.Id))).GroupBy(b => b.Annotator).Select(JudgeBill.Sum)];

    /// <summary>Who judged, as people know it: a judge that the run made by its policy.</summary>
    internal string AnnotatorName(string annotator) => Jobs.FirstOrDefault(j => annotator.EndsWith(j.Id, StringComparison.Ordinal)) is { } made ? $"{annotator.Split(' ')[0]} {made.Policy}{(made.Axis("seed") is { Length: > 0 } seed ? $" s{seed}" : "")}" : annotator;

    /// <summary>Rows of a training's metrics.jsonl that hold the metric, as (step, value).</summary>
    internal IReadOnlyList<(double X, double Y)> Curve(RunJob job, string metric)
    {
        var file = Run.Job(job.Id).File("metrics.jsonl");
        if (!File.Exists(file)) return [];
        var points = new List<(double, double)>();
        var lines = File.ReadAllLines(file);
        for (var k = 0; k < lines.Length; k++)
        {
            if (lines[k].Length == 0 || (k == lines.Length - 1 && !IsJson(lines[k]))) continue; // a training that was killed may leave a row cut short
            var row = RunText.Row(Run.Job(job.Id), file, k + 1, lines[k]);
            if (row.TryGetProperty(metric, out var value) && value.ValueKind == JsonValueKind.Number && row.TryGetProperty("step", out var step) && step.ValueKind == JsonValueKind.Number)
                points.Add((step.GetDouble(), value.GetDouble()));
        }
        return points;
    }

    private static bool IsJson(string line)
    {
        try
        {
            using var row = JsonDocument.Parse(line);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    /// <summary>The step of a checkpoint such as "step:100"; null for the end.</summary>
    internal static double? Step(string checkpoint) =>
        checkpoint.Split(':') is [_, var number] && double.TryParse(number, CultureInfo.InvariantCulture, out var step) ? step : null;
}
