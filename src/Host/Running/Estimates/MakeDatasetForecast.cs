// What it will take to make a data set: the models that write it and the judges that rate what they wrote, one after the other; all of
// them stay loaded. Judges that are services take time and no memory.

using System.Text.Json.Nodes;

namespace PeftAlign.Host.Running.Estimates;

internal static class MakeDatasetForecast
{
    private const int FolderBytes = 4_000; // what it was told, log, result
    private const int RowBytes = 100; // of a row and of an answer that is kept, without their texts

    /// <summary>Null where a model is not known, or what the data set starts from is not there yet.</summary>
    internal static JobForecast? Of(JsonObject spec, Shapes shapes, int threads)
    {
        if (shapes.Made(spec["dataset"]!.AsObject()) is not { } made) return null;
        List<JobForecast?> parts = [.. made.Models.Select(m => EvaluateForecast.Another(m.Definition, m.Asked, shapes, threads)), .. made.Judges.Select(j => EvaluateForecast.Judging(j, shapes, threads))];
        if (parts.Contains(null)) return null;
        return new JobForecast(
            Costs.Start + parts.Sum(part => part!.Seconds),
            Costs.Process + parts.Sum(part => part!.Memory),
            FolderBytes + (made.Rows * RowBytes) + parts.Sum(part => part!.Disk),
            parts.Sum(part => part!.Flops))
        { ToServices = parts.Sum(part => part!.ToServices), AssumesLongest = made.Models.Any(m => m.Asked.Writes is not null) };
    }
}
