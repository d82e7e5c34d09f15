// Files of a run's folder as JSON. What cannot be read names its file and what to do: a report that leaves a job out would be wrong
// without a word.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Host.Running;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Rows;

namespace PeftAlign.Host.Reports;

internal static class RunText
{
    /// <summary>What the reading gives.</summary>
    /// <exception cref="UserError">It finds something else than was written.</exception>
    internal static T Read<T>(string file, string next, Func<T> read)
    {
        try
        {
            return read();
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or NullReferenceException or ArgumentException or FormatException or InvalidDataException or KeyNotFoundException)
        {
            throw new UserError(file, "is damaged and cannot be read", next, e);
        }
    }

    /// <summary>A file of a job.</summary>
    internal static T Read<T>(JobFolder job, string file, Func<T> read) => Read(file, Anew(job), read);

    /// <summary>A file of a job that holds an object.</summary>
    internal static JsonObject Object(JobFolder job, string file) => Read(job, file, () => JsonNode.Parse(File.ReadAllText(file))!.AsObject());

    /// <summary>A row of a job's file; line counts from 1.</summary>
    internal static JsonElement Row(JobFolder job, string file, int line, string text) => Read($"{file}, line {line}", Anew(job), () =>
    {
        using var row = JsonDocument.Parse(text);
        return row.RootElement.ValueKind == JsonValueKind.Object ? row.RootElement.Clone() : throw new InvalidDataException("no object");
    });

    /// <summary>The rows of a job's file, one after the other; blank lines are none. A row is there until the next is asked for: a file may hold gigabytes.</summary>
    internal static IEnumerable<JsonElement> Rows(JobFolder job, string file)
    {
        using var lines = new LineReader(file, RegularFile.Open(file));
        while (Read(job, file, () => lines.Next()) is { } line)
        {
            if (line.Length == 0) continue;
            using var row = Read($"{file}, line {lines.Number}", Anew(job), () => Object(JsonDocument.Parse(line)));
            yield return row.RootElement;
        }
    }

    private static JsonDocument Object(JsonDocument row)
    {
        if (row.RootElement.ValueKind == JsonValueKind.Object) return row;
        row.Dispose();
        throw new InvalidDataException("no object");
    }

    private static string Anew(JobFolder job) => $"delete the folder {job.Path} and run the manifest again, which makes the job anew";
}
