// Input rows: JSON lines, plain or gzip, from a path or standard input. Each row comes as soon as its line is complete.

using System.Runtime.CompilerServices;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Host.Rows;

internal sealed class RowReader : IDisposable
{
    private readonly string name;
    private readonly LineReader lines;

    private RowReader(string name, Stream source) => (this.name, lines) = (name, new LineReader(name, source));

    /// <summary>Opens a file of rows.</summary>
    /// <param name="path">A path, or - for standard input.</param>
    /// <exception cref="UserError">There is no such file, or it cannot be read.</exception>
    public static RowReader Open(string path)
    {
        if (path == "-") return new RowReader("standard input", Console.OpenStandardInput());
        try
        {
            return new RowReader(path, new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new UserError(path, "no such file", "give a file of JSON lines (plain or .gz), or - for standard input", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            var limit = Directory.Exists(path) ? "is a folder" : $"cannot be read ({e.Message})";
            throw new UserError(path, limit, "give a file of JSON lines (plain or .gz), or - for standard input", e);
        }
    }

    /// <summary>The rows of any stream; tests and pipes use it.</summary>
    /// <param name="name">What errors call it.</param>
    /// <param name="source">The bytes; disposed with this reader.</param>
    public static RowReader Of(string name, Stream source) => new(name, source);

    /// <summary>All rows, in order; blank lines count as lines only. A row is valid until the next is asked for.</summary>
    /// <exception cref="UserErrorException">A line is no row, or there is none at all.</exception>
    public async IAsyncEnumerable<Row> ReadAsync([EnumeratorCancellation] CancellationToken cancel)
    {
        var rows = 0L;
        while (await lines.NextAsync(cancel) is { } line)
        {
            cancel.ThrowIfCancellationRequested();
            if (line.Span.IndexOfAnyExcept(" \t"u8) < 0) continue;
            rows++;
            using var row = Row.Parse($"{name}, line {lines.Number}", line);
            yield return row;
        }
        if (rows == 0) throw new UserError(name, "holds no rows", "give a file with one JSON object per line");
    }

    /// <summary>The lines of all rows in batches, for work on several threads. What has come is handed out before more is waited for, and an empty batch says
    /// that nobody knows how long that will be.</summary>
    /// <exception cref="UserErrorException">The input cannot be read, or holds no row.</exception>
    public IEnumerable<IReadOnlyList<RowLine>> Batches(CancellationToken cancel)
    {
        var (batch, held, rows) = (new List<RowLine>(), 0L, 0L);
        while (true)
        {
            var next = lines.NextAsync(cancel).AsTask();
            if (!next.IsCompleted)
            {
                if (batch.Count > 0) yield return batch;
                yield return [];
                (batch, held) = ([], 0);
            }
            if (next.IsFaulted && batch.Count > 0) yield return batch; // the rows before what cannot be read
            if (next.GetAwaiter().GetResult() is not { } line) break;
            cancel.ThrowIfCancellationRequested();
            if (line.Span.IndexOfAnyExcept(" \t"u8) < 0) continue;
            rows++;
            held += line.Length;
            batch.Add(new RowLine($"{name}, line {lines.Number}", line.ToArray()));
            if (batch.Count < OrderedWork.BatchRows && held < OrderedWork.BatchLength) continue;
            yield return batch;
            (batch, held) = ([], 0);
        }
        if (batch.Count > 0) yield return batch;
        if (rows == 0) throw new UserError(name, "holds no rows", "give a file with one JSON object per line");
    }

    public void Dispose() => lines.Dispose();
}

/// <param name="Place">What errors call it.</param>
/// <param name="Bytes">UTF-8.</param>
internal readonly record struct RowLine(string Place, byte[] Bytes);
