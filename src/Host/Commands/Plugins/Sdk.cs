// Runs the .NET SDK's command line for `plugins pack` and tests of what `plugins new` makes.

using System.Diagnostics;

namespace PeftAlign.Host.Commands.Plugins;

internal static class Sdk
{
    /// <summary>Runs dotnet and returns its stdout.</summary>
    /// <exception cref="UserError">There is no SDK, or the command failed; its errors are in the message.</exception>
    public static async Task<string> RunAsync(string[] arguments, string failure, CancellationToken cancel)
    {
        var start = new ProcessStartInfo(Program()) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        foreach (var (name, value) in new[] { ("DOTNET_CLI_TELEMETRY_OPTOUT", "1"), ("DOTNET_NOLOGO", "1"), ("MSBUILDDISABLENODEREUSE", "1"), ("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1") })
            start.Environment[name] = value;
        using var process = Process.Start(start)!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync(cancel);
        var errors = process.StandardError.ReadToEndAsync(cancel);
        try
        {
            await process.WaitForExitAsync(cancel);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }
        var text = await output;
        if (process.ExitCode == 0) return text;
        var said = (text + await errors).Split('\n').Where(line => line.Contains("error", StringComparison.Ordinal)).Distinct().Take(10).ToArray();
        throw new UserError(failure, said.Length == 0 ? $"dotnet ended with code {process.ExitCode}" : string.Join("\n  ", said.Prepend("")), "mend what is named and try again");
    }

    private static string Program()
    {
        string?[] places = [Environment.GetEnvironmentVariable("DOTNET_ROOT"), .. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator), "/usr/share/dotnet", "/usr/lib/dotnet"];
        return places.OfType<string>().Where(place => place != "").Select(place => Path.Combine(place, "dotnet")).FirstOrDefault(File.Exists)
            ?? throw new UserError("dotnet", "the .NET SDK is needed to build a plugin, and it is neither in DOTNET_ROOT nor on the PATH", "install the .NET 10 SDK (https://dot.net)");
    }
}
