// Makes a data set in the run: the rows that a reader makes with the run's models or judges are written once as rows.jsonl, which all
// trainings and evaluations then read, and which any tool for JSON lines can read too.

using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Running;
using PeftAlign.Models.Rows;

namespace PeftAlign.Host.Jobs;

internal static class MakeDatasetJob
{
    /// <summary>The name of such jobs in plans.</summary>
    internal const string Kind = "make-dataset";

    private const int SayEvery = 1000;

    internal static JsonObject Run(JobContext job)
    {
        using var models = job.Models;
        var rows = 0;
        AtomicFile.Write(job.Folder.Rows, stream =>
        {
            using var file = new StreamWriter(stream, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
            foreach (var record in job.Open(new DatasetReference(job.Spec.Options["dataset"]!.AsObject())))
            {
                job.Cancellation.ThrowIfCancellationRequested();
                file.WriteLine(record.Fields.ToJsonString());
                if (++rows % SayEvery == 0) job.Progress(rows, rows, "rows");
            }
            if (rows == 0) throw new UserErrorException($"{job.Spec.Label} made no row; {job.Folder.Log} says what became of the rows that it read.");
        });
        job.Judges.Settle();
        return new JsonObject { ["rows"] = rows };
    }

    /// <summary>The rows that a finished job made.</summary>
    internal static IEnumerable<DataRecord> Read(JobFolder made) => TextLines.Read(made.Rows).Select(line =>
        new DataRecord(JsonNode.Parse(line.Text)!.AsObject(), $"{made.Id}/rows.jsonl", line.Number) { Line = line.Number });
}
