// A whole experiment over a third party's plugins, built outside the tree: 3 models x 2 data sets x 2 methods, in real processes, two
// at a time, with trackers, of which one breaks; and what becomes of a job in native code whose run is killed.

using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace PeftAlign.Experiments.Tests;

[Parallelizable(ParallelScope.Self)]
[System.Runtime.Versioning.SupportedOSPlatform("linux")]
public sealed class OutsideSetTests
{
    private readonly Peftalign place = new();
    private string plugin = "";

    [OneTimeSetUp]
    public void BuildOutside()
    {
        plugin = OutsideBuild.Fixture(place, "Their.Set");
    }

    [OneTimeTearDown]
    public void Remove() => place.Dispose();

    private string Manifest(string log) => $$"""
        peftalign: 1
        name: outside
        seeds: [1]
        plugins: [{ path: '{{plugin}}' }]
        models:
          a: { init: llama, set: &tiny { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 64 }, tokenizer: bytes, seed: 1 }
          b: { init: llama, set: *tiny, tokenizer: bytes, seed: 2 }
          c: { init: mistral, set: *tiny, tokenizer: bytes, seed: 3 }
        datasets:
          low: { reader: their-sums }
          high: { reader: their-sums, from: 500 }
        methods:
          plain: { type: their-nll, learning_rate: 5.0e-3, batch_size: 4, max_steps: 4 }
          heavy: { type: their-nll, factor: 2, learning_rate: 1.0e-2, batch_size: 4, max_steps: 4 }
        train:
          - { models: [a, b, c], datasets: [low, high], methods: [plain, heavy] }
        evaluate:
          - { of: trained, with: { type: their-exam, count: 8 } }
        track: [{ type: their-log, file: '{{log}}' }, { type: their-broken }]
        """;

    [Test]
    public void Three_models_two_data_sets_and_two_methods_run_end_to_end()
    {
        using var user = new Peftalign();
        var log = user.File("tracked.txt");
        var end = user.Finish(user.Write("outside.yaml", Manifest(log)), "--jobs", "2");
        var jobs = Peftalign.Json(Path.Combine(user.Run, "report.json"))["jobs"]!.AsArray().GroupBy(job => (string)job!["kind"]!).ToDictionary(kind => kind.Key, kind => kind.Count());
        Assert.That(jobs, Is.EquivalentTo(new Dictionary<string, int> { ["make-model"] = 3, ["train"] = 12, ["evaluate"] = 12 }), end.All);
        var numbers = Peftalign.Json(Path.Combine(user.Run, "report.json"))["jobs"]!.AsArray().Where(job => (string?)job!["kind"] == "evaluate").Select(job => (double)job!["result"]!["results"]!["log_prob,none"]!).ToList();
        Assert.That(numbers, Has.All.LessThan(0).And.All.GreaterThan(-100));
        Assert.That(numbers, Is.Unique, "every policy is another");
        Trackers(user, File.ReadAllLines(log));
        AnotherTracker(user);
    }

    // Where numbers go is no part of what is done: another tracker repeats nothing, and the row of a broken one is still there.
    private void AnotherTracker(Peftalign user)
    {
        var again = user.Finish(user.Write("outside.yaml", Manifest(user.File("other.txt"))), "--jobs", "2");
        Assert.That(again.Err, Does.Contain("nothing to do: all 27 jobs are finished"));
        Assert.That(File.Exists(user.File("other.txt")), Is.False);
    }

    private static void Trackers(Peftalign user, string[] told)
    {
        const string train = "train/a/low/plain/s1";
        var own = told.Where(line => line.Contains($" {train}", StringComparison.Ordinal)).ToList();
        var losses = File.ReadLines(Path.Combine(user.Job(train), "metrics.jsonl")).Select((row, k) => $"step {train} {k + 1} {((double)System.Text.Json.Nodes.JsonNode.Parse(row)!["loss"]!).ToString("R", CultureInfo.InvariantCulture)}").ToList();
        Assert.That(losses, Has.Count.EqualTo(4));
        Assert.That(own, Is.EqualTo((string[])[$"start {train} 1", .. losses, own[^2], $"dispose {train}"]));
        Assert.That(own[^2], Does.StartWith($"Finished {train} ").And.Contain("final_loss").And.EndWith(" with its result"));
        Assert.That(told.Count(line => line.StartsWith("start ", StringComparison.Ordinal)), Is.EqualTo(27), "every job");
        Assert.That(told.Count(line => Regex.IsMatch(line, "^Finished evaluate/.* log_prob")), Is.EqualTo(12));
        var log = File.ReadAllText(Path.Combine(user.Job(train), "log.txt"));
        Assert.That(Regex.Count(log, "the tracker their.set/their-broken failed"), Is.EqualTo(1), "told once\n" + log);
        Assert.That(log, Does.Contain("the server went away").And.Not.Contain("never told"));
    }

