// Whether a limit on open files (ulimit -n) leaves room to work. At the limit .NET finds neither its own assemblies nor what it needs to say
// so, and the process aborts with a stack trace. (Where only the soft limit is low, .NET raises it to the hard one when it starts.)

using System.Globalization;

namespace PeftAlign.Host.CommandLine;

internal static class OpenFiles
{
    // Measured on 2026-11-23: a small model's scoring ends well with 74, a training with 162, most of them .NET's assemblies.
    private const long Least = 256;
    private const int TooMany = 24; // EMFILE on Linux

    /// <summary>Refuses a limit under which no command ends well.</summary>
    /// <exception cref="UserError">The limit is below <see cref="Least"/>.</exception>
    internal static void RefuseIfFew()
    {
        if (Limit() is { } limit && limit < Least)
            throw new UserError($"ulimit -n {limit}", $"the process may have that many files open, and needs {Least}", "raise the limit, for instance with 'ulimit -n 1024'");
    }

    /// <summary>Whether a file could not be opened since too many are, or none can be opened now.</summary>
    internal static bool AreUsedUp(Exception error)
    {
        if (IsTooMany(error)) return true;
        try
        {
            using var probe = File.OpenHandle("/dev/null");
            return false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return IsTooMany(e);
        }
    }

    /// <summary>The error's message on one line, with what to do.</summary>
    internal static string Message(Exception error) =>
        $"{error.Message.ReplaceLineEndings(" ").TrimEnd('.', ' ')}. The process has as many files open as it may (ulimit -n): raise the limit and run the same command again.";

    private static bool IsTooMany(Exception? error) => error is IOException { HResult: TooMany } || (error?.InnerException is { } inner && IsTooMany(inner));

    // "Max open files            1024                 524288               files"; null where there is none.
    private static long? Limit()
    {
        try
        {
            var words = File.ReadLines("/proc/self/limits").FirstOrDefault(line => line.StartsWith("Max open files", StringComparison.Ordinal))?.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            return words is [_, _, _, var now, ..] && long.TryParse(now, NumberStyles.None, CultureInfo.InvariantCulture, out var limit) ? limit : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null; // no /proc
        }
    }
}
