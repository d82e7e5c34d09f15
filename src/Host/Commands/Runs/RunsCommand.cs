// peftalign runs: what was done, where it stands, how runs compare, and what can be deleted. No libtorch is opened.

using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Running;
using PeftAlign.Host.Store;

namespace PeftAlign.Host.Commands.Runs;

internal static class RunsCommand
{
    private const string Summary = "list runs, look into one, compare several, delete what no plan refers to";

    public static CommandEntry Entry { get; } = new("runs", Summary, frame => new Command("runs", Summary) { ListOf(frame), Show(frame), CompareCommand.Build(frame), GcCommand.Build(frame) });

    private static Command ListOf(CommandFrame frame)
    {
        var root = new Option<string>("--root") { HelpName = "DIR", Description = "Runs in this folder and in those below it.", DefaultValueFactory = _ => "out" };
        var command = new Command("list", "the runs of a folder, with how far each is") { root };
        frame.OnRun(command, Uses.Nothing, (parsed, session, cancel) =>
        {
            var folder = parsed.GetValue(root)!;
            PlannedParts.ThrowIfDatabase("--root", folder);
            if (!Directory.Exists(folder)) throw new UserError($"--root {folder}", "is no folder", "name the folder in which your runs lie");
            var found = Below(Path.GetFullPath(folder), cancel).Select(path => Listed(path, Path.GetRelativePath(Path.GetFullPath(folder), path) is "." ? folder : Path.Combine(folder, Path.GetRelativePath(Path.GetFullPath(folder), path)))).ToList();
            var runs = found.Where(run => run.View is not null).Select(run => (run.Path, View: run.View!)).ToList();
            session.Output.Result(
                () => new JsonObject { ["runs"] = new JsonArray([.. found.Select(run => (JsonNode)(run.View is { } view ? Line(run.Path, view) : new JsonObject { ["path"] = run.Path, ["error"] = run.Error }))]) },
                () => runs.Count > 0 || found.Count == 0 ? ListLines(runs, folder) : []);
            foreach (var run in found.Where(run => run.View is null)) session.Output.Remark(run.Error);
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    // One damaged run does not hide the others.
    private static (string Path, RunView? View, string Error) Listed(string full, string shown)
    {
        try
        {
            return (shown, RunView.Of(full), "");
        }
        catch (UserErrorException e)
        {
            return (shown, null, e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return (shown, null, $"{shown}: cannot be read ({e.Message.TrimEnd('.')}); make it readable for you, or name another folder with --root");
        }
    }

    // A run's own folders hold no runs.
    private static IEnumerable<string> Below(string folder, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        if (RunView.Is(folder)) return [folder];
        try
        {
            return [.. Directory.GetDirectories(folder).Where(path => new DirectoryInfo(path).LinkTarget is null && !Path.GetFileName(path).StartsWith('.')).Order(StringComparer.Ordinal).SelectMany(path => Below(path, cancel))];
        }
        catch (UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static JsonObject Line(string path, RunView view)
    {
        var planned = view.Jobs.Where(job => job.IsPlanned).ToList();
        int Count(string state) => planned.Count(job => job.State == state);
        return new JsonObject
        {
            ["name"] = view.Name,
            ["path"] = path,
            ["jobs"] = planned.Count,
            ["finished"] = Count("finished"),
            ["running"] = Count("running"),
            ["failed"] = Count("failed"),
            ["seconds"] = Math.Round(planned.Sum(job => job.Job.Seconds ?? 0), 3),
            ["started"] = view.Jobs.Select(job => job.Job.Started).Where(text => text.Length > 0).DefaultIfEmpty("").Min(StringComparer.Ordinal),
        };
    }

    private static IEnumerable<string> ListLines(List<(string Path, RunView View)> runs, string folder)
    {
        if (runs.Count == 0) return [$"no runs in {folder}"];
        var table = new TextTable("run", ">done", ">running", ">failed", ">work", "first job (UTC)", "folder");
        foreach (var line in runs.Select(run => Line(run.Path, run.View)))
            table.Add((string)line["name"]!, $"{line["finished"]}/{line["jobs"]}", $"{line["running"]}", $"{line["failed"]}", RunDisplay.Duration((double)line["seconds"]!), Day((string)line["started"]!), (string)line["path"]!);
        return table.Lines();
    }

    private static string Day(string started) => started.Length >= 16 ? started[..16].Replace('T', ' ') : "";

    private static Command Show(CommandFrame frame)
    {
        var path = new Argument<string>("DIR") { Description = "A run's folder." };
        var only = new Option<string?>("--only") { HelpName = "GLOB", Description = "Only jobs with a matching label." };
        var command = new Command("show", "every job of a run: how far it is, time, memory, numbers") { path, only };
        frame.OnRun(command, Uses.Nothing, (parsed, session, _) =>
        {
            var view = RunView.Of(parsed.GetValue(path)!);
            var jobs = view.Jobs.Where(job => parsed.GetValue(only) is not { } glob || Core.Plans.Matches(glob, job.Job.Label)).ToList();
            if (jobs.Count == 0 && parsed.GetValue(only) is { } given) throw new UserError($"--only {given}", $"matches none of {view.Jobs.Count} jobs", "leave it out to see their labels");
            session.Output.Result(() => new JsonObject { ["name"] = view.Name, ["path"] = view.Run.Path, ["jobs"] = new JsonArray([.. jobs.Select(job => (JsonNode)Document(job))]) }, () => Lines(view, jobs));
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static JsonObject Document(ViewedJob job) => new()
    {
        ["id"] = job.Job.Id,
        ["kind"] = job.Job.Kind,
        ["label"] = job.Job.Label,
        ["state"] = job.State,
        ["in_plan"] = job.IsPlanned,
        ["started"] = job.Job.Started.Length > 0 ? job.Job.Started : null,
        ["seconds"] = job.Job.Seconds,
        ["peak_memory_bytes"] = job.Job.PeakMemory,
        ["error"] = job.Job.Error.Length > 0 ? job.Job.Error : null,
        ["axes"] = new JsonObject(job.Job.Axes.Select(axis => KeyValuePair.Create(axis.Key, (JsonNode?)axis.Value))),
        ["metrics"] = new JsonObject(job.Job.Metrics.OrderBy(metric => metric.Key, StringComparer.Ordinal).Select(metric => KeyValuePair.Create(metric.Key, double.IsFinite(metric.Value) ? (JsonNode?)metric.Value : null))),
    };

    private static IEnumerable<string> Lines(RunView view, List<ViewedJob> jobs)
    {
        yield return $"{view.Name} in {view.Run.Path}: {string.Join(", ", jobs.GroupBy(job => job.State).Select(state => $"{state.Count()} {state.Key}"))}";
        var table = new TextTable("state", ">time", ">memory", "job", "numbers");
        foreach (var job in jobs)
            table.Add(job.State + (job.IsPlanned ? "" : " (not in the plan)"), job.Job.Seconds is { } seconds ? RunDisplay.Duration(seconds) : "", job.Job.PeakMemory is { } bytes ? Inspection.Sizes.Bytes(bytes) : "", job.Job.Label,
                job.Job.Error.Length > 0 ? job.Job.Error.Split('\n')[0] : Chosen(view, job) + Numbers(job.Job));
        foreach (var line in table.Lines()) yield return line;
    }

    // Of a choice among variants which one; the index holds numbers only.
    private static string Chosen(RunView view, ViewedJob job) => job.Job.Kind == "select" && job.State == "finished"
        ? $"{(string?)view.Run.Job(job.Job.Id).ReadResult()?["outcome"]?["variant"]}: " : "";

    private static string Numbers(IndexedJob job) => string.Join(", ", Shown(job).Select(name => $"{name} {Number(job.Metrics[name])}"));

    // Of a training the loss; of an evaluation every metric without its error. The rest is there under --json.
    private static IEnumerable<string> Shown(IndexedJob job) => job.Kind == "evaluate"
        ? job.Metrics.Keys.Where(name => !name.EndsWith("_stderr", StringComparison.Ordinal)).Order(StringComparer.Ordinal)
        : job.Kind == "select" ? job.Metrics.Keys.Where(name => name != "tied")
        : ((string[])["final_loss", "eval_loss"]).Where(job.Metrics.ContainsKey);

    /// <summary>A number for people.</summary>
    internal static string Number(double value) => !double.IsFinite(value) ? value.ToString(CultureInfo.InvariantCulture)
        : value == Math.Truncate(value) && Math.Abs(value) < 1e9 ? value.ToString("0", CultureInfo.InvariantCulture) : value.ToString(Math.Abs(value) is >= 1e-3 and < 1e5 ? "0.0000" : "0.00e0", CultureInfo.InvariantCulture);
}
