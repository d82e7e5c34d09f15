// metrics.jsonl: one row per update. It holds nothing that differs between two equal runs, so that a resumed run ends
// with the same bytes; a checkpoint remembers its length, and a resumed run cuts it back to that.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Training;

internal sealed class MetricsLog : IDisposable
{
    private const string RowEnd = "}\n";

    private readonly FileStream file;

    /// <param name="path">The file.</param>
    /// <param name="keepBytes">Length at the checkpoint that is resumed; 0 starts anew.</param>
    /// <exception cref="UserErrorException">The file is shorter than that.</exception>
    internal MetricsLog(string path, long keepBytes)
    {
        file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.Read, bufferSize: 0); // a row is one write, and a failed one is not tried again
        if (file.Length < keepBytes)
        {
            var length = file.Length;
            file.Dispose();
            throw new UserErrorException($"{path} has {length} bytes, but the checkpoint was written after {keepBytes}: rows are lost. Restore the file, or delete the checkpoints to train from the start.");
        }
        file.SetLength(keepBytes);
        file.Seek(0, SeekOrigin.End);
        if (keepBytes > 0) Put(RowEnd, back: true); // the row may have been extended
    }

    /// <summary>Bytes so far, all of them on disk.</summary>
    internal long Length
    {
        get
        {
            file.Flush(flushToDisk: true);
            return file.Length;
        }
    }

    /// <summary>The last row, empty where there is none: of a run that goes on at its own end, that of the checkpoint.</summary>
    internal IReadOnlyList<KeyValuePair<string, double>> LastRow()
    {
        using var text = new StreamReader(new FileStream(file.Name, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        var last = "{}";
        while (text.ReadLine() is { } line) last = line;
        return [.. JsonNode.Parse(last)!.AsObject().Select(e => KeyValuePair.Create(e.Key, e.Value!.AsValue().TryGetValue<double>(out var number) ? number : double.Parse((string)e.Value!)))];
    }

    internal void Write(IEnumerable<KeyValuePair<string, double>> row) => Put(Json(row) + "\n", back: false);

    /// <summary>Puts more into the last row. A run that goes on from a checkpoint of before does not have it.</summary>
    internal void Extend(IEnumerable<KeyValuePair<string, double>> more) => Put("," + Json(more)[1..] + "\n", back: true);

    private static string Json(IEnumerable<KeyValuePair<string, double>> row)
    {
        var json = new JsonObject();
        foreach (var (name, value) in row)
            json[name] = double.IsFinite(value) ? value == Math.Truncate(value) && Math.Abs(value) < 1e15 ? (JsonNode)(long)value : value : value.ToString();
        return json.ToJsonString();
    }

    // At the end, or in place of the last row's end.
    private void Put(string text, bool back)
    {
        try
        {
            if (back) file.Seek(-RowEnd.Length, SeekOrigin.End);
            file.Write(System.Text.Encoding.UTF8.GetBytes(text));
            file.Flush();
        }
        catch (Exception e) when (e is IOException or ArgumentOutOfRangeException) // the latter: the file system's limit
        {
            throw DiskFault.Of(file.Name, e);
        }
    }

    public void Dispose() => file.Dispose();
}
