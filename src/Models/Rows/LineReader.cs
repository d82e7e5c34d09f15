// Lines of bytes as they arrive, from a file or standard input, plain or gzip (RFC 1952, told by its first two bytes). A line
// is given out as soon as its end is there. GZipStream takes a file that was cut off for a whole one; so a member of our own is
// put behind the last one, and only where that comes out was the file whole. What comes behind the source's end is held back
// until that is known, since the member's bytes may be taken for data.

using System.IO.Compression;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

/// <summary>Reads lines of bytes as they arrive.</summary>
public sealed class LineReader : IDisposable
{
    /// <summary>Bytes of the longest line.</summary>
    public const int Longest = 1 << 30;

    private static readonly byte[] Mark = [0xEF, 0xBB, 0xBF];
    private static readonly byte[] LastBytes = Guid.NewGuid().ToByteArray();

    private readonly string name;
    private readonly Stream source;
    private readonly byte[] head = new byte[2];

    private ChainedStream? chain;
    private Stream? stream;
    private bool ended, held;
    private byte[] buffer = new byte[1 << 16];
    private int start, scanned, end;

    /// <summary>Reads from a stream.</summary>
    /// <param name="name">What errors call the source.</param>
    /// <param name="source">The bytes; disposed with this reader.</param>
    public LineReader(string name, Stream source) => (this.name, this.source) = (name, source);

    /// <summary>The number of the line that was returned last, from 1.</summary>
    public long Number { get; private set; }

    /// <summary>The next line without its end (LF or CR LF) and without a byte order mark; null behind the last. Valid until the
    /// next call.</summary>
    /// <param name="cancel">Ends the waiting.</param>
    /// <exception cref="UserErrorException">The gzip data are damaged or cut off, a line is longer than <see cref="Longest"/>, or the
    /// source cannot be read.</exception>
    public async ValueTask<ReadOnlyMemory<byte>?> NextAsync(CancellationToken cancel)
    {
        while (true)
        {
            if (!held && TryTake(out var line)) return Counted(line);
            if (ended) return Rest();
            MakeRoom();
            var read = await ReadAsync(cancel);
            ended = read == 0;
            end += read;
            if (stream is not GZipStream) continue;
            held = !ended && chain!.IsAtLast;
            if (ended) CutLastBytes();
        }
    }

    /// <summary>The next line, as <see cref="NextAsync"/> gives it.</summary>
    /// <exception cref="UserErrorException">As there.</exception>
    public ReadOnlyMemory<byte>? Next()
    {
        // Most lines lie in the buffer, and files do not let wait: the task is done before it is looked at.
        var next = NextAsync(CancellationToken.None);
        return next.IsCompletedSuccessfully ? next.Result : next.AsTask().GetAwaiter().GetResult();
    }

    /// <summary>Closes the source.</summary>
    public void Dispose()
    {
        stream?.Dispose();
        source.Dispose();
    }

    private bool TryTake(out ReadOnlyMemory<byte> line)
    {
        var length = buffer.AsSpan(scanned, end - scanned).IndexOf((byte)'\n');
        line = length < 0 ? default : buffer.AsMemory(start, scanned + length - start);
        scanned = length < 0 ? end : scanned + length + 1;
        if (length >= 0) start = scanned;
        return length >= 0;
    }

    // A last line without a line feed.
    private ReadOnlyMemory<byte>? Rest()
    {
        if (start == end) return null;
        var line = buffer.AsMemory(start, end - start);
        start = scanned = end;
        return Counted(line);
    }

    private void CutLastBytes()
    {
        if (!buffer.AsSpan(start, end - start).EndsWith(LastBytes)) throw Damaged(null);
        end -= LastBytes.Length;
    }

    private ReadOnlyMemory<byte> Counted(ReadOnlyMemory<byte> line)
    {
        Number++;
        if (line.Span.EndsWith("\r"u8)) line = line[..^1];
        return Number == 1 && line.Span.StartsWith(Mark) ? line[Mark.Length..] : line;
    }

    private void MakeRoom()
    {
        if (start > 0)
        {
            buffer.AsSpan(start, end - start).CopyTo(buffer);
            (scanned, end, start) = (scanned - start, end - start, 0);
        }
        if (end < buffer.Length) return;
        if (end >= Longest) throw new UserErrorException($"{name}, line {Number + 1}: is longer than {Longest} bytes; split the file into one row per line");
        Array.Resize(ref buffer, Math.Min(2 * buffer.Length, Longest));
    }

    // A terminal or a pipe may give nothing for long and heeds no token: an interrupt does not wait for it. A file has all of its bytes.
    private async Task<int> ReadAsync(CancellationToken cancel)
    {
        try
        {
            if (source.CanSeek) return (stream ??= Open(source.ReadAtLeast(head, head.Length, throwOnEndOfStream: false))).Read(buffer.AsSpan(end));
            stream ??= Open(await source.ReadAtLeastAsync(head, head.Length, throwOnEndOfStream: false, cancel).AsTask().WaitAsync(cancel));
            return await stream.ReadAsync(buffer.AsMemory(end), cancel).AsTask().WaitAsync(cancel);
        }
        catch (InvalidDataException e)
        {
            throw Damaged(e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{name}: cannot be read after line {Number} ({e.Message}); copy the file again", e);
        }
    }

    private Stream Open(int read)
    {
        var begin = new MemoryStream(head, 0, read);
        if (head is not [0x1F, 0x8B]) return new ChainedStream(begin, source);
        chain = new ChainedStream(begin, source, LastMember());
        return new GZipStream(chain, CompressionMode.Decompress);
    }

    private static MemoryStream LastMember()
    {
        var member = new MemoryStream();
        using (var zip = new GZipStream(member, CompressionLevel.NoCompression, leaveOpen: true)) zip.Write(LastBytes);
        member.Position = 0;
        return member;
    }

    private UserErrorException Damaged(Exception? inner) =>
        new($"{name}: the gzip data are damaged or cut off after line {Number}; copy the file again", inner);
}
