// What the calling thread has computed: unlike time, a busy machine makes it no longer. Linux (clock_gettime(2)).

using System.Diagnostics;
using System.Runtime.InteropServices;

namespace PeftAlign.Tests;

/// <summary>Processor time of a thread from a moment on; begun and asked on that thread.</summary>
internal readonly struct ThreadTime
{
    private const int ThreadClock = 3; // CLOCK_THREAD_CPUTIME_ID
    private readonly TimeSpan begin;

    private ThreadTime(TimeSpan begin) => this.begin = begin;

    internal TimeSpan Elapsed => Now() - begin;

    internal static ThreadTime Start() => new(Now());

    private static TimeSpan Now()
    {
        if (Gettime(ThreadClock, out var time) != 0) throw new UnreachableException($"no clock of the thread's: error {Marshal.GetLastPInvokeError()}");
        return TimeSpan.FromSeconds(time.Seconds) + TimeSpan.FromMicroseconds(time.Nanoseconds / 1000.0);
    }

    [DllImport("libc", EntryPoint = "clock_gettime", SetLastError = true)]
    private static extern int Gettime(int clock, out Timespec time);

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Timespec
    {
        public readonly nint Seconds;
        public readonly nint Nanoseconds;
    }
}
