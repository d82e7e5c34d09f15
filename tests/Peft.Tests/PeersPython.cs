// PEFT itself beside a test: what it writes, we read.

using System.Diagnostics;

namespace PeftAlign.Peft.Tests;

internal static class PeersPython
{
    /// <summary>Runs a script with a folder as its argument; the test is skipped where PEFTALIGN_PEERS_PYTHON names no Python with peft.</summary>
    internal static void Run(string script, string folder)
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_PEERS_PYTHON") is not { Length: > 0 } python) { Assert.Ignore("PEFTALIGN_PEERS_PYTHON names no Python with peft"); return; }
        using var process = Process.Start(new ProcessStartInfo(python, ["-c", script, folder]) { RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, errors);
    }
}
