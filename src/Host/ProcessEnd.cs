// The end of a process without the destructors of native libraries. Those of libtorch take its registry of some thousand operators apart, piece
// by piece, in a process whose memory is given back whole a moment later: 0.07 s of every job.

using System.Runtime.InteropServices;

namespace PeftAlign.Host;

internal static partial class ProcessEnd
{
    /// <summary>From now on the process ends behind what .NET and plugins do at its end (<see cref="AppDomain.ProcessExit"/>), which was
    /// asked for before. Not for a process that has a terminal: the runtime restores it later still.</summary>
    internal static void SkipDestructors() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        _ = Flush(0); // what native code has printed and C's library still holds
        Now(Environment.ExitCode);
    };

    /// <summary>Ends the process at once.</summary>
    /// <param name="code">Its exit code.</param>
    [LibraryImport("libc", EntryPoint = "_exit")]
    internal static partial void Now(int code);

    [LibraryImport("libc", EntryPoint = "fflush")]
    private static partial int Flush(nint all);
}
