// run.json: what is fixed when a run is created. The number of threads and the device decide how sums round, so a run keeps them.

using System.Text.Json.Nodes;
using PeftAlign.Host.Doctor;
using PeftAlign.Host.Inference;

namespace PeftAlign.Host.Running;

/// <param name="Threads">Processor threads of each job.</param>
/// <param name="Device">cpu, cuda or cuda:N: what was asked for, or what was there.</param>
internal sealed record RunSettings(int Threads, string Device)
{
    private const string Processor = "cpu";

    /// <summary>The run's settings, made at its first start.</summary>
    /// <param name="run">The run's folder, held.</param>
    /// <param name="asked">--threads, or null.</param>
    /// <param name="device">--device, or null.</param>
    /// <param name="atOnce">--jobs.</param>
    /// <param name="inexact">Whether another number of threads or device may be taken from now on.</param>
    /// <exception cref="UserError">The run was created with another number of threads, or on another device; or several jobs would share a GPU. Nothing is written then.</exception>
    internal static RunSettings Of(RunFolder run, int? asked, string? device, int atOnce, bool inexact)
    {
        var wanted = Math.Max(1, (asked ?? Environment.ProcessorCount) / atOnce);
        var kept = File.Exists(run.Settings) ? Read(run.Settings) : null;
        var place = kept is null || inexact ? device ?? kept?.Device ?? Found() : Kept(kept, device);
        if (atOnce > 1 && ComputeDevice.IsGpu(place)) throw new UserError($"--jobs {atOnce}", "a GPU serves one job at a time", kept is null ? "leave --jobs out, or give --device cpu" : "leave --jobs out");
        if (kept is { Threads: var threads } && place == kept.Device && (threads == wanted || (asked is null && !inexact))) return kept;
        if (kept is { Threads: var other } && !inexact)
            throw new UserError($"--threads {asked}", $"this run was created with {other} thread(s) per job, and other numbers of threads round differently", $"leave --threads out, or give --inexact to go on with {wanted} per job");
        RunFolder.Write(run.Settings, new JsonObject { ["threads"] = wanted, ["device"] = place }.ToJsonString() + "\n");
        return new RunSettings(wanted, place);
    }

    /// <summary>Whether a run's jobs would compute on a GPU. Nothing is written, and a libtorch without CUDA is not opened.</summary>
    /// <param name="run">The run's folder, which need not be there.</param>
    /// <param name="device">--device, or null.</param>
    internal static bool WouldBeOnGpu(RunFolder run, string? device) =>
        ComputeDevice.IsGpu(device ?? (File.Exists(run.Settings) ? Read(run.Settings).Device : Found()));

    /// <summary>The device of work for which none is asked. A libtorch with CUDA may see a GPU today and none tomorrow, and another libtorch may be there tomorrow; one without CUDA is not opened.</summary>
    internal static string Found() => Engine.HasCuda ? ComputeDevice.Of((string?)null).ToString() : Processor;

    /// <summary>A device's whole name: "cuda" and "cuda:0" are one.</summary>
    internal static string Whole(string device) => device == "cuda" ? "cuda:0" : device;

    private static string Kept(RunSettings kept, string? device) => device is null || Whole(device) == Whole(kept.Device)
        ? kept.Device
        : throw new UserError($"--device {device}", $"this run was created on {kept.Device}, and another device may round differently", $"leave --device out, or give --inexact to go on on {device}");

    private static RunSettings Read(string path)
    {
        try
        {
            var json = JsonNode.Parse(File.ReadAllText(path))!;
            return new RunSettings((int)json["threads"]!, (string?)json["device"] ?? Processor); // it was left out where libtorch had no CUDA
        }
        catch (Exception e) when (e is System.Text.Json.JsonException or InvalidOperationException or FormatException or NullReferenceException)
        {
            throw new UserError(path, "is damaged; it says with how many threads each job of this run works", "delete it, and give --threads as when the run was created", e);
        }
    }
}
