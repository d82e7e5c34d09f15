// A run that is stopped: another one on its folder, SIGTERM, SIGINT, SIGHUP, other threads on resume, a folder that cannot be written.

using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PeftAlign.Experiments.Tests;

[NonParallelizable]
public sealed class InterruptTests
{
    private const int Steps = 160;
    private const string Training = "train/tiny/world/teach/s3";

    [Test]
    public void A_stopped_run_keeps_its_state_and_its_threads()
    {
        using var user = new Peftalign();
        // So long that the run still trains when the second one has been told.
        var manifest = user.Write("long.yaml", Manifests.Short.Replace("max_steps: 40, save_every: 4,", $"max_steps: {Steps}, save_every: 4,"));
        var end = Stopped(user, manifest, 7, () =>
        {
            var second = Peftalign.Call("run", manifest, "--out", user.Run, "--threads", "1");
            Assert.That((second.Code, second.Err), Is.EqualTo((2, $"peftalign: {user.Run}: another run works in this folder; wait for it, or give --out another folder\n")));
        });
        Assert.That(end.Code, Is.EqualTo(130), end.All);
        Assert.That(end.Err, Does.Contain($"stopped {Training}").And.Contain("what is done stays done; to continue: peftalign run ").And.Not.Contain("FAILED"));
        var job = user.Job(Training);
        Assert.That(File.Exists(Path.Combine(job, "result.json")) || File.Exists(Path.Combine(job, "failure.json")), Is.False, "neither done nor failed");
        var pid = int.Parse(Regex.Match(File.ReadAllText(Path.Combine(job, "log.txt")), "in process ([0-9]+),").Groups[1].Value, CultureInfo.InvariantCulture);
        Assert.That(Directory.Exists($"/proc/{pid}"), Is.False, "the job's process ended before the run's");

        foreach (var (rows, signal) in ((int, string)[])[(30, "INT"), (45, "HUP")])
        {
            var again = Stopped(user, manifest, rows, () => { }, signal);
            Assert.That(again.Code, Is.EqualTo(130), again.All);
            Assert.That(again.Err, Does.Contain($"stopped {Training}").And.Contain("to continue: peftalign run "));
        }

        var other = Peftalign.Call("run", manifest, "--out", user.Run, "--threads", "2", "--only", "train/tiny/*");
        Assert.That(other.Code, Is.EqualTo(2), other.All);
        Assert.That(other.Err, Does.Contain("--threads 2: this run was created with 1 thread(s) per job").And.Contain("--inexact"));
        var more = Peftalign.Call("run", manifest, "--out", user.Run, "--threads", "2", "--inexact", "--only", "train/tiny/*");
        Assert.That(more.Code, Is.Zero, more.All);
        Assert.That(File.ReadAllText(Path.Combine(job, "log.txt")), Does.Contain("resumed from step").And.Match("in process [0-9]+, 2 thread"));
        Assert.That((int)Peftalign.Json(Path.Combine(user.Run, "run.json"))["threads"]!, Is.EqualTo(2));
        var steps = File.ReadLines(Path.Combine(job, "metrics.jsonl")).Select(line => (int)JsonNode.Parse(line)!["step"]!);
        Assert.That(steps, Is.EqualTo(Enumerable.Range(1, Steps)));
    }

