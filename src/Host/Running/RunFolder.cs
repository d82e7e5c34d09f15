// A run's folder: plan.json, jobs/ID/ for each job, report.json. Every file appears by rename.

using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PeftAlign.Host.Running;

/// <param name="Path">Full path of the run.</param>
internal sealed partial record RunFolder(string Path)
{
    private static readonly string Own = Environment.ProcessId.ToString(CultureInfo.InvariantCulture);

    internal string Plan => System.IO.Path.Combine(Path, "plan.json");

    internal string Index => System.IO.Path.Combine(Path, "index.sqlite");

    internal string Settings => System.IO.Path.Combine(Path, "run.json");

    internal string Report => System.IO.Path.Combine(Path, "report.json");

    /// <summary>The report for people, one file.</summary>
    internal string Page => System.IO.Path.Combine(Path, "report.html");

    /// <summary>The claims that the manifest named, as they were when the run began; its first line holds their name.</summary>
    internal string Claims => System.IO.Path.Combine(Path, "claims.yaml");

    internal string Hashes => System.IO.Path.Combine(Path, "hashes.json");

    /// <summary>Written and deleted to see whether anything can be.</summary>
    internal string Probe => System.IO.Path.Combine(Path, "probe");

    internal JobFolder Job(string id) => new(System.IO.Path.Combine(Path, "jobs", id));

    /// <summary>Whether the job's result is there, with every point of its training that the plan needs, and far enough.</summary>
    internal bool IsFinished(Core.PlanJob job)
    {
        var folder = Job(job.Id);
        if (folder.Finished is not { } result || !job.Keep.All(point => Directory.Exists(folder.Point(point).Path))) return false;
        var reached = job.Kind == "train" ? result.Until : ""; // where the training stopped; empty for its end
        return reached.Length == 0 || reached == job.Until;
    }

    /// <summary>Of a finished evaluation, the questions to its judge that nobody answered.</summary>
    internal int Unanswered(Core.PlanJob job) => job.Kind == "evaluate" ? Job(job.Id).Unanswered : 0;

    /// <summary>Whether a run has nothing more to do for the job: an evaluation whose judge was away is finished, and is taken up again.</summary>
    internal bool IsSettled(Core.PlanJob job) => IsFinished(job) && Unanswered(job) == 0;

    /// <summary>Writes a text in one step, in a folder that need not be there yet.</summary>
    internal static void Write(string path, string text)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        AtomicFile.Write(path, text);
    }

    /// <summary>
    /// Fills a folder under a temporary name and renames it; nothing stays of a try that fails, nor of one that was killed once another is made. A folder of that name is
    /// replaced, so the caller makes sure that it may be.
    /// </summary>
    internal static void Fill(string folder, Action<string> write)
    {
        folder = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(folder));
        Merging.PartialFolder.DeleteAbandoned(folder);
        using var held = Merging.PartialFolder.Make(folder);
        var partial = held.Path;
        try
        {
            write(partial);
            if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
            AtomicFile.MoveFolder(partial, folder);
        }
        catch
        {
            if (Directory.Exists(partial)) Directory.Delete(partial, recursive: true);
            throw;
        }
    }

    /// <summary>Deletes what killed processes left in a folder that only this program writes, and only one process at a time.</summary>
    internal static void DeletePartials(string folder)
    {
        foreach (var old in Directory.GetDirectories(folder, "*.partial-*", SearchOption.AllDirectories).Where(Directory.Exists)) Directory.Delete(old, recursive: true); // one may lie in another
        DeleteParts(folder, SearchOption.AllDirectories);
    }

    /// <summary>Deletes the files in a folder that killed processes were writing (AtomicFile); one that a process at work may be about to rename stays.</summary>
    internal static void DeleteParts(string folder, SearchOption depth = SearchOption.TopDirectoryOnly)
    {
        foreach (var file in Directory.GetFiles(folder, "*.part", depth))
            if (Part().Match(file) is { Success: true } part && !(part.Groups[1].Value != Own && Directory.Exists($"/proc/{part.Groups[1].Value}"))) File.Delete(file);
    }

    /// <summary>Deletes the folders in a folder under temporary names: one that has its own name is whole, whenever the process is killed.</summary>
    internal static void DeleteFolders(string folder)
    {
        DeletePartials(folder);
        foreach (var path in Directory.GetDirectories(folder))
        {
            var partial = $"{path}.partial-{Environment.ProcessId}";
            Directory.Delete(AtomicFile.TryRename(path, partial) ? partial : path, recursive: true);
        }
    }

    // Its process's number.
    [GeneratedRegex(@"\.(\d+)-\d+\.part$")]
    private static partial Regex Part();
}

