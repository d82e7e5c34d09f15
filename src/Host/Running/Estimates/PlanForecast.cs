// What a plan will take, by kind and in total: rules of thumb, corrected by the finished jobs of the run, whose times are known.

using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Host.Inspection;
using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Running.Estimates;

/// <param name="Kind">train, evaluate ...</param>
/// <param name="Jobs">How many the plan has.</param>
/// <param name="Finished">How many of them are finished.</param>
/// <param name="Unknown">How many unfinished ones are not predicted.</param>
/// <param name="Seconds">Of the unfinished ones that are predicted.</param>
/// <param name="Memory">Peak bytes of one process.</param>
/// <param name="Disk">Bytes that the unfinished ones will add.</param>
/// <param name="Flops">Multiplications and additions of the unfinished ones.</param>
/// <param name="Measured">Whether finished jobs of the kind corrected the time.</param>
internal sealed record KindForecast(string Kind, int Jobs, int Finished, int Unknown, double Seconds, long Memory, long Disk, double Flops, bool Measured)
{
    /// <summary>Questions of the open ones that go to services.</summary>
    internal long ToServices { get; init; }

    /// <summary>Whether an open one's answers were taken to be as long as they may be.</summary>
    internal bool AssumesLongest { get; init; }
}

/// <param name="Kinds">Each kind's.</param>
/// <param name="AtOnce">Jobs at once.</param>
/// <param name="AssumesLongest">Whether rows that are not known count as long as they may be.</param>
/// <param name="OnGpu">Whether jobs compute on a GPU.</param>
internal sealed record PlanForecast(IReadOnlyList<KindForecast> Kinds, int AtOnce, bool AssumesLongest, bool OnGpu)
{
    private const double LeastGpuHours = 0.05;

    /// <summary>What is odd about data that were read.</summary>
    internal IReadOnlyList<string> Warnings { get; private init; } = [];

    /// <summary>What a plan will take.</summary>
    /// <param name="planned">The plan.</param>
    /// <param name="threads">Processor threads of a job.</param>
    /// <param name="atOnce">Jobs at once.</param>
    /// <param name="onGpu">Whether jobs compute on a GPU: its memory is what is predicted; times stay a processor's until jobs are finished.</param>
    /// <exception cref="Abstractions.UserErrorException">Data that lie there cannot be read; a line for each job that would fail on them.</exception>
    internal static PlanForecast Of(Planned planned, int threads, int atOnce, bool onGpu)
    {
        var shapes = new Shapes(planned, onGpu);
        var kinds = planned.Plan.Jobs.Where(job => job.Kind != "report").GroupBy(job => job.Kind);
        List<KindForecast> found = [.. kinds.Select(kind => Kind(planned.Run, kind.Key, [.. kind], job => planned.Run.Unanswered(job) is > 0 and var open ? EvaluateForecast.Again(open) : JobForecast.Of(job, shapes, threads)))];
        PlannedData.ThrowIfUnreadable(planned, shapes, _ => true);
        return new PlanForecast(found, atOnce, shapes.AssumesLongest, onGpu) { Warnings = shapes.Warnings };
    }

    private static KindForecast Kind(RunFolder run, string kind, List<PlanJob> jobs, Func<PlanJob, JobForecast?> forecast)
    {
        var all = jobs.ConvertAll(job => (Forecast: forecast(job), Finished: run.IsSettled(job) ? Timing.Read(run.Job(job.Id)) ?? new Timing(default, 0, 0, 0) : null));
        var done = all.Where(job => job.Finished is { Seconds: > 0 }).ToList();
        var (said, took) = (done.Sum(job => job.Forecast?.Seconds ?? 0), done.Where(job => job.Forecast is not null).Sum(job => job.Finished!.Seconds));
        var factor = said > 0 ? took / said : 1;
        // What no rule predicts takes as long as those of its kind took.
        double? typical = done.Count > 0 ? done.Average(job => job.Finished!.Seconds) : null;
        var open = all.Where(job => job.Finished is null).ToList();
        var unknown = open.Where(job => job.Forecast is null).ToList();
        return new KindForecast(kind, all.Count, all.Count - open.Count, typical is null ? unknown.Count : 0,
            open.Sum(job => job.Forecast is { } known ? known.Seconds * factor : typical ?? 0),
            all.Select(job => Math.Max(job.Forecast?.Memory ?? 0, job.Finished?.PeakMemory ?? 0)).Max(),
            open.Sum(job => job.Forecast?.Disk ?? 0), open.Sum(job => job.Forecast?.Flops ?? 0), done.Count > 0)
        { ToServices = open.Sum(job => job.Forecast?.ToServices ?? 0), AssumesLongest = open.Exists(job => job.Forecast is { AssumesLongest: true }) };
    }

    internal int Unknown => Kinds.Sum(kind => kind.Unknown);

    private long ToServices => Kinds.Sum(kind => kind.ToServices);

