// Other processes as the kernel shows them (proc(5)); one that has ended meanwhile is no error.

using System.Diagnostics;
using System.Globalization;

namespace PeftAlign.Experiments.Tests;

internal static class Processes
{
    /// <summary>Whether it runs: not ended, and not merely unasked for its exit code.</summary>
    public static bool IsAlive(int process) => Stat($"/proc/{process}/stat") is { } stat && stat[0] is not ("Z" or "X");

    public static List<int> ChildrenOf(int parent) =>
        [.. Numbers("/proc").Where(process => Stat($"/proc/{process}/stat") is { } stat && stat[0] != "Z" && stat[1] == parent.ToString(CultureInfo.InvariantCulture))];

    /// <summary>The state of each thread, as a letter; none of a process that is gone.</summary>
    public static List<char> ThreadStates(int process) =>
        [.. Numbers($"/proc/{process}/task").Select(thread => Stat($"/proc/{process}/task/{thread}/stat")).OfType<string[]>().Select(stat => stat[0][0])];

    /// <summary>Sends a signal; nothing happens where the process is gone.</summary>
    public static void Signal(int process, string signal)
    {
        using var kill = Process.Start(new ProcessStartInfo("kill", ["-" + signal, process.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardError = true })!;
        kill.StandardError.ReadToEnd();
        kill.WaitForExit();
    }

    /// <summary>Whether it has a file of this path or name open.</summary>
    public static bool HasOpen(int process, string file)
    {
        try
        {
            return Directory.GetFiles($"/proc/{process}/fd").Any(fd => new FileInfo(fd).LinkTarget is { } target && (target == file || Path.GetFileName(target) == file));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false; // closed meanwhile, or the process has ended
        }
    }

    // The fields behind the name in brackets: the first is the state, the second the parent.
    private static string[]? Stat(string file)
    {
        try
        {
            var stat = File.ReadAllText(file);
            return stat.Contains(')', StringComparison.Ordinal) ? stat[(stat.LastIndexOf(')') + 2)..].Split(' ') : null;
        }
        catch (IOException)
        {
            return null; // gone
        }
    }

    private static List<int> Numbers(string folder)
    {
        try
        {
            return [.. Directory.GetDirectories(folder).Select(Path.GetFileName).Where(name => name!.All(char.IsAsciiDigit)).Select(name => int.Parse(name!, CultureInfo.InvariantCulture))];
        }
        catch (IOException)
        {
            return []; // gone
        }
    }
}