/// <summary>One job's folder. result.json is written last: a job is finished if and only if it is there.</summary>
/// <param name="Path">Full path.</param>
internal sealed record JobFolder(string Path)
{
    internal string Id => System.IO.Path.GetFileName(Path);

    internal string Spec => File("job.json");

    internal string Result => File("result.json");

    /// <summary>What result.json is called while --strict deletes the job: what else is there counts for nothing.</summary>
    internal string Forgotten => File("forgotten.json");

    internal string Log => File("log.txt");

    internal string Lock => File("lock");

    internal string Timing => File("timing.json");

    internal string Failure => File("failure.json");

    internal string Model => File("model");

    internal string Adapter => File("adapter");

    /// <summary>Of a job that trained an adapter over frozen ones: all of them, AdapterLayer(0) the lowest.</summary>
    internal string Adapters => File("adapters");

    internal string AdapterLayer(int k) => System.IO.Path.Combine(Adapters, (k + 1).ToString(System.Globalization.CultureInfo.InvariantCulture));

    /// <summary>Whether the result is there, with what the job made.</summary>
    internal bool IsFinished => Finished is not null;

    /// <summary>What the result says of the job; null where it is not there or damaged, or what the job made was deleted: then it is done again.</summary>
    internal FinishedJob? Finished => FinishedJob.Of(this);

    /// <summary>The rows of a job that makes data.</summary>
    internal string Rows => File("rows.jsonl");

    /// <summary>The stored log-probs of a job that computes them.</summary>
    internal string LogProbs => File("log_probs");

    /// <summary>The numbers of an evaluation, in lm-evaluation-harness's form.</summary>
    internal string Results => File("results.json");

    /// <summary>The content of result.json; null where it is not there, or damaged: then the job is done again.</summary>
    internal JsonObject? ReadResult()
    {
        try
        {
            return System.IO.File.Exists(Result) && JsonNode.Parse(System.IO.File.ReadAllText(Result)) is JsonObject result && IsWhole(result) ? result : null;
        }
        catch (Exception e) when (e is System.Text.Json.JsonException or FileNotFoundException or DirectoryNotFoundException or ArgumentException)
        {
            return null; // an ArgumentException: a name that is there twice
        }
    }

    // Of each kind what tables are made of.
    private static bool IsWhole(JsonObject result) => result["outcome"] is JsonObject outcome && result["kind"]?.ToString() switch
    {
        "evaluate" => outcome["results"] is JsonObject metrics && metrics.Any(metric => metric.Key.Contains(',')),
        "select" => outcome["chosen"] is JsonValue && outcome["variants"] is JsonArray,
        _ => true,
    };

    /// <summary>Of a finished evaluation, the questions to its judge that nobody answered: its result stays until another try has a new one.</summary>
    internal int Unanswered => Finished?.Unanswered ?? 0;

    /// <summary>Where a training keeps the policy of a point that others need, "step:100": adapter/ or model/ in it.</summary>
    internal JobFolder Point(string point) => new(System.IO.Path.Combine(Path, "points", point.Replace(':', '-')));

    /// <summary>The folder of the job with that id in the same run.</summary>
    internal JobFolder Sibling(string id) => new(System.IO.Path.Combine(System.IO.Path.GetDirectoryName(Path)!, id));

    internal string File(string name) => System.IO.Path.Combine(Path, name);
}
