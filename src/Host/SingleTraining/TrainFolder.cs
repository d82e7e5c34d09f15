// The folder of one training: made for one request and no other. The same request continues from the last checkpoint, or finds
// that everything is done; another one is refused, and the differences are named.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;
using PeftAlign.Host.Store;

namespace PeftAlign.Host.SingleTraining;

internal sealed class TrainFolder(string path) : IDisposable
{
    /// <summary>The file that says of what request the work in such a folder is.</summary>
    internal const string RequestName = "request.json";

    private const string OwnLock = "command.lock";
    private const int Shown = 8;
    private static readonly string[] BeforeTheFirstStep = [RequestName, "hashes.json", "job.json", "log.txt", "lock", "ledger.json", "metrics.jsonl", OwnLock];
    private readonly bool isNew = !Directory.Exists(Path.GetFullPath(path));
    private FileStream? held;

    internal JobFolder Job { get; } = new(Path.GetFullPath(path));

    /// <summary>Where hashes of files are remembered.</summary>
    internal string Hashes => Job.File("hashes.json");

    private string Request => Job.File(RequestName);

    /// <summary>Whether a training was begun here.</summary>
    internal bool IsBegun => File.Exists(Request);

    // A run that ended before its first step, such as on faulty rows, has nothing that another request could spoil.
    private bool HoldsWork => Job.IsFinished || (Directory.Exists(Job.File("checkpoints")) && Directory.EnumerateFileSystemEntries(Job.File("checkpoints")).Any())
        || new FileInfo(Job.File("metrics.jsonl")) is { Exists: true, Length: > 0 }
        || (held is null && RunView.IsHeld(Job.File(OwnLock))) || RunView.IsHeld(Job.Lock) || RunView.IsHeld(Reference.Lock);

    /// <summary>Makes the folder and holds it from before anything is written to the end of all its jobs: between two jobs, none of them does.</summary>
    /// <exception cref="UserError">The folder cannot be made, or another command works in it.</exception>
    internal void Hold()
    {
        try
        {
            held = LockFile.Hold(Job.File(OwnLock));
        }
        catch (IOException e) when (e.HResult == JobProcess.WouldBlock)
        {
            throw new UserError($"--out {path}", "another training works in this folder", "wait for it, or give another folder", e);
        }
        catch (Exception e) when (NewFolder.IsRefused(e))
        {
            throw NewFolder.Refused(path, e);
        }
    }

    /// <summary>Lets other commands have the folder.</summary>
    public void Dispose() => held?.Dispose();

    /// <summary>Refuses a folder of other things and one that holds the work of another request.</summary>
    /// <exception cref="UserError">What is there, or what differs.</exception>
    internal void ThrowIfOthers(PlanJob job)
    {
        if (File.Exists(Job.Path)) throw new UserError($"--out {path}", "is a file", "give a folder");
        if (!IsBegun)
        {
            if (Directory.Exists(Job.Path) && Directory.EnumerateFileSystemEntries(Job.Path).Any(e => Path.GetFileName(e) is not ("hashes.json" or OwnLock) && !IsPart(e)))
                throw new UserError($"--out {path}", "holds other things than a training", "give a new or empty folder");
            return;
        }
        var before = Before();
        if (IsOf(before, job) || !HoldsWork) return;
        if (before is null) throw new UserError(Request, "is damaged; it says of what request the work in this folder is", "give another folder, or delete this one to train from the start");
        var differences = Differences("", before["identity"], JsonNode.Parse(job.Identity)).ToList();
        var named = string.Join("; ", differences.Take(Shown)) + (differences.Count > Shown ? $" and {differences.Count - Shown} more" : "");
        throw new UserError($"--out {path}", $"holds a training with other options ({named})", "repeat those to go on with it, or give another folder");
    }

    /// <summary>Refuses to go on with other threads or on another device than it was begun with: sums would round otherwise.</summary>
    /// <param name="job">The training.</param>
    /// <param name="threads">--threads, or null.</param>
    /// <param name="device">--device, or null.</param>
    /// <exception cref="UserError">They differ.</exception>
    internal void ThrowIfElsewhere(PlanJob job, int? threads, string? device)
    {
        if (!GoesOn(job) || JobSpec.Begun(Job) is not { Threads: > 0 } begun) return;
        if (threads is { } count && count != begun.Threads)
            throw new UserError($"--threads {count}", $"the training in {path} was begun with {begun.Threads} thread(s), and other numbers of threads round differently", "leave --threads out to go on with it, or give another folder");
        if (device is not null && begun.Device is { } place && RunSettings.Whole(device) != RunSettings.Whole(place))
            throw new UserError($"--device {device}", $"the training in {path} was begun on {place}, and another device may round differently", "leave --device out to go on with it, or give another folder");
    }

