// stderr as remarks use it: what cannot be written (the terminal hung up, the log's disk is full, nobody opened it) is dropped. A remark must never
// end the work that it is about. Results go another way, and there a failed write is an error.

namespace PeftAlign.Host.CommandLine;

/// <param name="target">Where remarks go.</param>
internal sealed class RemarkStream(Stream target) : Stream
{
    public override bool CanRead => false;

    public override bool CanSeek => false;

    public override bool CanWrite => true;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    public override void Write(ReadOnlySpan<byte> buffer)
    {
        try
        {
            target.Write(buffer);
        }
        catch (Exception e) when (IsLost(e))
        {
            // dropped
        }
    }

    public override void Flush()
    {
        try
        {
            target.Flush();
        }
        catch (Exception e) when (IsLost(e))
        {
            // dropped
        }
    }

    // .NET calls a descriptor that is closed, or not open for writing, unauthorised.
    private static bool IsLost(Exception error) => error is IOException or UnauthorizedAccessException or ObjectDisposedException;

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing) target.Dispose();
        base.Dispose(disposing);
    }
}
