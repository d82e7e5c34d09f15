// A job process and the pipe that tells it whether its executor lives.

using PeftAlign.Host.Jobs;

namespace PeftAlign.Host.Tests;

public sealed class JobProcessTests
{
    // Between the last job's end and the process's own: an exception in the thread that watches would end this process.
    [Test]
    public void An_executor_that_is_gone_after_the_last_job_is_no_failure()
    {
        using var parent = new Parent();
        Assert.That(JobProcess.Run([], TextWriter.Null, parent, CancellationToken.None), Is.EqualTo(ExitCode.Done));
        parent.End();
    }

    // A pipe whose other end is open until it is said to be closed.
    private sealed class Parent : Stream
    {
        private readonly ManualResetEventSlim watched = new(), ended = new();
        private Thread? watcher;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public void End()
        {
            watched.Wait();
            ended.Set();
            watcher!.Join();
        }

        public override int ReadByte()
        {
            watcher = Thread.CurrentThread;
            watched.Set();
            ended.Wait();
            return -1;
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        protected override void Dispose(bool disposing)
        {
            watched.Dispose();
            ended.Dispose();
            base.Dispose(disposing);
        }
    }
}
