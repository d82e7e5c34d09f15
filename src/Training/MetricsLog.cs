// metrics.jsonl: one row per update. It holds nothing that differs between two equal runs, so that a resumed run ends
// with the same bytes; a checkpoint remembers its length, and a resumed run cuts it back to that.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Training;

internal sealed class MetricsLog : IDisposable
{
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

    internal void Write(IEnumerable<KeyValuePair<string, double>> row)
    {
        var json = new JsonObject();
        foreach (var (name, value) in row)
            json[name] = double.IsFinite(value) ? value == Math.Truncate(value) && Math.Abs(value) < 1e15 ? (JsonNode)(long)value : value : value.ToString();
        try
        {
            file.Write(System.Text.Encoding.UTF8.GetBytes(json.ToJsonString() + "\n"));
            file.Flush();
        }
        catch (Exception e) when (e is IOException or ArgumentOutOfRangeException) // the latter: the file system's limit
        {
            throw DiskFault.Of(file.Name, e);
        }
    }

    public void Dispose() => file.Dispose();
}
