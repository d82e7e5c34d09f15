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
        using var user = Frozen.InTime(StoppedThreeTimes);
        var (manifest, job) = (user.File("long.yaml"), user.Job(Training));
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

    // By each of the three signals, and while another run is told that the folder is taken; null where the training was done before its signal.
    private static Peftalign? StoppedThreeTimes()
    {
        var user = new Peftalign();
        var manifest = user.Write("long.yaml", Manifests.Short.Replace("max_steps: 40, save_every: 4,", $"max_steps: {Steps}, save_every: 4,"));
        foreach (var (time, rows, signal) in ((int, int, string)[])[(1, 7, "TERM"), (2, 30, "INT"), (3, 45, "HUP")])
        {
            var end = Stopped(user, manifest, rows, signal, time);
            var job = user.Job(Training);
            if (File.Exists(Path.Combine(job, "result.json")))
            {
                Assert.That(end.Code, Is.AnyOf(0, 130), end.All);
                user.Dispose();
                return null;
            }
            Assert.That(end.Code, Is.EqualTo(130), end.All);
            Assert.That(end.Err, Does.Contain($"stopped {Training}").And.Contain("what is done stays done; to continue: peftalign run ").And.Not.Contain("FAILED"));
            Assert.That(Path.Combine(job, "failure.json"), Does.Not.Exist, "neither done nor failed");
            var process = int.Parse(Regex.Matches(File.ReadAllText(Path.Combine(job, "log.txt")), "in process ([0-9]+),")[^1].Groups[1].Value, CultureInfo.InvariantCulture);
            Assert.That(Processes.IsAlive(process), Is.False, "the job's process ended before the run's");
        }
        return user;
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
        Waiting.For(() => Processes.HasOpen(process.Id, "large.bin") ? 1 : process.HasExited ? throw new AssertionException(err.Result) : 0, "the file is never read");
        Processes.Signal(process.Id, "INT");
        var ended = process.WaitForExit(TimeSpan.FromMinutes(5));
        if (!ended) process.Kill(entireProcessTree: true);
        Assert.That(ended, "it goes on reading");
        Assert.That(process.ExitCode, Is.EqualTo(130), err.Result + text.Result);
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

    // Starts the run for the n-th time, and ends it with a signal once it trains and so many rows are there, which may be of the time before.
    private static Outcome Stopped(Peftalign user, string manifest, int rows, string signal, int time)
    {
        using var process = Peftalign.Start("run", manifest, "--out", user.Run, "--threads", "1");
        var (err, text) = (process.StandardError.ReadToEndAsync(), process.StandardOutput.ReadToEndAsync());
        if (time == 1) Frozen.At(process, () => File.Exists(Path.Combine(user.Run, "plan.json")), () => ASecondIsRefused(user, manifest));
        Frozen.At(process, () => Begun(user) == time && Rows(user) is var done && done >= rows && done < Steps, () => Processes.Signal(process.Id, signal));
        process.WaitForExit();
        return new Outcome(process.ExitCode, text.Result, err.Result);
    }

    private static void ASecondIsRefused(Peftalign user, string manifest)
    {
        var second = Peftalign.Call("run", manifest, "--out", user.Run, "--threads", "1");
        Assert.That((second.Code, second.Err), Is.EqualTo((2, $"peftalign: {user.Run}: another run works in this folder; wait for it, or give --out another folder\n")));
    }

    // How many processes have begun the training.
    private static int Begun(Peftalign user)
    {
        try
        {
            return Regex.Count(File.ReadAllText(Path.Combine(user.Job(Training), "log.txt")), "in process [0-9]+,");
        }
        catch (Exception e) when (e is IOException or InvalidOperationException or System.Text.Json.JsonException)
        {
            return 0; // not there yet
        }
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
