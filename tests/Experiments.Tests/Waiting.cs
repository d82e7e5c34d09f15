// Waits for what another process does.

using System.Diagnostics;

namespace PeftAlign.Experiments.Tests;

internal static class Waiting
{
    /// <summary>Asks until the answer is more than zero, five minutes at most: a machine may be busy.</summary>
    public static int For(Func<int> ask, string otherwise)
    {
        for (var clock = Stopwatch.StartNew(); clock.Elapsed < TimeSpan.FromMinutes(5); Thread.Sleep(2))
            if (ask() is > 0 and var answer) return answer;
        throw new AssertionException(otherwise);
    }
}
