// records.jsonl: the answers of every finished item, appended and flushed to the disk as they come, so that a long evaluation
// goes on where it was stopped. The first line says of what model, and by which version of the engine's numbers; without it the file is
// somebody else's. An unfinished last line is cut off, a damaged one left out. A record whose question has changed is not used.

using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Evaluation;

internal sealed class ItemRecords : IDisposable
{
    /// <summary>What the file is called in a folder of results.</summary>
    internal const string FileName = "records.jsonl";

    private const int LongestHeader = 1 << 16;

    private readonly Dictionary<(string Benchmark, string Task, string Id), (string Key, string? Window, IReadOnlyList<EvalResponse> Responses)> known = [];
    private readonly string path, subject;
    private readonly int? version;
    private FileStream? file;
    private long before; // bytes that were there

    private static ReadOnlySpan<byte> Header => "{\"subject\":"u8;

    /// <param name="path">records.jsonl; made with the first records or by Begin, so that an evaluation that failed before leaves nothing.</param>
    /// <param name="subject">What identifies the model: records of another are refused.</param>
    /// <param name="warn">Told of damaged lines.</param>
    /// <param name="version">Of the engine's numbers: records of another are refused. Null where the subject, as a plan's job, stands for it.</param>
    /// <exception cref="UserErrorException">The file belongs to another model or version or is none of ours, or another process has it.</exception>
    internal ItemRecords(string path, string subject, Action<string> warn, int? version = null)
    {
        (this.path, this.subject, this.version) = (path, subject, version);
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
    /// <param name="window">What they must have been computed with; null where that makes no difference.</param>
    /// <param name="unnamed">Whether a record that does not say what it was computed with will do.</param>
    internal IReadOnlyList<EvalResponse>? Find(string benchmark, EvalItem item, Func<IReadOnlyList<EvalResponse>, string> key, string? window, bool unnamed = false) =>
        known.TryGetValue((benchmark, item.Task, item.Id), out var record) && record.Key == key(record.Responses) && (record.Window == window || (unnamed && record.Window is null)) ? record.Responses : null;

    /// <summary>What an item's kept answers say that they were computed with.</summary>
    internal string? Window(string benchmark, EvalItem item) => known.TryGetValue((benchmark, item.Task, item.Id), out var record) ? record.Window : null;

    /// <summary>Throws where the answers may be of something else than the subject.</summary>
    internal Action Check { private get; init; } = () => { };

    /// <summary>Appends records that pass the check, and waits until the disk has them.</summary>
    internal void Append(string benchmark, IEnumerable<(EvalItem Item, string Key, string? Window, IReadOnlyList<EvalResponse> Responses)> items)
    {
        Check(); // here, since an evaluation that is stopped or fails comes to no other
        var lines = new StringBuilder();
        foreach (var (item, key, window, responses) in items)
        {
            known[(benchmark, item.Task, item.Id)] = (key, window, responses);
            var record = new JsonObject { ["benchmark"] = benchmark, ["task"] = item.Task, ["id"] = item.Id, ["key"] = key };
            if (window is not null) record["window"] = window;
            record["responses"] = new JsonArray([.. responses.Select(r => (JsonNode)RequestJson.Of(r))]);
            lines.Append(record.ToJsonString()).Append('\n');
        }
        Write(lines.ToString());
    }

    /// <summary>Ends the asking. The file is made where nothing was asked, so that the same command knows the folder as its own.</summary>
    /// <exception cref="UserErrorException">The check fails: the answers of this process are taken back.</exception>
    internal void Keep()
    {
        try
        {
            Check();
        }
        catch (UserErrorException)
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
        if (file.Position == 0)
        {
            var header = new JsonObject { ["subject"] = subject };
            if (version is not null) header["version"] = version;
            lines = header.ToJsonString() + "\n" + lines;
        }
        file.Write(Encoding.UTF8.GetBytes(lines));
        file.Flush(flushToDisk: true);
    }

    /// <summary>Whether the file there is one of these, as its first line tells.</summary>
    internal static bool IsOurs(string path)
    {
        try
        {
            using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            var bytes = new byte[(int)Math.Min(file.Length, LongestHeader)];
            file.ReadExactly(bytes);
            return IsOurs(bytes);
        }
        catch (Exception e) when (NewFolder.IsRefused(e))
        {
            return true; // who opens it to write is told why that cannot be
        }
    }

    // A first line that was cut off while it was written is a beginning of ours.
    private static bool IsOurs(ReadOnlySpan<byte> bytes) => bytes.IndexOf((byte)'\n') is >= 0 and var end
        ? Subject(bytes[..end]).Of is not null
        : bytes.StartsWith(Header) || Header.StartsWith(bytes);

    private static (string? Of, int? Version) Subject(ReadOnlySpan<byte> line)
    {
        try
        {
            var header = Parsed(line);
            return header is { Count: 1 } || header?["version"] is not null && header.Count == 2 ? ((string?)header["subject"], (int?)header["version"]) : default;
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or FormatException)
        {
            return default; // a name that is there twice, or a value of another kind
        }
    }

    private void Read(FileStream file, Action<string> warn)
    {
        if (!IsOurs(path)) throw new UserErrorException($"{path} holds other things than an evaluation's answers; give another folder, or move the file away.");
        var (whole, number, damaged) = (0L, 0, new List<int>());
        foreach (var line in Lines(file))
        {
            if (++number > 1 && !Take(Parsed(line.Span))) damaged.Add(number);
            if (number == 1) ThrowIfOther(Subject(line.Span));
            whole += line.Length + 1;
        }
        if (damaged.Count > 0) warn($"{path}: line {damaged[0]}{(damaged.Count > 1 ? $" and {damaged.Count - 1} more are" : " is")} damaged and left out; what has no other answer is asked again");
        if (whole < file.Length) warn($"{path}: the last {file.Length - whole} bytes are damaged and are cut off; their items are asked again");
        file.SetLength(whole);
        file.Position = before = whole;
    }

    // One after the other, without their ends, and none that has no end: all of a large evaluation's are more than an array may hold.
    private static IEnumerable<ReadOnlyMemory<byte>> Lines(FileStream file)
    {
        var (buffer, held) = (new byte[1 << 16], 0);
        for (int read; (read = file.Read(buffer, held, buffer.Length - held)) > 0;)
        {
            var (first, seen) = (0, held);
            held += read;
            for (int end; (end = Array.IndexOf(buffer, (byte)'\n', seen, held - seen)) >= 0; first = seen = end + 1) yield return buffer.AsMemory(first, end - first);
            buffer.AsSpan(first, held -= first).CopyTo(buffer);
            if (held == buffer.Length) Array.Resize(ref buffer, 2 * buffer.Length);
        }
    }

    private void ThrowIfOther((string? Of, int? Version) written)
    {
        if (written.Of != subject) throw new UserErrorException($"{path} holds answers of another model or adapter; give another folder, or delete this one to start anew.");
        if (written.Version != version)
            throw new UserErrorException($"{path} holds answers of {(written.Version is { } other ? $"version {other}" : "an earlier version")} of the engine's numbers, and this one is version {version}: the two may differ. Give another folder, or delete this one to start anew.");
    }

    private bool Take(JsonObject? line)
    {
        try
        {
            known[((string)line!["benchmark"]!, (string)line["task"]!, (string)line["id"]!)] = ((string)line["key"]!, (string?)line["window"], [.. line["responses"]!.AsArray().Select(r => RequestJson.Response(r!))]);
            return true;
        }
        catch (Exception e) when (e is InvalidOperationException or NullReferenceException or FormatException or ArgumentException)
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
