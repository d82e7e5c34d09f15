// run.json: what is fixed when a run is created. The number of threads decides how sums round, so a run keeps it.

using System.Text.Json.Nodes;

namespace PeftAlign.Host.Running;

/// <param name="Threads">Processor threads of each job.</param>
internal sealed record RunSettings(int Threads)
{
    /// <summary>The run's settings, made at its first start.</summary>
    /// <param name="run">The run's folder, held.</param>
    /// <param name="asked">--threads, or null.</param>
    /// <param name="atOnce">--jobs.</param>
    /// <param name="inexact">Whether another number of threads may be taken from now on.</param>
    /// <exception cref="UserError">The run was created with another number of threads.</exception>
    internal static RunSettings Of(RunFolder run, int? asked, int atOnce, bool inexact)
    {
        var wanted = Math.Max(1, (asked ?? Environment.ProcessorCount) / atOnce);
        var kept = File.Exists(run.Settings) ? Read(run.Settings) : null;
        if (kept is { } threads && (threads == wanted || (asked is null && !inexact))) return new RunSettings(threads);
        if (kept is { } other && !inexact)
            throw new UserError($"--threads {asked}", $"this run was created with {other} thread(s) per job, and other numbers of threads round differently", $"leave --threads out, or give --inexact to go on with {wanted} per job");
        RunFolder.Write(run.Settings, new JsonObject { ["threads"] = wanted }.ToJsonString() + "\n");
        return new RunSettings(wanted);
    }

    private static int? Read(string path)
    {
        try
        {
            return (int?)JsonNode.Parse(File.ReadAllText(path))!["threads"];
        }
        catch (Exception e) when (e is System.Text.Json.JsonException or InvalidOperationException or FormatException or NullReferenceException)
        {
            throw new UserError(path, "is damaged; it says with how many threads each job of this run works", "delete it, and give --threads as when the run was created", e);
        }
    }
}
