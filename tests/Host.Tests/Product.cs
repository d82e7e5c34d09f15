// The assembled product as a user runs it, in a folder of the test's own: nothing of this machine's settings reaches it.

using System.Diagnostics;

namespace PeftAlign.Host.Tests;

internal static class Product
{
    /// <summary>The assembled product's host: what ./peftalign runs.</summary>
    public static string Host
    {
        get
        {
            var product = new DirectoryInfo(Path.Combine(Checkout.Root, ".build", "current"));
            if (product.ResolveLinkTarget(true) is not { Exists: true } real) Assert.Ignore("there is no assembled product; ./peftalign doctor makes it");
            else return Path.Combine(real.FullName, "PeftAlign.Host");
            return "";
        }
    }

    /// <summary>Runs a program and returns what it wrote, stderr before stdout only where it should fail.</summary>
    /// <param name="home">Takes its packages and its cache.</param>
    /// <param name="expected">The exit code.</param>
    /// <param name="directory">Where it runs.</param>
    /// <param name="program">The program.</param>
    /// <param name="args">Its arguments.</param>
    public static string Run(string home, int expected, string directory, string program, params string[] args)
    {
        var start = new ProcessStartInfo(program, args) { WorkingDirectory = directory, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["NUGET_PACKAGES"] = Path.Combine(home, ".packages");
        start.Environment["XDG_CACHE_HOME"] = Path.Combine(home, ".cache");
        // The SDK leaves folders behind where temporary files go.
        start.Environment["TMPDIR"] = Directory.CreateDirectory(Path.Combine(home, ".tmp")).FullName;
        foreach (var name in new[] { "PEFTALIGN_PLUGINS", "PEFTALIGN_FEED", "PEFTALIGN_STRICT" }) start.Environment.Remove(name);
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.EqualTo(expected), $"{program} {string.Join(' ', args)}\n{output}\n{errors.Result}");
        return expected == 0 ? output : errors.Result + output;
    }
}
