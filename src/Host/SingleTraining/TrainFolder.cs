// The folder of one training: made for one request and no other. The same request goes on from the last checkpoint, or finds
// that all is done; another one is refused, and what differs is named.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Core;
using PeftAlign.Host.Jobs;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.SingleTraining;

internal sealed class TrainFolder(string path)
{
    private const int Shown = 8;

    internal JobFolder Job { get; } = new(Path.GetFullPath(path));

    private string Request => Job.File("request.json");

    /// <summary>Whether a training was begun here.</summary>
    internal bool IsBegun => File.Exists(Request);

    /// <summary>Refuses a folder of other things and one that was begun with another request.</summary>
    /// <exception cref="UserError">What is there, or what differs.</exception>
    internal void ThrowIfOthers(PlanJob job)
    {
        if (File.Exists(Job.Path)) throw new UserError($"--out {path}", "is a file", "give a folder");
        if (!IsBegun)
        {
            if (Directory.Exists(Job.Path) && Directory.EnumerateFileSystemEntries(Job.Path).Any(e => Path.GetFileName(e) is not ("hashes.json" or "request.json.partial" or "hashes.json.partial")))
                throw new UserError($"--out {path}", "holds other things than a training", "give a new or empty folder");
            return;
        }
        var before = JsonNode.Parse(File.ReadAllText(Request))!.AsObject();
        if ((string?)before["id"] == job.Id) return;
        var differences = Differences("", before["identity"], JsonNode.Parse(job.Identity)).ToList();
        var named = string.Join("; ", differences.Take(Shown)) + (differences.Count > Shown ? $" and {differences.Count - Shown} more" : "");
        throw new UserError($"--out {path}", $"holds a training with other options ({named})", "repeat those to go on with it, or give another folder");
    }

    /// <summary>Begins the training, or takes it up again. Threads stay those of the beginning: only so do resumed numbers equal unbroken ones.</summary>
    internal void Begin(TrainPlan plan, int threads)
    {
        Directory.CreateDirectory(Job.Path);
        if (!IsBegun)
            RunFolder.Write(Request, new JsonObject { ["id"] = plan.Job.Id, ["identity"] = JsonNode.Parse(plan.Job.Identity) }.ToJsonString(new() { WriteIndented = true }) + "\n");
        var own = File.Exists(Job.Spec) ? JobSpec.Read(Job).Threads : threads;
        var inputs = plan.Job.Inputs.Select(i => new JobInput(i.Place, i.Path, i.Hash)).ToList();
        new JobSpec(plan.Job.Id, plan.Job.Kind, plan.Job.Label, JsonNode.Parse(plan.Job.Options)!.AsObject(), Directory.GetCurrentDirectory(), own, plan.PluginFolders) { Inputs = inputs }.Write(Job);
    }

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
