// Data sets that are mixed, and data sets that a model of the run writes, from the manifest to the trained policy.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class MixtureTests
{
    private const string Manifest = Manifests.Tiny + """
          taught: { run: { model: tiny, method: teach, dataset: mixed } }
        name: mixed
        seeds: [3]
        datasets:
          world: { reader: synthetic, rows: 90, split: train }
          few: { reader: synthetic, rows: 6, seed: 9, split: train }
          exam: { reader: synthetic, rows: 30, split: test }
          mixed: { mixture: { world: 1, few: 3 } }
          nested: { mixture: [mixed, world], take: 40 }
          written: { reader: sampled-pairs, prompts: few, model: taught, samples: 3, max_new_tokens: 12, seed: 4 }
          judged: { reader: sampled-pairs, prompts: few, model: taught, judge: learned, samples: 4, max_new_tokens: 12 }
        adapters:
          small: { type: lora, rank: 4, alpha: 8, targets: all-linear }
        methods:
          teach: { type: sft, learning_rate: 3.0e-3, batch_size: 8, max_steps: 12 }
          prefer: { type: dpo, adapter: small, learning_rate: 2.0e-3, batch_size: 4, max_steps: 4 }
          rate: { type: reward, batch_size: 4, max_steps: 4 }
        judges:
          learned: { run: { method: rate, seed: 3 } }
        train:
          - { models: tiny, datasets: [mixed, nested], methods: teach }
          - { models: tiny, datasets: world, methods: rate }
          - { models: taught, datasets: [written, judged], methods: prefer }
        evaluate:
          - { of: { model: taught }, with: [{ type: preference, dataset: exam }] }
          - { of: { method: teach }, with: [{ type: preference, dataset: nested, name: nested }] }
        """;

    private static JsonNode Forecast(Peftalign user, string manifest, params string[] more)
    {
        var dry = Peftalign.Call(["run", manifest, "--out", user.Run, "--threads", "1", "--dry-run", "--json", .. more]);
        Assert.That(dry.Code, Is.Zero, dry.All);
        return JsonNode.Parse(dry.Out)!["forecast"]!;
    }

    // Time is a machine's own.
    private static void Near(JsonNode said, string[] jobs)
    {
        var disk = jobs.SelectMany(Directory.GetFiles).Sum(file => new FileInfo(file).Length);
        Assert.That((double)said["disk_bytes"]! / disk, Is.InRange(0.7, 1.8));
        Assert.That((double)said["peak_memory_bytes"]! / jobs.Max(job => (long)Peftalign.Json(Path.Combine(job, "timing.json"))["peak_memory_bytes"]!), Is.InRange(0.65, 1.5));
        Assert.That((double)said["seconds"]!, Is.Positive);
    }

    [Test]
    public void Mixtures_and_data_made_in_the_run_are_trained_on_and_kept()
    {
        using var user = new Peftalign();
        var manifest = user.Write("mixed.yaml", Manifest);
        var said = Forecast(user, manifest);
        Assert.That((int)said["not_predicted"]!, Is.Zero);
        var epochs = Forecast(user, manifest, "--set", "methods.prefer={ type: dpo, adapter: small, batch_size: 4, epochs: 1 }");
        Assert.That(((int)epochs["not_predicted"]!, (bool)epochs["assumes_longest_rows"]!), Is.EqualTo((0, true)), "how many rows are made at most is known");
        user.Finish(manifest);
        Near(said["kinds"]!["make-dataset"]!, [user.Job("make-dataset/written/s3"), user.Job("make-dataset/judged/s3")]);

        var ledger = Peftalign.Json(Path.Combine(user.Job("train/tiny/mixed/teach/s3"), "ledger.json"))["sources"]!.AsObject();
        Assert.That(ledger.ToDictionary(s => s.Key, s => ((double)s.Value!["proportion"]!, (int)s.Value["rows"]!)), Is.EquivalentTo(new Dictionary<string, (double, int)> { ["world"] = (0.25, 90), ["few"] = (0.75, 6) }));
        // [mixed, world] by size: 96 of 186 rows are mixed, a quarter of them from world; of the first 40 each has its share, and few has no more than 6.
        var nested = Peftalign.Json(Path.Combine(user.Job("train/tiny/nested/teach/s3"), "ledger.json"))["sources"]!.AsObject();
        Assert.That(nested.Select(s => s.Key), Is.EquivalentTo(new[] { "world", "few", "world (2)" }));
        Assert.That((int)nested["few"]!["rows"]!, Is.EqualTo(6));

        var written = Rows(user.Job("make-dataset/written/s3"));
        Assert.That(written, Is.Not.Empty);
        Assert.That(written.All(r => (string)r["chosen"]! != (string)r["rejected"]! && ((string)r["prompt"]!).StartsWith("Q: ", StringComparison.Ordinal)));
        Assert.That(written.Select(r => (string)r["chosen"]!), Is.SubsetOf(Rows(user.Job("make-dataset/written/s3")).Select(r => (string)r["completion"]!)));
        Assert.That(Rows(user.Job("make-dataset/judged/s3")), Has.Count.InRange(1, 6));
        Assert.That(user.Accuracy("evaluate/preference/taught/written/prefer/s3"), Is.InRange(0, 1));

        // All is done; what a killed job had answered is not asked again, and the same rows come out.
        var folder = user.Job("make-dataset/written/s3");
        var (rows, answers) = (File.ReadAllText(Path.Combine(folder, "rows.jsonl")), File.ReadAllText(Path.Combine(folder, "answers.jsonl")));
        Assert.That(user.Finish(manifest).All, Does.Contain("nothing to do").Or.Contain("done"));
        foreach (var file in (string[])["result.json", "rows.jsonl"]) File.Delete(Path.Combine(folder, file));
        user.Finish(manifest);
        Assert.That(File.ReadAllText(Path.Combine(folder, "rows.jsonl")), Is.EqualTo(rows));
        Assert.That(File.ReadAllText(Path.Combine(folder, "answers.jsonl")), Is.EqualTo(answers));
    }

    private static List<JsonNode> Rows(string job) => [.. File.ReadLines(Path.Combine(job, "rows.jsonl")).Select(line => JsonNode.Parse(line)!)];
}