    [Test]
    public void What_a_tracker_cannot_be_is_found_in_the_plan()
    {
        using var user = new Peftalign();
        var text = Manifest("x").Replace("type: their-broken", "type: their-brokn").Replace("type: their-log,", "type: their-log, flie: y,");
        var outcome = Peftalign.Call("run", user.Write("outside.yaml", text), "--out", user.Run);
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Contain("did you mean 'their-broken'").And.Contain("did you mean 'file'").And.Contain("2 fault(s)"));
    }

    // The grace is 10 seconds; nothing but the end of the process brings such a job back.
    [Test]
    public void A_job_in_native_code_does_not_outlive_its_killed_run()
    {
        using var user = new Peftalign();
        var manifest = user.Write("stuck.yaml", Manifest(user.File("tracked.txt")).Replace("low: { reader: their-sums }", "low: { reader: their-stuck }"));
        using var run = Peftalign.Start("run", manifest, "--out", user.Run, "--threads", "1", "--only", "train/a/low/plain/*");
        _ = (run.StandardError.ReadToEndAsync(), run.StandardOutput.ReadToEndAsync());
        var stuck = Waiting.For(() => InNativeCode(user), "the job never came to its native call");
        var clock = Stopwatch.StartNew();
        run.Kill();
        run.WaitForExit();
        Waiting.For(() => Processes.IsAlive(stuck) ? 0 : 1, "the job outlived its run");
        Assert.That(clock.Elapsed, Is.GreaterThan(TimeSpan.FromSeconds(9)), "a stop that it could heed ended it: it was not in native code");
    }

    [Test]
    public void A_crash_in_native_code_fails_its_job_alone_with_the_last_lines_of_its_log()
    {
        using var user = new Peftalign();
        var text = Manifest(user.File("tracked.txt"))
            .Replace("low: { reader: their-sums }", "low: { reader: their-crash }\n  good: { reader: their-sums }").Replace("high: { reader: their-sums, from: 500 }", "high: { reader: their-crash, abort: true }")
            .Replace("models: [a, b, c], datasets: [low, high], methods: [plain, heavy]", "models: a, datasets: [low, high, good], methods: plain");
        var end = Peftalign.Call("run", user.Write("crash.yaml", text), "--out", user.Run, "--threads", "1");
        Assert.That(end.Code, Is.EqualTo(1), end.All);
        Assert.That(end.Err, Does.Contain("3 jobs are done, 2 failed, 2 were not started"));
        foreach (var (dataset, said) in (ValueTuple<string, string>[])[("low", "the process crashed in native code (signal 11)"), ("high", "the process was aborted in native code (signal 6)")])
            Assert.That(end.Err.Split("failed: train/a/" + dataset + "/plain/s1: ")[^1].Split("failed: ")[0], Does.StartWith(said).And.Contain("about to crash"), end.All);
        Assert.That(File.Exists(Path.Combine(user.Job("evaluate/their-exam/a/good/plain/s1"), "result.json")), "what needs neither was done");
    }

    private static int InNativeCode(Peftalign user)
    {
        if (!Directory.Exists(Path.Combine(user.Run, "jobs"))) return 0;
        var logs = Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Select(job => Path.Combine(job, "log.txt")).Where(File.Exists).Select(File.ReadAllText).FirstOrDefault(text => text.Contains("stuck in native code", StringComparison.Ordinal));
        return logs is null ? 0 : int.Parse(Regex.Match(logs, "in process ([0-9]+),").Groups[1].Value, CultureInfo.InvariantCulture);
    }

    // Nobody asked for an end: what a plugin's own time limit cancels is a failure with its cause.
    [Test]
    public void A_plugins_own_cancellation_is_a_failure_that_says_its_cause()
    {
        using var user = new Peftalign();
        var text = Manifest(user.File("tracked.txt")).Replace("low: { reader: their-sums }", "low: { reader: their-crash, times_out: true }")
            .Replace("models: [a, b, c], datasets: [low, high], methods: [plain, heavy]", "models: a, datasets: [low, high], methods: plain");
        var end = Peftalign.Call("run", user.Write("late.yaml", text), "--out", user.Run, "--threads", "1");
        Assert.That(end.Code, Is.EqualTo(1), end.All);
        Assert.That(end.Err, Does.Contain($"failed: train/a/low/plain/s1: Plugin their.set ({Path.Combine(plugin, "Their.Set.dll")}) failed in Their.Set.Crash with TaskCanceledException: The request was canceled due to the configured HttpClient.Timeout of 5 seconds elapsing;").And.Not.Contain("signal"));
        Assert.That(File.ReadAllText(user.File("tracked.txt")), Does.Contain("Failed train/a/low/plain/s1").And.Not.Contain("Interrupted"));
        Assert.That(File.Exists(Path.Combine(user.Job("evaluate/their-exam/a/high/plain/s1"), "result.json")), "what needs neither was done");
    }
}
