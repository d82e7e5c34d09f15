// timing.json: when and where a job ran, how long its last try took and how much memory. Apart from result.json, which is equal for equal work.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Host.Running;
using PeftAlign.Torch;

namespace PeftAlign.Host.Jobs;

/// <param name="Started">UTC.</param>
/// <param name="Seconds">Of the try that finished the job.</param>
/// <param name="Processor">Seconds of processor time of that try, over all threads.</param>
/// <param name="PeakMemory">Bytes; the most that its process held, start-up and earlier jobs of the process included.</param>
internal sealed record Timing(DateTime Started, double Seconds, double Processor, long PeakMemory)
{
    internal static void Write(JobFolder folder, DateTime started, TimeSpan took, TimeSpan processor, int threads, torch.Device? device) =>
        RunFolder.Write(folder.Timing, new JsonObject
        {
            ["started"] = started.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture),
            ["seconds"] = Math.Round(took.TotalSeconds, 3),
            ["processor_seconds"] = Math.Round(processor.TotalSeconds, 3),
            ["peak_memory_bytes"] = (ProcessStatus.Bytes("self", "VmHWM") ?? 0),
            ["threads"] = threads,
            ["machine"] = Environment.MachineName,
            ["device"] = device?.ToString(), // null: this try needed none
        }.ToJsonString() + "\n");

    /// <summary>Null where there is none, or none that can be read.</summary>
    internal static Timing? Read(JobFolder folder)
    {
        try
        {
            var json = JsonNode.Parse(File.ReadAllText(folder.Timing))!;
            var started = (string?)json["started"] is { } text ? DateTime.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal) : default;
            return new Timing(started, (double)json["seconds"]!, (double?)json["processor_seconds"] ?? 0, (long)json["peak_memory_bytes"]!);
        }
        catch (Exception e) when (e is IOException or System.Text.Json.JsonException or FormatException or InvalidOperationException or NullReferenceException or ArgumentNullException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
