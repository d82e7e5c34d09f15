// timing.json: when and where a job ran, how long its last attempt took and how much memory. For a training that continued from a checkpoint the
// earlier steps count too; for an evaluation that was resumed, all attempts that gave a result. Kept apart from result.json, which is the same for the same work.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Host.Running;

namespace PeftAlign.Host.Jobs;

/// <param name="Started">UTC.</param>
/// <param name="Seconds">Of the try that finished the job and of the work that it went on from, or the sum of those.</param>
/// <param name="Processor">Seconds of processor time of the same, over all threads.</param>
/// <param name="PeakMemory">Bytes; the most that its process held, start-up and earlier jobs of the process included.</param>
internal sealed record Timing(DateTime Started, double Seconds, double Processor, long PeakMemory)
{
    /// <summary>Where the job computed; null = it needed no device.</summary>
    internal string? Device { get; init; }

    /// <param name="folder">The job.</param>
    /// <param name="former">Of the tries that gave the result which this one replaces; null = there is none.</param>
    /// <param name="now">This try's.</param>
    /// <param name="threads">Processor threads.</param>
    internal static void Write(JobFolder folder, Timing? former, Timing now, int threads) =>
        RunFolder.Write(folder.Timing, new JsonObject
        {
            ["started"] = (former ?? now).Started.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture),
            ["seconds"] = Math.Round((former?.Seconds ?? 0) + now.Seconds, 3),
            ["processor_seconds"] = Math.Round((former?.Processor ?? 0) + now.Processor, 3),
            ["peak_memory_bytes"] = Math.Max(former?.PeakMemory ?? 0, now.PeakMemory),
            ["threads"] = threads,
            ["machine"] = Environment.MachineName,
            ["processor"] = Doctor.Machine.Processor,
            ["device"] = now.Device ?? former?.Device, // only judges are asked again, which needs none
        }.ToJsonString() + "\n");

    /// <summary>Null where there is none, or none that can be read.</summary>
    internal static Timing? Read(JobFolder folder)
    {
        try
        {
            var json = JsonNode.Parse(File.ReadAllText(folder.Timing))!;
            var started = (string?)json["started"] is { } text ? DateTime.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal) : default;
            return new Timing(started, (double)json["seconds"]!, (double?)json["processor_seconds"] ?? 0, (long)json["peak_memory_bytes"]!) { Device = (string?)json["device"] };
        }
        catch (Exception e) when (e is IOException or System.Text.Json.JsonException or FormatException or InvalidOperationException or NullReferenceException or ArgumentNullException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
