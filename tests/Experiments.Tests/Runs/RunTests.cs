// The first path through the house, from the command line: what a run leaves, and that it repeats nothing.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class RunTests
{
    [Test]
    public void A_run_trains_evaluates_and_reports_and_the_second_run_repeats_nothing()
    {
        using var user = new Peftalign();
        var manifest = user.Write("short.yaml", Manifests.Short);
        var first = user.Finish(manifest);
        Assert.That(first.Out, Does.Match(@"^policy \(± standard error\) +preference acc\ntiny +0\.\d+ ± 0\.\d+\ntiny/world/teach/s3 +0\.\d+ ± 0\.\d+\ntaught/world/tune/s3 +0\.\d+ ± 0\.\d+\n$"));
        Assert.That(first.Err, Does.EndWith($"report: {Path.Combine(user.Run, "report.html")}\n"));

        var losses = File.ReadLines(Path.Combine(user.Job("train/tiny/world/teach/s3"), "metrics.jsonl")).Select(l => (double)JsonNode.Parse(l)!["loss"]!).ToList();
        Assert.That(losses, Has.Count.EqualTo(40));
        Assert.That(losses[0], Is.EqualTo(Math.Log(259)).Within(0.1), "a new model knows nothing: the loss is the logarithm of the vocabulary");
        Assert.That(losses[^1], Is.LessThan(losses[0] - 1));

        var tuned = user.Job("train/taught/world/tune/s3");
        var config = Peftalign.Json(Path.Combine(tuned, "adapter", "adapter_config.json"));
        Assert.That((string?)config["peft_type"], Is.EqualTo("LORA"));
        Assert.That((int)config["r"]!, Is.EqualTo(4));
        Assert.That(Directory.GetFiles(Path.Combine(tuned, "checkpoints"), "*", SearchOption.AllDirectories), Is.Not.Empty);

        var before = Times(user.Run);
        var second = user.Finish(manifest);
        Assert.That(second.Err, Does.Contain("nothing to do: all 6 jobs are finished"));
        Assert.That(second.Out, Is.EqualTo(first.Out));
        Assert.That(Times(user.Run), Is.EqualTo(before), "no job's file was touched");
    }

    [Test]
    public void Json_is_one_document_and_a_dry_run_touches_nothing()
    {
        using var user = new Peftalign();
        var manifest = user.Write("short.yaml", Manifests.Short);
        var dry = Peftalign.Call("run", manifest, "--out", user.Run, "--dry-run", "--json");
        Assert.That(dry.Code, Is.Zero, dry.All);
        var plan = JsonNode.Parse(dry.Out)!;
        Assert.That((int)plan["counts"]!["train"]!, Is.EqualTo(2));
        Assert.That((int)plan["counts"]!["evaluate"]!, Is.EqualTo(3));
        Assert.That(Directory.Exists(user.Run), Is.False);
    }

    [Test]
    public void All_faults_of_a_manifest_are_said_at_once_and_nothing_is_started()
    {
        using var user = new Peftalign();
        var text = Manifests.Short.Replace("rank: 4", "rnak: 4").Replace("methods: [tune]", "methods: [tunes]").Replace("batch_size: 8, max_steps", "batch_size: 0, max_steps");
        var outcome = Peftalign.Call("run", user.Write("short.yaml", text), "--out", user.Run);
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Contain("rnak").And.Contain("rank").And.Contain("tunes").And.Contain("tune").And.Contain("batch_size").And.Contain("3 fault(s)"));
        Assert.That(outcome.Err, Does.Not.Contain("   at "), "no stack trace");
        Assert.That(Directory.Exists(user.Run), Is.False);
    }

    [Test]
    public void Options_that_must_be_given_are_missed_in_the_plan_with_line_and_column()
    {
        using var user = new Peftalign();
        var text = Manifests.Short.Replace("{ reader: synthetic, rows: 40, split: test }", "{ reader: jsonl }").Replace("type: preference, dataset: exam", "type: preference");
        var outcome = Peftalign.Call("run", user.Write("short.yaml", text), "--out", user.Run);
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Match(@"short\.yaml:9:\d+: datasets\.exam: .*jsonl.* needs the option 'path'"));
        Assert.That(outcome.Err, Does.Match(@"short\.yaml:20:\d+: .*preference.* needs the option 'dataset'").And.Contain("2 fault(s); nothing was started"));
        Assert.That(Directory.Exists(user.Run), Is.False);
        Assert.That(Peftalign.Call("plugins", "info", "data").Out, Does.Contain("path  path, required"));
    }

    [Test]
    public void A_files_columns_may_have_other_names()
    {
        using var user = new Peftalign();
        user.Write("rows.jsonl", string.Concat(Enumerable.Range(0, 20).Select(k => $$"""{"question": "{{k}}?", "answer": " {{k}}!", "note": "n"}""" + "\n")));
        string Manifest(string map) => Manifests.Short.Replace("{ reader: synthetic, rows: 120, split: train }", $"{{ reader: jsonl, path: rows.jsonl, map: {map} }}");
        Assert.That(Manifest("x"), Does.Contain("rows.jsonl"), "the manifest of the tests has changed");
        user.Finish(user.Write("mapped.yaml", Manifest("{ prompt: question, completion: answer }")), "--only", "train/tiny/*");
        Assert.That((int)Peftalign.Json(Path.Combine(user.Job("train/tiny/world/teach/s3"), "ledger.json"))["rows"]!, Is.EqualTo(20));
        var wrong = Peftalign.Call("run", user.Write("wrong.yaml", Manifest("{ prompt: questions, completion: answer }")), "--out", user.File("wrong"), "--only", "train/tiny/*", "--threads", "1");
        Assert.That((wrong.Code, wrong.All.Contains("rows.jsonl, line 1: field 'questions'")), Is.EqualTo((2, true)), wrong.All);
    }

    [Test]
    public void What_is_not_built_is_refused_before_anything_starts()
    {
        using var user = new Peftalign();
        var text = Manifests.Short.Replace("batch_size: 8, max_steps: 40", "dtype: float16, batch_size: 8, max_steps: 40") + "\nmerge: [{ name: both, method: linear, of: { method: tune }, across: dataset }]\n";
        var optimizer = Peftalign.Call("run", user.Write("short.yaml", text.Split("\nmerge:")[0]), "--out", user.Run);
        Assert.That(optimizer.Code, Is.EqualTo(2), optimizer.All);
        Assert.That(optimizer.Err, Does.Contain("dtype").And.Contain("float16").And.Contain("tune").And.Contain("nothing was started"));
        var merge = Peftalign.Call("run", user.Write("short.yaml", text), "--out", user.Run);
        Assert.That(merge.Code, Is.EqualTo(2), merge.All);
        Assert.That(Directory.Exists(user.Run), Is.False);
    }

    [Test]
    public void A_folder_that_cannot_be_made_and_a_second_run_are_told_by_name()
    {
        using var user = new Peftalign();
        var manifest = user.Write("short.yaml", Manifests.Short);
        var file = Peftalign.Call("run", manifest, "--out", manifest);
        Assert.That(file.Code, Is.EqualTo(2), file.All);
        Assert.That(file.Err, Does.Contain("short.yaml").And.Contain("--out"));
        Directory.CreateDirectory(user.Run);
        using var held = new FileStream(Path.Combine(user.Run, "lock"), FileMode.Create, FileAccess.ReadWrite, FileShare.None);
        var second = Peftalign.Call("run", manifest, "--out", user.Run);
        Assert.That(second.Code, Is.EqualTo(2), second.All);
        Assert.That(second.Err, Does.Contain("another run works in this folder"));
    }

    [Test]
    public void A_failing_job_fails_alone_and_is_told_with_its_reason()
    {
        using var user = new Peftalign();
        var text = Manifests.Short.Replace("rank: 4, alpha: 8", "rank: 33, alpha: 8, init: pissa");
        var outcome = Peftalign.Call("run", user.Write("short.yaml", text), "--out", user.Run, "--threads", "1");
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Contain("failed: train/taught/world/tune/s3").And.Contain("has no 33 singular directions"));
        Assert.That(user.Accuracy("evaluate/preference/tiny/world/teach/s3"), Is.InRange(0, 1), "what does not need the failed job was done");
        var quiet = Peftalign.Call("run", user.Write("short.yaml", text), "--out", user.Run, "--threads", "1", "--quiet");
        Assert.That(quiet.Code, Is.EqualTo(2), quiet.All);
        Assert.That(quiet.Err, Does.Match(@"^\d+ jobs are done, 1 failed, ").And.Contain("\nfailed: train/taught/world/tune/s3: ").And.Contain("has no 33 singular directions").And.Contain("what is done stays done; to continue: peftalign run "), "no progress, but what failed");
    }

    private static Dictionary<string, DateTime> Times(string run) =>
        Directory.GetFiles(Path.Combine(run, "jobs"), "*", SearchOption.AllDirectories).ToDictionary(f => f, File.GetLastWriteTimeUtc);
}
