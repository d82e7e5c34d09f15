// From a manifest's file to a plan, with every fault reported at once and before any device is touched.

using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Reports;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Running;

/// <param name="Plan">What to do.</param>
/// <param name="Whole">The plan of which Plan may be a part (--only).</param>
/// <param name="Run">Where.</param>
/// <param name="Root">The manifest's folder.</param>
/// <param name="Plugins">The plugins by id.</param>
/// <param name="Claims">What the report tests.</param>
/// <param name="Missing">Paths whose names stand for their contents: in a dry run, and of jobs that --only leaves out.</param>
/// <param name="Keep">Writes what planning learned; called when the run's folder is held.</param>
internal sealed record Planned(Plan Plan, Plan Whole, RunFolder Run, string Root, IReadOnlyDictionary<string, PluginFolder> Plugins, RunClaims Claims, IReadOnlyList<MissingPath> Missing, Action Keep)
{
    /// <summary>What planning saw where the plan's inputs lie.</summary>
    internal required ContentHashes Seen { get; init; }
}

internal static class Planning
{
    internal static Planned Read(Asked asked, CancellationToken cancel)
    {
        var (manifest, overrides) = (asked.Manifest, asked.Overrides);
        var (text, root) = (YamlFile.Read(manifest, "name a manifest, for instance experiments/quickstart.yaml"), Path.GetDirectoryName(Path.GetFullPath(manifest))!);
        var requests = Manifests.Plugins(text, overrides);
        ThrowIfAny(manifest, requests.Faults);
        var plugins = ManifestPlugins.Find(requests, root, asked.PluginFolders, manifest);
        var read = Manifests.Read(text, manifest, SchemaCatalogue.Of(plugins.Known), overrides);
        ThrowIfAny(manifest, read.Faults, plugins.Failures);
        var run = new RunFolder(Path.GetFullPath(asked.Out ?? Path.Combine("out", FolderName(read.Experiment!.Name))));
        var hashes = new ContentHashes(run.Hashes, root) { Cancellation = cancel };
        var planned = Plans.Create(read.Experiment!, path => Content(hashes, run, Path.GetFullPath(path, root), path), asked.DryRun || asked.Only is not null, new FolderParts(root, plugins.ById.Values).Of);
        ThrowIfAny(manifest, planned.Faults);
        var chosen = Chosen(planned.Plan!, asked.Only);
        if (!asked.DryRun) ThrowIfAny(manifest, [.. planned.MissingOf(chosen).Select(gone => gone.Fault)]);
        NotBuilt.ThrowIfAny(chosen);
        ThrowIfAny(manifest, [.. new PlannedModels(root, asked.DryRun).Faults(chosen.Jobs.Where(job => !run.IsSettled(job))).Select(fault => read.Experiment!.FaultOfModel(fault.Folder, fault.Message)).OfType<Fault>()]);
        var catalogue = new PluginCatalogue(plugins.ById.Values, []);
        PlannedJudges.ThrowIfUnfit(chosen, catalogue);
        PlannedTemplates.ThrowIfUnknown(chosen, root);
        new PlannedControls(planned.Plan!, run, root, catalogue).ThrowIfLacking(chosen);
        ScoreHead.ThrowIfTarget(chosen, catalogue);
        ThrowIfAny(manifest, [.. new PlannedMerges(planned.Plan!, run, root, catalogue).Faults(chosen).Select(fault => read.Experiment!.FaultOfMerge(fault.Merge, fault.Message))]);
        return new Planned(chosen, planned.Plan!, run, root, plugins.ById, Claims(planned, root, manifest), planned.Missing, () =>
        {
            hashes.Save();
            plugins.Lock(manifest, run.Path, planned.Plan!, asked.UpdateLock, isWhole: planned.Missing.Count == 0);
        })
        { Seen = hashes };
    }

    // The run's own files would become part of what its jobs read.
    private static string Content(ContentHashes hashes, RunFolder run, string full, string path) =>
        FileStamp.Of(run.Path) is { } own && FileStamp.Of(full) is { } read && (own.Device, own.Inode) == (read.Device, read.Inode)
            ? throw new UserError($"--out {run.Path}", $"is the folder that the manifest reads as '{path}'", "give --out a folder of its own, such as out/NAME")
            : hashes.Of(path) ?? "";

    // A dry run takes a missing path's name for its content, but nothing can be said of claims that cannot be read.
    private static RunClaims Claims(PlanResult planned, string root, string manifest)
    {
        if (planned.Missing.FirstOrDefault(missing => missing.Path == RunClaims.NameIn(planned.Plan!)) is { Line: > 0 } gone)
            throw new UserErrorException($"{manifest}:{gone.Line}:{gone.Column}: {ClaimFile.NotThere(gone.Path)}");
        return RunClaims.Of(planned.Plan!, root);
    }

    private static string FolderName(string name) => name is not ("" or "." or "..") && !name.Contains('/') ? name
        : throw new UserError($"name: {name}", "cannot be the name of the run's folder, out/NAME", "give --out, or another name");

    /// <summary>Takes the run's lock; a second run on one folder is told so, and so is a folder that cannot be written.</summary>
    internal static FileStream Hold(RunFolder run)
    {
        try
        {
            Directory.CreateDirectory(run.Path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserError(run.Path, $"cannot be the run's folder ({e.Message})", "give --out a folder that can be made and written");
        }
        var held = Lock(run);
        try
        {
            // The lock of an earlier run may be ours to open where nothing new can be written.
            RunFolder.Write(run.Probe, "");
            File.Delete(run.Probe);
            return held;
        }
        catch (Exception e) when (IsReadOnly(e))
        {
            held.Dispose();
            throw Unwritable(run, e);
        }
    }

    private static FileStream Lock(RunFolder run)
    {
        try
        {
            return new FileStream(Path.Combine(run.Path, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e.HResult == Jobs.JobProcess.WouldBlock)
        {
            throw new UserError(run.Path, "another run works in this folder", "wait for it, or give --out another folder");
        }
        catch (Exception e) when (IsReadOnly(e))
        {
            throw Unwritable(run, e);
        }
    }

    // EROFS has no exception of its own. A full disk is another matter: nothing that the user named is wrong.
    private static bool IsReadOnly(Exception e) => e is UnauthorizedAccessException or IOException { HResult: 30 };

    private static UserError Unwritable(RunFolder run, Exception e) =>
        new(run.Path, $"cannot be written ({e.Message})", "make it writable for you, or give --out another folder");

    private static Plan Chosen(Plan plan, string? only)
    {
        if (only is null) return plan;
        try
        {
            return Plans.Only(plan, only);
        }
        catch (ArgumentException e)
        {
            throw new UserErrorException(e.Message);
        }
    }

    // A plugin that cannot be used matters only where something is missing; then its reason is said as well.
    private static void ThrowIfAny(string manifest, IReadOnlyList<Fault> faults, IReadOnlyList<PluginFailure>? failures = null)
    {
        if (faults.Count == 0) return;
        var lines = faults.Select(f => $"{manifest}:{f}").Concat((failures ?? []).Select(f => $"not used: {f.Message}"));
        throw new UserErrorException(string.Join(Environment.NewLine, [.. lines, $"{faults.Count} fault(s); nothing was started."]));
    }
}
