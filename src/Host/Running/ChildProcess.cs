// One job process, seen from the executor: this program again, with a pipe to its stdin that tells it whether we live.

using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Running;

internal static class ChildProcess
{
    private const int LinesToldAtMost = 8;

    /// <summary>How a job process ended.</summary>
    /// <param name="Code">Exit code; 128 + N after signal N.</param>
    /// <param name="Said">The last lines that it said outside a job's log: the runtime's own errors before it had a job.</param>
    internal sealed record End(int Code, string Said);

    /// <summary>Runs the one job of a folder of its own.</summary>
    /// <returns>Its exit code, and its own message or the last lines of its log.</returns>
    internal static async Task<(int Code, string Error)> RunOneAsync(JobFolder folder, Action<JsonNode> onMessage, CancellationToken cancellation)
    {
        var (begun, error) = (false, "");
        var end = await RunAsync(folder.Path, [], message =>
        {
            begun = true;
            error = (string?)message["error"] ?? error;
            onMessage(message);
        }, cancellation);
        if (end.Code != ExitCode.Done && error.Length == 0) error = Reason(end.Code, begun ? LastLines(folder.Log) : end.Said);
        return (end.Code, error);
    }

    /// <summary>Runs jobs one after the other in a new process; <paramref name="onMessage"/> gets its JSON lines.</summary>
    internal static async Task<End> RunAsync(string folder, IEnumerable<string> ids, Action<JsonNode> onMessage, CancellationToken cancellation)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(ChildProcess).Assembly.Location);
        foreach (var argument in (string[])["job", folder, .. ids]) start.ArgumentList.Add(argument);
        using var process = Process.Start(start) ?? throw new InvalidOperationException("the job process did not start");
        using var stop = cancellation.Register(process.StandardInput.Close);
        var said = Task.Run(async () =>
        {
            var last = new Queue<string>();
            while (await process.StandardError.ReadLineAsync(CancellationToken.None) is { } line)
            {
                last.Enqueue(line);
                if (last.Count > LinesToldAtMost) last.Dequeue();
            }
            return string.Join(Environment.NewLine, last);
        }, CancellationToken.None);
        while (await process.StandardOutput.ReadLineAsync(CancellationToken.None) is { } line)
            if (Message(line) is { } message) onMessage(message);
        await process.WaitForExitAsync(CancellationToken.None);
        return new End(process.ExitCode, await said);
    }

    /// <summary>What ended a process that said nothing of it, with the last lines of the log.</summary>
    internal static string Reason(int code, string lastLines) => string.Join(Environment.NewLine, new[] { Reason(code), lastLines }.Where(text => text.Length > 0));

    /// <summary>The last lines of a log; empty where there is none.</summary>
    internal static string LastLines(string log) =>
        File.Exists(log) ? string.Join(Environment.NewLine, File.ReadLines(log).TakeLast(LinesToldAtMost)) : "";

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
        0 => "the process ended without the job's result; its log ends with:",
        134 => "the process was aborted in native code (signal 6); its log ends with:",
        137 => "the process was killed (signal 9); if memory ran out, turn gradient_checkpointing on, or lower batch_size, max_length or --jobs. Its log ends with:",
        139 => "the process crashed in native code (signal 11); its log ends with:",
        > 128 => $"the process ended by signal {code - 128}; its log ends with:",
        _ => $"the process ended with exit code {code}; its log ends with:",
    };
}
