// The end of a process without the destructors of native libraries. Those of libtorch take its registry of some thousand operators apart, piece
// by piece, in a process whose memory is given back whole a moment later: 0.07 s of every job.

using System.Runtime.InteropServices;
using System.Text;

namespace PeftAlign.Host;

internal static partial class ProcessEnd
{
    // Bytes of a path, in unix(7); the runtime cuts a longer one off.
    private const int LongestSocket = 107;

    /// <summary>From now on the process ends behind what .NET and plugins do at its end (<see cref="AppDomain.ProcessExit"/>), which was
    /// asked for before. Not for a process that has a terminal: the runtime restores it later still.</summary>
    internal static void SkipDestructors() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        _ = Flush(0); // what native code has printed and C's library still holds
        Now(Environment.ExitCode);
    };

    /// <summary>Ends the process at once.</summary>
    /// <param name="code">Its exit code.</param>
    internal static void Now(int code)
    {
        RemoveRuntimeFiles();
        End(code);
    }

    // Where debuggers and tools for diagnostics find this process; the runtime would remove them later than here. Their names end in the time
    // when the process began (field 22 of proc(5)'s stat, of which the second, in brackets, may have spaces).
    private static void RemoveRuntimeFiles()
    {
        try
        {
            var fields = File.ReadAllText("/proc/self/stat");
            var begun = fields[(fields.LastIndexOf(')') + 2)..].Split(' ')[22 - 3];
            foreach (var file in RuntimeFiles(Path.GetTempPath(), Environment.ProcessId, begun)) File.Delete(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The process ends all the same.
        }
    }

    /// <summary>What .NET's runtime makes for a process in the folder of temporary files. Where the socket's name is cut off so early that it
    /// could be another process's, or another file's, it is not among them.</summary>
    /// <param name="folder">That folder.</param>
    /// <param name="process">The process's number.</param>
    /// <param name="begun">When it began, as proc(5) has it.</param>
    internal static IReadOnlyList<string> RuntimeFiles(string folder, int process, string begun)
    {
        string[] pipes = [.. ((string[])["in", "out"]).Select(end => Path.Combine(folder, $"clr-debug-pipe-{process}-{begun}-{end}"))];
        var own = Path.Combine(folder, $"dotnet-diagnostic-{process}-");
        var socket = $"{own}{begun}-socket";
        var kept = socket.Length - Math.Max(0, Encoding.UTF8.GetByteCount(socket) - LongestSocket); // the end of it is ASCII
        return kept < own.Length ? pipes : [.. pipes, socket[..kept]];
    }

    [LibraryImport("libc", EntryPoint = "_exit")]
    private static partial void End(int code);

    [LibraryImport("libc", EntryPoint = "fflush")]
    private static partial int Flush(nint all);
}
