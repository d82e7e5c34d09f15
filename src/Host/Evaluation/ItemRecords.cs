// records.jsonl: the answers of every finished item, appended and flushed to the disk as they come, so that a long evaluation
// goes on where it was stopped. The first line says of what model; a tail that a crash damaged is cut off. A record whose
// question has changed is not used.

using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Evaluation;

internal sealed class ItemRecords : IDisposable
{
    /// <summary>What the file is called in a folder of results.</summary>
    internal const string FileName = "records.jsonl";

    private readonly Dictionary<(string Benchmark, string Task, string Id), (string Key, IReadOnlyList<EvalResponse> Responses)> known = [];
    private readonly string path, subject;
    private FileStream? file;
    private long before; // bytes that were there

    /// <param name="path">records.jsonl; made with the first records or by Begin, so that an evaluation that failed before leaves nothing.</param>
    /// <param name="subject">What identifies the model: records of another are refused.</param>
    /// <param name="warn">Told of a damaged tail.</param>
    /// <exception cref="UserErrorException">The file belongs to another model, or another process has it.</exception>
    internal ItemRecords(string path, string subject, Action<string> warn)
    {
        (this.path, this.subject) = (path, subject);
        if (!File.Exists(path)) return;
        file = Open();
        try
        {
            Read(file, warn);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The kept answers to what is asked of an item; null where there are none.</summary>
    /// <param name="benchmark">Its name.</param>
    /// <param name="item">One of its items.</param>
    /// <param name="key">What identifies all that would be asked, given these answers.</param>
    internal IReadOnlyList<EvalResponse>? Find(string benchmark, EvalItem item, Func<IReadOnlyList<EvalResponse>, string> key) =>
        known.TryGetValue((benchmark, item.Task, item.Id), out var record) && record.Key == key(record.Responses) ? record.Responses : null;

    /// <summary>Appends records and waits until the disk has them.</summary>
    internal void Append(string benchmark, IEnumerable<(EvalItem Item, string Key, IReadOnlyList<EvalResponse> Responses)> items)
    {
        var lines = new StringBuilder();
        foreach (var (item, key, responses) in items)
        {
            known[(benchmark, item.Task, item.Id)] = (key, responses);
            var record = new JsonObject { ["benchmark"] = benchmark, ["task"] = item.Task, ["id"] = item.Id, ["key"] = key, ["responses"] = new JsonArray([.. responses.Select(r => (JsonNode)RequestJson.Of(r))]) };
            lines.Append(record.ToJsonString()).Append('\n');
        }
        Write(lines.ToString());
    }

    /// <summary>Ends the asking. The file is made where nothing was asked, so that the same command knows the folder as its own.</summary>
    /// <param name="check">Throws where the answers may be of something else than the subject: those of this process are taken back.</param>
    internal void Keep(Action check)
    {
        try
        {
            check();
        }
        catch
        {
            file?.SetLength(before);
            throw;
        }
        if (file is null || file.Position == 0) Write("");
    }

    public void Dispose() => file?.Dispose();

    private FileStream Open()
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
            return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        }
        catch (Exception e) when (NewFolder.IsRefused(e))
        {
            throw new UserErrorException($"{path} cannot be written ({e.Message.TrimEnd('.')}); wait for the other evaluation, or give another folder.", e);
        }
    }

    private void Write(string lines)
    {
        file ??= Open();
        if (file.Position == 0) lines = new JsonObject { ["subject"] = subject }.ToJsonString() + "\n" + lines;
        file.Write(Encoding.UTF8.GetBytes(lines));
        file.Flush(flushToDisk: true);
    }

    private void Read(FileStream file, Action<string> warn)
    {
        var bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        var whole = 0;
        for (var first = true; whole < bytes.Length; first = false)
        {
            var end = Array.IndexOf(bytes, (byte)'\n', whole);
            if (end < 0 || Parsed(bytes.AsSpan(whole, end - whole)) is not { } line || (!first && !Take(line))) break;
            if (first && (string?)line["subject"] != subject)
                throw new UserErrorException($"{path} holds answers of another model or adapter; give another folder, or delete the file to start anew.");
            whole = end + 1;
        }
        if (whole < bytes.Length) warn($"{path}: the last {bytes.Length - whole} bytes are damaged and are left out; their items are asked again");
        file.SetLength(whole);
        file.Position = before = whole;
    }

    private bool Take(JsonObject line)
    {
        try
        {
            known[((string)line["benchmark"]!, (string)line["task"]!, (string)line["id"]!)] = ((string)line["key"]!, [.. line["responses"]!.AsArray().Select(r => RequestJson.Response(r!))]);
            return true;
        }
        catch (Exception e) when (e is InvalidOperationException or NullReferenceException or FormatException or ArgumentNullException)
        {
            return false;
        }
    }

    private static JsonObject? Parsed(ReadOnlySpan<byte> line)
    {
        try
        {
            return JsonNode.Parse(line) as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