    // Of a folder with a file so long that nobody would wait for its hash.
    [TestCase("train", "sft", "--model", "MODEL", "--data", "ROWS", "--max-steps", "1")]
    [TestCase("eval", "--model", "MODEL", "--benchmarks", "perplexity", "--data", "ROWS")]
    [TestCase("winrate", "--a", "ROWS", "--b", "ROWS", "--judge", "MODEL")]
    public void An_interrupt_ends_the_hashing_of_a_folder(params string[] asked)
    {
        using var user = new Peftalign();
        var made = Peftalign.Call("models", "init", "llama", "--out", user.File("model"), "--set", "hidden_size=8", "--set", "intermediate_size=8", "--set", "num_hidden_layers=1", "--set", "num_attention_heads=1", "--set", "vocab_size=300");
        Assert.That(made.Code, Is.Zero, made.All);
        var rows = user.Write("rows.jsonl", """{"prompt": "a", "response": "b", "text": "ab"}""" + "\n");
        using (var large = File.Create(user.File("model/large.bin"))) large.SetLength(1L << 40);
        using var process = Peftalign.Start([.. asked.Select(word => word switch { "MODEL" => user.File("model"), "ROWS" => rows, _ => word }), "--out", user.Run]);
        var (err, text) = (process.StandardError.ReadToEndAsync(), process.StandardOutput.ReadToEndAsync());
        Waiting.For(() => Opened(process, "large.bin") ? 1 : process.HasExited ? throw new AssertionException(err.Result) : 0, "the file is never read");
        Process.Start("kill", ["-INT", process.Id.ToString(CultureInfo.InvariantCulture)])!.WaitForExit();
        var ended = process.WaitForExit(TimeSpan.FromSeconds(60));
        if (!ended) process.Kill(entireProcessTree: true);
        Assert.That(ended, "it goes on reading");
        Assert.That(process.ExitCode, Is.EqualTo(130), err.Result + text.Result);
    }

    private static bool Opened(Process process, string name)
    {
        try
        {
            return Directory.GetFiles($"/proc/{process.Id}/fd").Any(file => File.ResolveLinkTarget(file, returnFinalTarget: false)?.Name == name);
        }
        catch (IOException)
        {
            return false; // closed meanwhile, or the process has ended
        }
    }

    [Test]
    [System.Runtime.Versioning.SupportedOSPlatform("linux")]
    public void A_folder_that_cannot_be_written_is_told_and_left_as_it_is()
    {
        using var user = new Peftalign();
        var manifest = user.Write("short.yaml", Manifests.Short);
        foreach (var left in (string[])["", "lock"]) // a new folder, and one of an earlier run
        {
            Directory.CreateDirectory(user.Run);
            if (left.Length > 0) File.WriteAllText(Path.Combine(user.Run, left), "");
            File.SetUnixFileMode(user.Run, UnixFileMode.UserRead | UnixFileMode.UserExecute);
            var outcome = WithoutOverride("run", manifest, "--out", user.Run, "--threads", "1");
            File.SetUnixFileMode(user.Run, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
            Assert.That(outcome.Err, Does.StartWith($"peftalign: {user.Run}: cannot be written (").And.Contain("make it writable for you, or give --out another folder").And.Not.Contain("   at "));
            Assert.That(Directory.GetFileSystemEntries(user.Run).Select(Path.GetFileName), Is.EqualTo(left.Length > 0 ? [left] : Array.Empty<string>()));
        }
    }

    // Starts the run, does something while it holds its folder, and ends it with a signal once the training has so many rows.
    private static Outcome Stopped(Peftalign user, string manifest, int rows, Action meanwhile, string signal = "TERM")
    {
        using var process = Peftalign.Start("run", manifest, "--out", user.Run, "--threads", "1");
        var (err, text) = (process.StandardError.ReadToEndAsync(), process.StandardOutput.ReadToEndAsync());
        Waiting.For(() => File.Exists(Path.Combine(user.Run, "plan.json")) ? 1 : 0, "the run never began");
        meanwhile();
        Waiting.For(() => Rows(user) >= rows ? 1 : process.HasExited ? throw new AssertionException(err.Result) : 0, "the training never began");
        Process.Start("kill", ["-" + signal, process.Id.ToString(CultureInfo.InvariantCulture)])!.WaitForExit();
        process.WaitForExit();
        return new Outcome(process.ExitCode, text.Result, err.Result);
    }

    private static int Rows(Peftalign user)
    {
        try
        {
            return TrainRows.Rows(user.Job(Training));
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or System.Text.Json.JsonException)
        {
            return 0; // not there yet
        }
    }

    // Permissions mean nothing to root: without that capability they do.
    private static Outcome WithoutOverride(params string[] args)
    {
        var product = Path.Combine(Peftalign.Repository, "peftalign");
        string[] command = Environment.IsPrivilegedProcess ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search", product, .. args] : [product, .. args];
        using var process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var err = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return new Outcome(process.ExitCode, text, err.Result);
    }
}