    private bool GoesOn(PlanJob job) => IsOf(Before(), job);

    /// <summary>Begins the training, or takes it up again. Threads and device stay those of the beginning: only so do resumed numbers equal unbroken ones.</summary>
    /// <param name="plan">What is trained.</param>
    /// <param name="seen">What planning saw of the inputs.</param>
    /// <param name="threads">Processor threads.</param>
    /// <param name="device">--device, or null.</param>
    internal void Begin(TrainPlan plan, ContentHashes seen, int threads, string? device)
    {
        Directory.CreateDirectory(Job.Path);
        RunFolder.DeleteParts(Job.Path);
        var goesOn = GoesOn(plan.Job);
        if (!goesOn)
            RunFolder.Write(Request, new JsonObject { ["id"] = plan.Job.Id, ["identity"] = JsonNode.Parse(plan.Job.Identity) }.ToJsonString(new() { WriteIndented = true }) + "\n");
        var begun = goesOn ? JobSpec.Begun(Job) : null;
        var own = begun is { Threads: > 0 } ? begun.Threads : threads;
        device ??= begun is null ? RunSettings.Found() : begun.Device;
        Spec(plan.Job, plan, seen, own, device).Write(Job);
        if (plan.Reference is not { } reference) return;
        if (Directory.Exists(Reference.Path) && JobSpec.Begun(Reference)?.Id != reference.Id) Directory.Delete(Reference.Path, recursive: true); // another request's
        Directory.CreateDirectory(Reference.Path);
        Spec(reference, plan, seen, own, device).Write(Reference);
    }

    /// <summary>Takes back what was written for a training that a user's mistake ended before it had done anything.</summary>
    internal void Withdraw()
    {
        if (HoldsWork || Reference.IsFinished) return;
        if (isNew)
        {
            DeleteAll();
            return;
        }
        foreach (var name in BeforeTheFirstStep) File.Delete(Job.File(name));
        if (Directory.Exists(Reference.Path)) Directory.Delete(Reference.Path, recursive: true);
    }

    // The lock's file last: once it is gone, another command may begin here, and the folder is its.
    private void DeleteAll()
    {
        foreach (var path in Directory.GetDirectories(Job.Path)) Directory.Delete(path, recursive: true);
        foreach (var path in Directory.GetFiles(Job.Path))
            if (Path.GetFileName(path) != OwnLock) File.Delete(path);
        File.Delete(Job.File(OwnLock));
        try
        {
            Directory.Delete(Job.Path);
        }
        catch (IOException)
        {
            // it has begun
        }
    }

    /// <summary>Where reference log-probs are computed before.</summary>
    internal JobFolder Reference => ReferenceJob.OfSingle(Job);

    private JobSpec Spec(PlanJob job, TrainPlan plan, ContentHashes seen, int threads, string? device) =>
        new(job.Id, job.Kind, job.Label, JsonNode.Parse(job.Options)!.AsObject(), Directory.GetCurrentDirectory(), threads, plan.PluginFolders)
        {
            Device = device,
            Inputs = [.. job.Inputs.Select(input => JobInput.Of(input, seen))],
            Hashes = Hashes,
        };

    // The request of this folder's training; null where there is none, or it cannot be read.
    private JsonObject? Before()
    {
        try
        {
            return IsBegun && JsonNode.Parse(File.ReadAllText(Request)) is JsonObject { Count: > 0 } before && before["id"] is JsonValue id && id.TryGetValue<string>(out _) ? before : null;
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            return null; // an ArgumentException: a name that is there twice
        }
    }

    private static bool IsOf(JsonObject? before, PlanJob job) => (string?)before?["id"] == job.Id;

    // What a killed command left of a file that it was writing.
    private static bool IsPart(string path) => Path.GetFileName(path) is var name && name.EndsWith(".part", StringComparison.Ordinal)
        && (name.StartsWith("request.json.", StringComparison.Ordinal) || name.StartsWith("hashes.json.", StringComparison.Ordinal));

    private static IEnumerable<string> Differences(string place, JsonNode? before, JsonNode? now)
    {
        if (before is JsonObject a && now is JsonObject b)
            return a.Select(e => e.Key).Union(b.Select(e => e.Key)).SelectMany(key => Differences(place.Length == 0 ? key : $"{place}.{key}", a[key], b[key]));
        if (JsonNode.DeepEquals(before, now)) return [];
        if (IsContent(before) && IsContent(now)) return [$"{place}: other content"];
        return [$"{place}: {Text(before)} before, {Text(now)} now"];
    }

    private static bool IsContent(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) && text.StartsWith("content:", StringComparison.Ordinal);

    private static string Text(JsonNode? node) => node?.ToJsonString(new JsonSerializerOptions()) ?? "not given";
}
