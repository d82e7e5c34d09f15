// peftalign runs gc: deletes the folders of jobs that no plan refers to. A running job is never touched, nor is anything that this
// program did not make.

using System.CommandLine;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Inspection;
using PeftAlign.Host.Running;
using PeftAlign.Host.Store;

namespace PeftAlign.Host.Commands.Runs;

internal static class GcCommand
{
    internal static Command Build(CommandFrame frame)
    {
        var path = new Argument<string>("DIR") { Description = "A run's folder." };
        var manifests = new Option<string[]>("--manifest") { HelpName = "FILE", Description = "A manifest whose jobs are kept, besides those of the run's last plan; repeatable.", DefaultValueFactory = _ => [] };
        var dry = new Option<bool>("--dry-run") { Description = "Say what would be deleted." };
        var plugins = PluginFolders.Option();
        const string about = """
            delete the jobs of a run that no plan refers to

            Stays: what plan.json of the run's last `run` names, what each --manifest plans, and every job at work. Where several
            manifests share one folder, or --set was used, name the others with --manifest: otherwise their jobs are made again.
            """;
        var command = new Command("gc", about) { path, manifests, dry, plugins };
        frame.OnRun(command, Uses.Nothing, (parsed, session, cancel) =>
        {
            var (given, isDry) = (parsed.GetValue(path)!, parsed.GetValue(dry));
            var run = new RunFolder(Path.GetFullPath(given));
            _ = RunView.Plan(run, given); // what is no run is left alone, by the lock too
            var wanted = parsed.GetValue(manifests)!.SelectMany(manifest => Planning.Read(new Asked(manifest, run.Path, [], null, parsed.GetValue(plugins)!, DryRun: false, UpdateLock: false), cancel).Whole.Jobs).Select(job => job.Id).ToHashSet();
            using var held = isDry ? null : Planning.Hold(run); // a run that goes on may need what looks superfluous
            if (wanted.Count == 0 && RunView.MissingIn(run) is [var away, ..])
                throw new UserError(run.Plan, $"was made while '{away}' was away, so it does not name the finished jobs that read it", "put the file back and name the manifest with --manifest; nothing was deleted");
            // Only now: a run that ended while manifests were planned may have written another plan, and finished its jobs.
            wanted.UnionWith(RunView.Plan(run, given).Jobs.Select(job => job.Id));
            var found = Garbage.Of(run, wanted);
            var deleted = new List<Garbage>();
            foreach (var job in found)
            {
                cancel.ThrowIfCancellationRequested();
                if (job.IsRunning) session.Output.Remark($"{job.Label}: is running, stays");
                else if (isDry || job.Delete()) deleted.Add(job);
                else session.Output.Remark($"{job.Label}: was started meanwhile, stays");
            }
            if (!isDry) SqliteIndex.Open(run).Dispose();
            session.Output.Result(() => Document(run, deleted, isDry), () => Lines(deleted, isDry));
            return Task.FromResult(ExitCode.Done);
        });
        return command;
    }

    private static JsonObject Document(RunFolder run, List<Garbage> deleted, bool isDry) => new()
    {
        ["path"] = run.Path,
        ["dry_run"] = isDry,
        ["bytes"] = deleted.Sum(job => job.Bytes),
        ["jobs"] = new JsonArray([.. deleted.Select(job => (JsonNode)new JsonObject { ["id"] = job.Id, ["label"] = job.Label, ["bytes"] = job.Bytes })]),
    };

    private static IEnumerable<string> Lines(List<Garbage> deleted, bool isDry) =>
    [
        .. deleted.Select(job => $"{(isDry ? "would delete" : "deleted")} {job.Label} ({Sizes.Bytes(job.Bytes)})"),
        deleted.Count == 0 ? "nothing to delete" : $"{deleted.Count} job(s), {Sizes.Bytes(deleted.Sum(job => job.Bytes))}{(isDry ? "; nothing was deleted" : "")}",
    ];
}
