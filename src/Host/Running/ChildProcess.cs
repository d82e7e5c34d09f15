// One job process, seen from the executor: this program again, with a pipe to its stdin that tells it whether we live.

using System.Diagnostics;
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
                if (!line.StartsWith('{')) continue;
                var message = JsonNode.Parse(line)!;
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
        if (process.ExitCode != 0 && error.Length == 0) error = LastLines(folder.Log);
        return new End(process.ExitCode, error);
    }

    private static string LastLines(string log) =>
        File.Exists(log) ? string.Join(Environment.NewLine, File.ReadLines(log).TakeLast(8)) : "";
}
