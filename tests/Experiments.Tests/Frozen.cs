// What another process is seen to do may be over before this one acts on it, however short the way: a machine may give this process no
// time for half a minute. So the other one is stopped first (SIGSTOP), then looked at, and goes on when all is done that had to meet it.

using System.Diagnostics;
using System.Globalization;

namespace PeftAlign.Experiments.Tests;

internal sealed class Frozen : IDisposable
{
    private const int TriesAtMost = 20;
    private readonly List<int> stopped = [];

    private Frozen(int process)
    {
        try
        {
            Stop(process);
            foreach (var child in Processes.ChildrenOf(process)) Stop(child);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Waits until something holds of a command at work, stops it and its jobs, and acts while none of them can go on.</summary>
    /// <param name="command">The command's process.</param>
    /// <param name="holds">Asked again when they stand still.</param>
    /// <param name="act">What has to meet the command at that moment.</param>
    /// <param name="alone">Stops the jobs alone, by their processes; null = the command and all its jobs.</param>
    /// <returns>False if it had ended or gone past that moment; nothing was done then.</returns>
    public static bool At(Process command, Func<bool> holds, Action act, Func<int>? alone = null)
    {
        while (!command.HasExited && !holds()) Thread.Sleep(2);
        if (command.HasExited) return false;
        using var frozen = new Frozen(alone is null ? command.Id : alone());
        if (command.HasExited || !holds()) return false;
        act();
        return true;
    }

    /// <summary>Tries, each time from the beginning, until it met what it had to meet.</summary>
    /// <param name="attempt">Null where it came too late.</param>
    public static T InTime<T>(Func<T?> attempt) where T : class
    {
        for (var tries = 1; tries <= TriesAtMost; tries++)
            if (attempt() is { } met) return met;
        throw new AssertionException($"{TriesAtMost} times it came too late");
    }

    public void Dispose()
    {
        foreach (var process in stopped) Processes.Signal(process, "CONT");
    }

    // The signal is on its way when kill returns; every thread stands still when the kernel says so of each.
    private void Stop(int process)
    {
        stopped.Add(process);
        Processes.Signal(process, "STOP");
        Waiting.For(() => Processes.ThreadStates(process).All(state => state is 'T' or 'Z' or 'X') ? 1 : 0, $"process {process.ToString(CultureInfo.InvariantCulture)} does not stand still");
    }
}