    private double Seconds => Kinds.Sum(kind => kind.Seconds);

    /// <summary>Of the open jobs, on one GPU that reaches Costs.FlopsPerGpu: arithmetic, not a measurement.</summary>
    private double GpuHours => Kinds.Sum(kind => kind.Flops) / Costs.FlopsPerGpu / 3600;

    internal JsonObject Document() => new()
    {
        ["kinds"] = new JsonObject(Kinds.Select(kind => KeyValuePair.Create(kind.Kind, (JsonNode?)new JsonObject
        {
            ["jobs"] = kind.Jobs,
            ["finished"] = kind.Finished,
            ["not_predicted"] = kind.Unknown,
            ["seconds"] = Math.Round(kind.Seconds, 1),
            ["peak_memory_bytes"] = kind.Memory > 0 ? kind.Memory : null,
            ["disk_bytes"] = kind.Disk,
            ["flops"] = kind.Flops,
            ["corrected_by_finished_jobs"] = kind.Measured,
        }))),
        ["seconds"] = Math.Round(Seconds, 1),
        ["seconds_with_jobs_at_once"] = Math.Round(Seconds / AtOnce, 1),
        ["peak_memory_bytes"] = Kinds.Count == 0 ? 0 : Kinds.Max(kind => kind.Memory),
        ["disk_bytes"] = Kinds.Sum(kind => kind.Disk),
        ["flops"] = Kinds.Sum(kind => kind.Flops),
        ["gpu_hours"] = Math.Round(GpuHours, 3),
        ["not_predicted"] = Unknown,
        ["on_gpu"] = OnGpu,
        ["assumes_longest_rows"] = AssumesLongest,
        ["assumes_longest_answers"] = Kinds.Any(kind => kind.AssumesLongest),
        ["questions_to_services"] = ToServices,
    };

    internal IEnumerable<string> Lines()
    {
        var table = new TextTable("kind", ">jobs", ">finished", ">time left", ">memory of one", ">disk");
        foreach (var kind in Kinds) table.Add([kind.Kind, $"{kind.Jobs}", $"{kind.Finished}", .. Amounts(kind.Jobs - kind.Finished, kind.Unknown, kind.Seconds, kind.Memory, kind.Disk)]);
        table.Add(["total", $"{Kinds.Sum(kind => kind.Jobs)}", $"{Kinds.Sum(kind => kind.Finished)}", .. Amounts(Kinds.Sum(kind => kind.Jobs - kind.Finished), Unknown, Seconds, Kinds.Select(kind => kind.Memory).DefaultIfEmpty(0).Max(), Kinds.Sum(kind => kind.Disk))]);
        foreach (var line in table.Lines()) yield return "  " + line;
        if (GpuHours >= LeastGpuHours) yield return $"  {Kinds.Sum(kind => kind.Flops) / 1e15:0} PFLOP of matrix products: about {GpuHours:0.0} GPU-hours at {Costs.FlopsPerGpu / 1e12:0} TFLOP/s ({string.Join(", ", Kinds.Where(kind => kind.Flops > 0).Select(kind => $"{kind.Kind} {kind.Flops / Costs.FlopsPerGpu / 3600:0.0}"))}); arithmetic, not a measurement";
        if (AtOnce > 1 && Seconds > 0) yield return $"  about {RunDisplay.Duration(Seconds / AtOnce)} with {AtOnce} jobs at once, if dependencies allow";
        if (Unknown > 0) yield return $"  {Unknown} job(s) are not predicted (models or data that are not there yet, or kinds of work without a rule): totals are at least that";
        if (AssumesLongest) yield return "  rows that are not there, or not without a tokenizer, are taken to be as long as max_length, or the model's positions where these are fewer";
        if (Kinds.Any(kind => kind.AssumesLongest)) yield return "  answers that models will write are taken to be as long as they may be";
        if (ToServices > 0) yield return $"  {ToServices} questions go to services as judges (counted as {Costs.ServiceSeconds:0} s each; price not predicted)";
        if (Kinds.Any(kind => kind.Seconds > 0 && !kind.Measured)) yield return $"  times are rules of thumb {(OnGpu ? "for a processor " : "")}({Costs.FlopsPerThread / 1e9:0} GFLOP/s a thread) until a job of the kind is finished; expect them within a factor of four";
    }

    // "?" where nothing of a kind is predicted; a part that is has a "+".
    private static string[] Amounts(int open, int unknown, double seconds, long memory, long disk)
    {
        if (open == 0) return ["", memory > 0 ? Sizes.Bytes(memory) : "", ""];
        if (unknown == open) return ["?", memory > 0 ? Sizes.Bytes(memory) : "?", "?"];
        var more = unknown > 0 ? "+" : "";
        return [RunDisplay.Duration(seconds) + more, memory > 0 ? Sizes.Bytes(memory) + more : "?", Sizes.Bytes(disk) + more];
    }
}
