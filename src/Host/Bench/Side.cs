// One side of a measurement as a process of its own: a line "run" on its input is answered by one line {seconds, answer}. Its
// anonymous memory is sampled from outside, in one way for both sides.

using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Bench;

internal sealed class Side : IDisposable
{
    private const int SampleMilliseconds = 20, MostWarmUps = 24;

    // Part of a run's time; seconds.
    private const double CompilingStill = 0.01, LongestWarmUp = 20;

    private readonly Process process;
    private readonly Timer sampler;
    private readonly Task<string> complaints;
    private double compiling; // seconds of .NET's compiler in a second of the last run

    private Side(Process process)
    {
        this.process = process;
        complaints = process.StandardError.ReadToEndAsync();
        sampler = new Timer(_ => Sample(), null, 0, SampleMilliseconds);
    }

    /// <summary>Peak of RssAnon: heap without mapped files, MB.</summary>
    internal double PeakMegabytes { get; private set; }

    /// <param name="program">What to start.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="threads">Compute threads.</param>
    /// <param name="allocator">Settings of the C library's allocator, in the place of this process's own; null = as here.</param>
    /// <param name="native">Another libtorch's native part; null = this process's own.</param>
    internal static Side Start(string program, IEnumerable<string> arguments, int threads, IReadOnlyDictionary<string, string>? allocator = null, string? native = null)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        foreach (var argument in arguments) start.ArgumentList.Add(argument);
        var count = threads.ToString(CultureInfo.InvariantCulture);
        foreach (var (name, value) in (ReadOnlySpan<(string, string)>)[("OMP_NUM_THREADS", count), ("MKL_NUM_THREADS", count), ("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_VERBOSITY", "error"), ("TOKENIZERS_PARALLELISM", "false")])
            start.Environment[name] = value;
        if (native is not null) start.Environment["PEFTALIGN_NATIVE"] = native;
        if (allocator is not null)
        {
            foreach (var name in start.Environment.Keys.Where(IsAllocators).ToList()) start.Environment.Remove(name);
            foreach (var (name, value) in allocator) start.Environment[name] = value;
        }
        try
        {
            return new Side(Process.Start(start)!);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new UserErrorException($"'{program}' cannot be started: {e.Message}. Name a Python that has the peers with --peers, or leave it out.");
        }
    }

    /// <summary>Waits until it is ready, and returns what it says of itself.</summary>
    internal JsonNode Ready() => Answer();

    /// <summary>Runs until what follows is as fast as it gets: once, and of ours again while .NET still compiles hot code anew on cores that the run needs itself.</summary>
    /// <returns>The first run's answer.</returns>
    internal JsonNode? WarmUp()
    {
        var (seconds, answer) = Run();
        for (var more = 1; more < MostWarmUps && seconds < LongestWarmUp && compiling > CompilingStill; more++) seconds += Run().Seconds;
        return answer;
    }

    /// <summary>Runs once.</summary>
    internal (double Seconds, JsonNode? Answer) Run()
    {
        process.StandardInput.WriteLine("run");
        process.StandardInput.Flush();
        var said = Answer();
        var seconds = (double)said["seconds"]!;
        compiling = (double?)said["compiling"] / seconds ?? 0;
        return (seconds, said["answer"]);
    }

    /// <summary>Runs a program to its end; seconds of the whole process.</summary>
    internal static (double Seconds, double Peak, string Said) Whole(string program, IEnumerable<string> arguments, int threads)
    {
        var clock = Stopwatch.StartNew();
        using var side = Start(program, arguments, threads);
        side.process.StandardInput.Close();
        var said = side.process.StandardOutput.ReadToEnd();
        side.process.WaitForExit();
        var seconds = clock.Elapsed.TotalSeconds;
        if (side.process.ExitCode != 0) throw side.Failed();
        return (seconds, side.PeakMegabytes, said);
    }

    public void Dispose()
    {
        sampler.Dispose();
        try
        {
            process.StandardInput.Close();
            if (!process.WaitForExit(5000)) process.Kill();
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            // It has ended already.
        }
        process.Dispose();
    }

    private static bool IsAllocators(string name) => name.StartsWith("MALLOC_", StringComparison.Ordinal) || name == "GLIBC_TUNABLES";

    // Anything that is not a JSON object is a remark of a library.
    private JsonNode Answer()
    {
        while (process.StandardOutput.ReadLine() is { } line)
            if (line.StartsWith('{')) return JsonNode.Parse(line)!;
        throw Failed();
    }

    private IOException Failed()
    {
        process.WaitForExit();
        // Ours tell how to see more, which is told once at the end.
        var last = complaints.Result.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).TakeLast(3).Select(line => line.EndsWith(Dispatcher.More, StringComparison.Ordinal) ? line[..^Dispatcher.More.Length] : line);
        return new IOException($"{Path.GetFileName(process.StartInfo.FileName)} {string.Join(' ', process.StartInfo.ArgumentList.Take(3))} ended with code {process.ExitCode}: {string.Join(" | ", last)}");
    }

    private void Sample()
    {
        try
        {
            PeakMegabytes = Math.Max(PeakMegabytes, (ProcessStatus.Bytes($"{process.Id}", "RssAnon") ?? 0) / (1024.0 * 1024));
        }
        catch (Exception e) when (e is IOException or InvalidOperationException)
        {
            // It has ended.
        }
    }
}
