// A run as the `runs` commands see it: what plan.json asks for beside what the index knows of the directories.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Store;

/// <param name="Name">The experiment's.</param>
/// <param name="Run">Where it lies.</param>
/// <param name="Jobs">The plan's jobs in its order, then those that the plan no longer has.</param>
internal sealed record RunView(string Name, RunFolder Run, IReadOnlyList<ViewedJob> Jobs)
{
    /// <summary>Reads a run's folder.</summary>
    /// <exception cref="UserError">It is none.</exception>
    internal static RunView Of(string path)
    {
        var run = new RunFolder(Path.GetFullPath(path));
        var (name, planned) = Plan(run, path);
        using var index = SqliteIndex.Open(run);
        var known = index.Jobs();
        var jobs = planned.Where(job => job.Kind != "report").Select(job => known.GetValueOrDefault(job.Id) is { } found ? Viewed(run, found, isPlanned: true) : new ViewedJob(job, "waiting", IsPlanned: true)).ToList();
        var ids = planned.Select(job => job.Id).ToHashSet();
        jobs.AddRange(known.Values.Where(job => !ids.Contains(job.Id)).OrderBy(job => job.Label, StringComparer.Ordinal).Select(job => Viewed(run, job, isPlanned: false)));
        return new RunView(name, run, jobs);
    }

    /// <summary>Whether a folder is a run's.</summary>
    internal static bool Is(string path) => File.Exists(new RunFolder(path).Plan);

    /// <summary>Whether a run's plan.json has all of these jobs.</summary>
    /// <param name="run">Its folder.</param>
    /// <param name="ids">Of jobs.</param>
    internal static bool Plans(RunFolder run, IEnumerable<string> ids)
    {
        try
        {
            return Is(run.Path) && Plan(run, run.Path).Jobs.Select(job => job.Id).ToHashSet().IsSupersetOf(ids);
        }
        catch (UserError)
        {
            return false; // it is written anew
        }
    }

    /// <summary>Ids and names of the plan's jobs.</summary>
    /// <exception cref="UserError">There is no plan, or none that can be read.</exception>
    internal static (string Name, IReadOnlyList<IndexedJob> Jobs) Plan(RunFolder run, string path)
    {
        if (!File.Exists(run.Plan)) throw new UserError(path, "holds no run (no plan.json)", "name the folder that `peftalign run --out` wrote; peftalign runs list shows those of a folder");
        try
        {
            var plan = JsonNode.Parse(File.ReadAllText(run.Plan))!;
            return ((string)plan["name"]!, [.. plan["jobs"]!.AsArray().Select(job => new IndexedJob((string)job!["id"]!, (string)job["kind"]!, (string)job["label"]!, JobState.Begun))]);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or ArgumentNullException)
        {
            throw new UserError(run.Plan, "cannot be read", "run the manifest again, which writes it anew", e);
        }
    }

    /// <summary>Paths that were away when plan.json was made: jobs that read them have other ids in it than those that they once had.</summary>
    /// <param name="run">A run with a plan that can be read.</param>
    internal static IReadOnlyList<string> MissingIn(RunFolder run) =>
        JsonNode.Parse(File.ReadAllText(run.Plan))!["missing"] is JsonArray paths ? [.. paths.Select(path => $"{path}")] : [];

    private static ViewedJob Viewed(RunFolder run, IndexedJob job, bool isPlanned) =>
        new(job, job.State == JobState.Finished ? "finished" : IsHeld(run.Job(job.Id)) ? "running" : job.State == JobState.Failed ? "failed" : "stopped", isPlanned);

    /// <summary>Opens a lock as whoever asks about it: beside others who ask, and not beside a process that works.</summary>
    internal static FileStream Asking(string file) => new(file, FileMode.Open, FileAccess.Read, FileShare.Read);

    /// <summary>Whether a process works on the job.</summary>
    internal static bool IsHeld(JobFolder job) => IsHeld(job.Lock);

    /// <summary>Whether a process holds a lock for itself.</summary>
    internal static bool IsHeld(string file)
    {
        try
        {
            using var asking = Asking(file);
            return false;
        }
        catch (IOException e)
        {
            return e.HResult == JobProcess.WouldBlock;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }
}

/// <param name="Job">What the index knows.</param>
/// <param name="State">finished, running, failed, stopped or waiting.</param>
/// <param name="IsPlanned">Whether the run's last plan has it.</param>
internal sealed record ViewedJob(IndexedJob Job, string State, bool IsPlanned);
