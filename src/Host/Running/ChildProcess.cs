// One job process, seen from the executor: this program again, with a pipe to its stdin that tells it whether we live.

using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Running;

internal static class ChildProcess
{
    /// <summary>How a job process ended.</summary>
    /// <param name="Code">Exit code.</param>
    /// <param name="Error">Its own message, or the last lines of its log.</param>
    internal sealed record End(int Code, string Error);

    /// <summary>Runs a job; <paramref name="onMessage"/> gets its JSON lines.</summary>
    internal static async Task<End> RunAsync(JobFolder folder, Action<JsonNode> onMessage, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(ChildProcess).Assembly.Location);
        start.ArgumentList.Add("job");
        start.ArgumentList.Add(folder.Path);
        using var process = Process.Start(start) ?? throw new InvalidOperationException("the job process did not start");
        using var stop = cancellation.Register(process.StandardInput.Close);
        var error = "";
        var messages = Task.Run(async () =>
        {
            while (await process.StandardOutput.ReadLineAsync(CancellationToken.None) is { } line)
            {
                if (Message(line) is not { } message) continue;
                if ((string?)message["error"] is { } text) error = text;
                onMessage(message);
            }
        }, CancellationToken.None);
        await using (var log = new StreamWriter(folder.Log, append: true))
            while (await process.StandardError.ReadLineAsync(CancellationToken.None) is { } line)
            {
                await log.WriteLineAsync(line);
                await log.FlushAsync(CancellationToken.None);
            }
        await messages;
        await process.WaitForExitAsync(CancellationToken.None);
        if (process.ExitCode != 0 && error.Length == 0) error = $"{Reason(process.ExitCode)} {LastLines(folder.Log)}".TrimEnd();
        return new End(process.ExitCode, error);
    }

    // Native code may print to stdout as well; only JSON objects are ours.
    private static JsonObject? Message(string line)
    {
        try
        {
            return line.StartsWith('{') ? JsonNode.Parse(line) as JsonObject : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string Reason(int code) => code switch
    {
        137 => "the process was killed (signal 9); if memory ran out, lower batch_size, max_length or --jobs.",
        139 => "the process crashed in native code (signal 11).",
        > 128 => $"the process ended by signal {code - 128}.",
        _ => $"the process ended with exit code {code}.",
    };

    private static string LastLines(string log) =>
        File.Exists(log) ? string.Join(Environment.NewLine, File.ReadLines(log).TakeLast(8)) : "";
}
