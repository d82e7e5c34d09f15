// One job asked for by several rows, and a merge whose parents are seeds of one policy: each name and each seed has its own number in
// the report.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class PlacesTests
{
    private const string Manifest = """
        peftalign: 1
        name: places
        seeds: [1, 2]
        models:
          tiny: { init: llama, set: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128 }, tokenizer: bytes }
        datasets:
          world: { reader: assistant, rule: helpful, rows: 24 }
          exam: { reader: assistant, rule: helpful, rows: 30, split: test }
        adapters:
          small: { type: lora, rank: 2, alpha: 4, targets: all-linear }
        methods:
          dpo: { type: dpo, adapter: small, beta: 0.5, learning_rate: 1.0e-1, batch_size: 8, max_steps: 4 }
        train:
          - { models: tiny, datasets: world, methods: dpo }
          - { name: again, models: tiny, datasets: world, methods: dpo }
        merge:
          - { name: soup, method: linear, of: { row: again }, across: seed, parameters: { weight: 0.5 } }
          - { name: early, method: linear, of: { row: again, checkpoints: [2, 4] }, across: seed, parameters: { weight: 0.5 } }
        evaluate:
          - { of: [trained, merged, { method: dpo, checkpoints: [2, 4] }], with: { type: preference, name: pref, dataset: exam } }
        report: { claims: ./claims.yaml }
        """;

    private const string Claims = """
        claims:
          - { id: UNNAMED, says: It prefers., metric: pref, contrast: [{ plus: { row: '!again' } }] }
          - { id: CURVE, says: Steps help., metric: pref, contrast: [{ plus: { row: again }, curve: { along: checkpoint, scale: linear, take: height } }] }
          - { id: SOUP, says: The merge of the last step is the merge of the ends., metric: pref, is: within, than: 0.5, contrast: [{ plus: { merge: early } }, { minus: { merge: soup } }] }
          - { id: MERGED, says: Steps help merges., metric: pref, contrast: [{ plus: { merge: early }, curve: { along: checkpoint, scale: linear, take: height } }] }
        """;

    [TestCase]
    [TestCase("--dry-run")]
    public void Claims_that_are_not_there_are_told_with_their_place(params string[] more)
    {
        using var user = new Peftalign();
        var manifest = user.Write("places.yaml", Manifest);
        var line = 1 + Array.FindIndex(Manifest.Split('\n'), row => row.StartsWith("report:", StringComparison.Ordinal));
        var told = Peftalign.Call(["run", manifest, "--out", user.Run, .. more]);
        Assert.That((told.Code, told.Out), Is.EqualTo((2, "")), told.All);
        Assert.That(told.Err, Does.StartWith($"peftalign: {manifest}:{line}:19: ").And.Contain("./claims.yaml' does not exist"));
    }

    [Test]
    public void Each_place_of_a_job_and_each_seed_of_a_merge_is_reported()
    {
        using var user = new Peftalign();
        user.Write("claims.yaml", Claims);
        var ended = user.Finish(user.Write("places.yaml", Manifest));
        Assert.That(ended.Out, Does.Match("(?m)^again/tiny/world/dpo/s1@step:4 ").And.Match("(?m)^tiny/world/dpo/s1@step:4 "));
        var report = JsonNode.Parse(File.ReadAllText(Path.Combine(user.Run, "report.json")))!;
        var numbers = report["results"]!.AsArray().Where(r => (string?)r!["metric"] == "acc").ToDictionary(r => ((string)r!["policy"]!, (int)r["seeds"]!), r => (double)r!["value"]!);
        Assert.That(numbers.Keys.Order(), Is.EqualTo(new[] { "again/tiny/world/dpo", "again/tiny/world/dpo@step:2", "again/tiny/world/dpo@step:4", "early/tiny/world/dpo/step:4", "early/tiny/world/dpo@step:2", "early/tiny/world/dpo@step:4", "soup/tiny/world/dpo", "tiny/world/dpo", "tiny/world/dpo@step:2", "tiny/world/dpo@step:4" }
            .Select(policy => (policy, policy.StartsWith("soup", StringComparison.Ordinal) || policy.StartsWith("early", StringComparison.Ordinal) ? 1 : 2)).Order()));
        Assert.That(numbers[("again/tiny/world/dpo@step:4", 2)], Is.EqualTo(numbers[("tiny/world/dpo", 2)]), "one job");
        Assert.That(report["claims"]!.AsArray().Select(claim => (double?)claim!["estimate"]), Has.None.Null);

        Assert.That((double)report["claims"]!.AsArray().Single(claim => (string?)claim!["id"] == "SOUP")!["estimate"]!, Is.Zero, "one job");

        var merges = report["merges"]!.AsArray().Where(m => ((string)m!["metric"]!).EndsWith(" acc", StringComparison.Ordinal)).ToDictionary(m => (string)m!["merge"]!, m => m!);
        Assert.That(merges.Keys.Order(StringComparer.Ordinal), Is.EqualTo(new[] { "early/tiny/world/dpo/step:4", "early/tiny/world/dpo@step:2", "soup/tiny/world/dpo" }));
        Assert.That(merges["early/tiny/world/dpo@step:2"]["parents"]!.AsObject().Select(p => p.Key), Is.EqualTo(new[] { "again/tiny/world/dpo@step:2/s1", "again/tiny/world/dpo@step:2/s2" }));
        var merge = merges["soup/tiny/world/dpo"];
        var parents = merge["parents"]!.AsObject();
        Assert.That(parents.Select(p => p.Key), Is.EqualTo(new[] { "again/tiny/world/dpo/s1", "again/tiny/world/dpo/s2" }));
        foreach (var seed in (int[])[1, 2])
        {
            var own = report["jobs"]!.AsArray().Single(j => j!["labels"]!.AsArray().Any(label => (string?)label == $"evaluate/pref/tiny/world/dpo/s{seed}"))!;
            Assert.That((double)parents[$"again/tiny/world/dpo/s{seed}"]!, Is.EqualTo((double)own["result"]!["results"]!["acc,none"]!), $"seed {seed}'s own number");
        }
        Assert.That(report["jobs"]!.AsArray().Count(j => (string?)j!["kind"] == "train"), Is.EqualTo(2));
    }
}
