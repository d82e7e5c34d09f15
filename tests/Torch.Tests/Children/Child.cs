// Runs this assembly's entry point in a process of its own.

using System.Diagnostics;

namespace PeftAlign.Torch.Tests.Children;

/// <summary>How a child ended and what it wrote.</summary>
internal sealed record ChildResult(int ExitCode, string Output, string Errors)
{
    internal string LastLine => Output.TrimEnd().Split('\n')[^1];
}

internal static class Child
{
    // For what hangs; how long the work itself takes depends on what else the machine does.
    private static readonly TimeSpan Limit = TimeSpan.FromHours(1);

    /// <summary>Runs the child with these arguments; a null value takes a variable away.</summary>
    internal static ChildResult Run(string[] arguments, Dictionary<string, string?>? environment = null, string? through = null)
    {
        var host = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } path ? path : "dotnet";
        string[] words = [.. through?.Split(' ') ?? [], host, typeof(Child).Assembly.Location, .. arguments];
        var start = new ProcessStartInfo(words[0], words[1..]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment ?? [])
        {
            if (value is null) start.Environment.Remove(name);
            else start.Environment[name] = value;
        }
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEndAsync();
        if (!process.WaitForExit(Limit))
        {
            process.Kill(true);
            Assert.Fail($"the child '{string.Join(' ', arguments)}' did not end within {Limit.TotalMinutes} minutes; its last line: {output.Result.TrimEnd().Split('\n')[^1]}");
        }
        return new ChildResult(process.ExitCode, output.Result, errors.Result);
    }
}
