// Grids with selection, run as a user runs them: every variant is trained, the best by its metric goes on into chains, merges and
// evaluations; a killed run makes the same choice; a tie is decided by rule; a metric that is not there is said.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class SelectionTests
{
    private const string Manifest = Manifests.Tiny + """
        name: swept
        seeds: [3]
        datasets:
          world: { reader: synthetic, rows: 60, split: train }
          more: { reader: synthetic, rows: 40, split: train }
          held-out: { reader: synthetic, rows: 16, split: test }
        adapters:
          swept: { type: lora, rank: { grid: [2, 4] }, alpha: 8, targets: all-linear }
        methods:
          tune: { type: sft, adapter: swept, learning_rate: { grid: [5.0e-3, 1.0e-5] }, batch_size: 8, max_steps: 4, eval_data: held-out, select: { by: eval_loss } }
          prefer: { type: dpo, adapter: swept, learning_rate: 1.0e-3, batch_size: 8, max_steps: 2, select: { by: loss, mode: max } }
        train:
          - { models: tiny, datasets: [world, more], methods: tune }
          - { models: tiny, datasets: world, methods: [[tune, prefer]] }
        merge:
          - { name: both, method: dare_ties, of: { method: [[tune]] }, across: dataset, parameters: { density: 0.5, weight: 0.5 } }
        evaluate:
          - { of: [trained, merged], with: { type: preference, dataset: held-out } }
        """;

    [Test]
    public void The_best_variant_of_each_cell_goes_on_and_a_killed_run_chooses_it_again()
    {
        using var user = new Peftalign();
        var manifest = user.Write("swept.yaml", Manifest);
        var dry = JsonNode.Parse(Peftalign.Call("run", manifest, "--out", user.Run, "--dry-run", "--json").Out)!;
        Assert.That(dry["counts"]!.AsObject().ToDictionary(c => c.Key, c => (int)c.Value!), Is.EquivalentTo(new Dictionary<string, int> { ["make-model"] = 1, ["train"] = 10, ["select"] = 3, ["merge"] = 1, ["evaluate"] = 4, ["report"] = 1 }));

        user.Finish(manifest);
        var (world, more) = (Outcome(user, "select/tiny/world/tune[best]/s3"), Outcome(user, "select/tiny/more/tune[best]/s3"));
        foreach (var choice in (JsonNode[])[world, more])
        {
            var values = choice["variants"]!.AsArray().ToDictionary(v => (string)v!["variant"]!, v => (double)v!["value"]!);
            Assert.That(values, Has.Count.EqualTo(4));
            Assert.That((string?)choice["variant"], Is.EqualTo(values.MinBy(v => v.Value).Key).And.Contains("learning_rate=0.005"));
            Assert.That((double)choice["eval_loss"]!, Is.EqualTo(values.Values.Min()));
            foreach (var variant in choice["variants"]!.AsArray())
                Assert.That((double)variant!["value"]!, Is.EqualTo((double)JsonNode.Parse(File.ReadLines(Path.Combine(user.Run, "jobs", (string)variant["id"]!, "metrics.jsonl")).Last())!["eval_loss"]!), "of the final policy");
        }
        // The next stage stands on the chosen one: a first loss of ln 2, and its rank where the adapter is a copy.
        var preferred = Outcome(user, "select/tiny/world/tune[best]/world/prefer[best]/s3");
        Assert.That(preferred["variants"]!.AsArray().Select(v => (string)v!["variant"]!), Is.EqualTo((string[])["rank=2", "rank=4"]));
        var second = Peftalign.Json(Path.Combine(user.Run, "jobs", (string)preferred["chosen"]!, "run.json"));
        Assert.That((string)second["lineage"]!["adapters"]![0]!, Does.Contain((string)world["chosen"]!));
        // A merge of the chosen ones: its parents are the two choices.
        var merge = Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Single(d => Kind(d) == "merge");
        Assert.That(Peftalign.Json(Path.Combine(merge, "job.json"))["options"]!["parents"]!.AsArray().Select(p => Path.Combine(user.Run, "jobs", (string)p!["weights"]!["job"]!)), Is.EquivalentTo((string[])[user.Job("select/tiny/world/tune[best]/s3"), user.Job("select/tiny/more/tune[best]/s3")]));
        Assert.That((string?)Peftalign.Json(Path.Combine(merge, "result.json"))["outcome"]!["space"], Is.EqualTo("weights"));

        var report = Peftalign.Json(Path.Combine(user.Run, "report.json"));
        Assert.That(report["selections"]!.AsArray().Select(s => (string)s!["policy"]!), Is.EquivalentTo((string[])["tiny/world/tune[best]", "tiny/more/tune[best]", "tiny/world/tune[best]/world/prefer[best]"]));
        Assert.That(File.ReadAllText(Path.Combine(user.Run, "report.html")), Does.Contain("Choices among the variants of grids"));
        var shown = Peftalign.Call("runs", "show", user.Run, "--only", "select/*");
        Assert.That(shown.Out, Does.Match(@"select/tiny/world/tune\[best\]/s3 +learning_rate=0\.005,rank=\d: eval_loss \d"), shown.All);

        // As after a kill between a choice and what follows it: the same choice, the same bytes, no training repeated.
        var (before, choices) = (Results(user), Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Where(d => Kind(d) is "select" or "evaluate" or "merge").ToList());
        foreach (var folder in choices) Directory.Delete(folder, recursive: true);
        var trained = Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Where(d => Kind(d) == "train").ToDictionary(d => d, d => File.GetLastWriteTimeUtc(Path.Combine(d, "result.json")));
        user.Finish(manifest);
        Assert.That(Results(user), Is.EquivalentTo(before));
        foreach (var (folder, time) in trained) Assert.That(File.GetLastWriteTimeUtc(Path.Combine(folder, "result.json")), Is.EqualTo(time));

        // Another metric is another choice over the same trainings; one that is not there is named.
        var wrong = Peftalign.Call("run", manifest, "--out", user.Run, "--set", "methods.tune.select.by=eval_lose", "--only", "select/tiny/more/*");
        Assert.That(wrong.Code, Is.EqualTo(2), wrong.All);
        Assert.That(wrong.Err, Does.Contain("eval_lose is no metric of train/tiny/more/tune").And.Contain("eval_loss"));
        // All equal: the variant that trains the fewest numbers.
        user.Finish(manifest, "--set", "methods.tune.select.by=num_tokens", "--only", "select/tiny/more/*");
        var tie = Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Where(d => Kind(d) == "select" && File.Exists(Path.Combine(d, "result.json"))).Select(d => Peftalign.Json(Path.Combine(d, "result.json"))["outcome"]!).Single(o => (string?)o["by"] == "num_tokens");
        Assert.That((int)tie["tied"]!, Is.EqualTo(4));
        Assert.That((string?)tie["variant"], Does.EndWith("rank=2"));
    }

    private static string Kind(string folder) => (string)Peftalign.Json(Path.Combine(folder, "job.json"))["kind"]!;

    private static JsonNode Outcome(Peftalign user, string label) => Peftalign.Json(Path.Combine(user.Job(label), "result.json"))["outcome"]!;

    // result.json says nothing of times: equal for equal work.
    private static Dictionary<string, string> Results(Peftalign user) =>
        Directory.GetDirectories(Path.Combine(user.Run, "jobs")).ToDictionary(d => Path.GetFileName(d)!, d => File.ReadAllText(Path.Combine(d, "result.json")));
}
