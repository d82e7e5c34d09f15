// Streams one behind the other as one, for reading. What was read ahead of a stream, or is to follow it, is put there so.

namespace PeftAlign.Models.Rows;

internal sealed class ChainedStream(params Stream[] parts) : Stream
{
    private int at;

    /// <summary>Whether all but the last stream have been read to their ends.</summary>
    public bool IsAtLast => at >= parts.Length - 1;

    public override bool CanRead => true;

    public override bool CanSeek => false;

    public override bool CanWrite => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    public override int Read(Span<byte> buffer)
    {
        for (; at < parts.Length; at++)
            if (parts[at].Read(buffer) is > 0 and var read) return read;
        return 0;
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        for (; at < parts.Length; at++)
            if (await parts[at].ReadAsync(buffer, cancellationToken) is > 0 and var read) return read;
        return 0;
    }

    public override void Flush()
    {
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            foreach (var part in parts) part.Dispose();
        base.Dispose(disposing);
    }
}
