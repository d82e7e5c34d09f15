// Kept points of a training in whole runs: evaluations over a training's course, hand-offs at a step and at an epoch, over an adapter,
// over a stack and over all weights; a run that stops at a point and is asked for more goes on from there.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class PointTests
{
    private const string Manifest = Manifests.Tiny + """
        name: points
        seeds: [3]
        datasets:
          world: { reader: synthetic, rows: 64, split: train }
          exam: { reader: synthetic, rows: 20, split: test }
        adapters:
          small: { type: lora, rank: 4, alpha: 8, dropout: 0.1, targets: all-linear }
          thin: { type: lora, rank: 2, alpha: 2, targets: [q_proj] }
        methods:
          full: { type: sft, learning_rate: 3.0e-3, batch_size: 8, max_steps: 20, save_every: 4 }
          tune: { type: sft, adapter: small, learning_rate: 5.0e-3, batch_size: 8, epochs: 2, save_every: 100 }
          prefer: { type: dpo, adapter: thin, learning_rate: 2.0e-3, batch_size: 8, max_steps: 4 }
        train:
          - { models: [tiny], datasets: [world], methods: [[{ method: tune, until: { epoch: 0.5 } }, prefer]] }
        """;

    private const string More = """
          - { models: [tiny], datasets: [world], methods: [full, [{ method: full, until: { step: 10 } }, tune]] }
          - { models: [tiny], datasets: [world], methods: [[{ method: tune, until: { epoch: 0.5 } }, { method: prefer, until: { step: 2 } }, prefer]] }
          - { models: [tiny], datasets: [world], methods: [tune] }
        evaluate:
          - { of: { method: [[full]], checkpoints: [5, 10, 15, 20] }, with: { type: preference, dataset: exam } }
          - { of: { method: [[tune, prefer]], checkpoints: [2] }, with: { type: preference, dataset: exam } }
          - { of: trained, with: { type: preference, dataset: exam } }
        """;

    private const string Tune = "train/tiny/world/tune";
    private const string Prefer = Tune + "@epoch:0.5/world/prefer";

    private static byte[] Weights(params string[] path) => File.ReadAllBytes(Path.Combine(path));

    [Test]
    public void A_training_stops_where_no_more_is_needed_and_goes_on_when_it_is()
    {
        using var user = new Peftalign();
        user.Finish(user.Write("points.yaml", Manifest + "\nevaluate: []\n"));
        var tune = user.Job(Tune + "/s3");
        Assert.That(File.ReadLines(Path.Combine(tune, "metrics.jsonl")).Count(), Is.EqualTo(4), "half an epoch");
        Assert.That(Directory.Exists(Path.Combine(tune, "adapter")), Is.False, "its end is not there");
        Assert.That((int)Peftalign.Json(Path.Combine(tune, "points", "epoch-0.5", "adapter", "adapter_config.json"))["r"]!, Is.EqualTo(4));
        var handed = user.Job(Prefer + "/s3");
        Assert.That(Weights(handed, "adapters", "1", "adapter_model.safetensors"), Is.EqualTo(Weights(tune, "points", "epoch-0.5", "adapter", "adapter_model.safetensors")), "the next stage lies over the point");
        var first = JsonNode.Parse(File.ReadLines(Path.Combine(handed, "metrics.jsonl")).First())!;
        Assert.That((double)first["rewards/margins"]!, Is.Zero, "and refers to it");

        var more = user.Finish(user.Write("points.yaml", Manifest + "\n" + More));
        Assert.That(File.ReadAllText(Path.Combine(tune, "log.txt")), Does.Contain("resumed from step 4"), "although save_every is 100");
        Assert.That(File.ReadLines(Path.Combine(tune, "metrics.jsonl")).Count(), Is.EqualTo(16));
        Assert.That(more.Err, Does.Contain("1 of 15 jobs are finished already"), "those that lack a point are not");

        // The sample-quantity curve: a number for each point, the last that of the end.
        var curve = ((int[])[5, 10, 15]).Select(step => user.Accuracy($"evaluate/preference/tiny/world/full/s3@step:{step}")).Append(user.Accuracy("evaluate/preference/tiny/world/full/s3")).ToList();
        Assert.That(curve, Has.All.InRange(0, 1));
        var full = user.Job("train/tiny/world/full/s3");
        Assert.That(Directory.GetDirectories(Path.Combine(full, "points")).Select(Path.GetFileName), Is.EquivalentTo((string[])["step-5", "step-10", "step-15"]), "20 is the end");
        Assert.That(((string[])["step-5", "step-10", "step-15"]).Select(p => Convert.ToHexString(Weights(full, "points", p, "model", "model.safetensors"))).Append(Convert.ToHexString(Weights(full, "model", "model.safetensors"))), Is.Unique);
        Assert.That(File.Exists(Path.Combine(full, "points", "step-5", "model", "tokenizer.json")), "a whole model folder");

        var third = user.Job(Prefer + "@step:2/world/prefer/s3");
        var point = Path.Combine(handed, "points", "step-2", "adapters");
        Assert.That(Weights(third, "adapters", "1", "adapter_model.safetensors"), Is.EqualTo(Weights(point, "1", "adapter_model.safetensors")), "the frozen layer of a stack");
        Assert.That(Weights(third, "adapters", "2", "adapter_model.safetensors"), Is.Not.EqualTo(Weights(point, "2", "adapter_model.safetensors")), "its upper layer went on");

        using var whole = new Peftalign();
        whole.Finish(whole.Write("points.yaml", Manifest + "\n" + More));
        foreach (var job in Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Select(Path.GetFileName))
            foreach (var file in Directory.GetFiles(Path.Combine(whole.Run, "jobs", job!), "*", SearchOption.AllDirectories).Where(f => f.EndsWith(".safetensors", StringComparison.Ordinal) || Path.GetFileName(f) is "result.json" or "metrics.jsonl" or "results.json"))
                if (!file.Contains("/checkpoints/", StringComparison.Ordinal))
                    Assert.That(Weights(user.Run, "jobs", job!, Path.GetRelativePath(Path.Combine(whole.Run, "jobs", job!), file)), Is.EqualTo(File.ReadAllBytes(file)), $"{job}: {file} of a run that was asked for all at once");
    }

    private const string Scoring = Manifests.Tiny + """
        name: scoring
        seeds: [3]
        datasets:
          world: { reader: synthetic, rows: 40, split: train }
        adapters:
          small: { type: lora, rank: 4, alpha: 8, targets: all-linear }
        methods:
          score: { type: reward, adapter: small, learning_rate: 5.0e-3, lr_scheduler: constant, batch_size: 8, max_steps: 4 }
          brief: { type: reward, adapter: small, learning_rate: 5.0e-3, lr_scheduler: constant, batch_size: 8, max_steps: 2 }
        train:
          - { models: [tiny], datasets: [world], methods: [score, brief] }
        """;

    // A point of a reward model is whole and merged, as its end is; the model that goes on in training is neither.
    [TestCase("lora")]
    [TestCase("qlora")]
    public void A_point_of_a_reward_model_under_an_adapter_leaves_the_training_as_it_is(string adapter)
    {
        var without = Scoring.Replace("type: lora", $"type: {adapter}", StringComparison.Ordinal) + "\nevaluate: []\n";
        using var user = new Peftalign();
        using var plain = new Peftalign();
        plain.Finish(plain.Write("plain.yaml", without));
        user.Finish(user.Write("scoring.yaml", without.Replace("[score, brief]", "[score, [{ method: score, until: { step: 2 } }, brief]]", StringComparison.Ordinal)));
        const string score = "train/tiny/world/score";
        foreach (var file in (string[])["metrics.jsonl", "adapter/adapter_model.safetensors", "model/model.safetensors"])
            Assert.That(Weights(user.Job(score + "/s3"), file), Is.EqualTo(Weights(plain.Job(score + "/s3"), file)), file);
        var (point, brief) = (Path.Combine(user.Job(score + "/s3"), "points", "step-2"), plain.Job("train/tiny/world/brief/s3"));
        foreach (var file in (string[])["adapter/adapter_model.safetensors", "model/model.safetensors", "model/config.json"])
            Assert.That(Weights(point, file), Is.EqualTo(Weights(brief, file)), $"{file} of a training that ends there");
        Assert.That(File.ReadLines(Path.Combine(user.Job(score + "@step:2/world/brief/s3"), "metrics.jsonl")).Count(), Is.EqualTo(2), "the next stage starts from the point's model");
    }

    // Of whole weights no state is kept but the last: what a later point costs is said before and when it is paid.
    [Test]
    public void A_point_that_is_asked_for_too_late_says_what_it_costs()
    {
        using var user = new Peftalign();
        string Asking(string points) => user.Write("late.yaml", Manifest[..Manifest.IndexOf("train:", StringComparison.Ordinal)] + $$"""
            train:
              - { models: [tiny], datasets: [world], methods: [full, tune] }
            evaluate:
              - { of: { method: [full, tune], checkpoints: {{points}} }, with: { type: preference, dataset: exam } }
              - { of: trained, with: { type: preference, dataset: exam } }
            """);
        user.Finish(Asking("[5]"));
        const string whole = "the point step:12 was not kept when the training passed it, so that it starts from the beginning; 20 of the 20 steps";
        const string small = "the point step:12 was not kept when the training passed it, so that it goes on from step 5; 11 of the 16 steps";
        var later = Asking("[5, 12]");
        var dry = Peftalign.Call("run", later, "--out", user.Run, "--dry-run");
        Assert.That(dry.Out, Does.Contain(whole).And.Contain(small), dry.All);
        var end = File.ReadAllBytes(Path.Combine(user.Job("train/tiny/world/full/s3"), "model", "model.safetensors"));
        Assert.That(user.Finish(later).Err, Does.Contain(whole).And.Contain(small));
        Assert.That(File.ReadAllBytes(Path.Combine(user.Job("train/tiny/world/full/s3"), "model", "model.safetensors")), Is.EqualTo(end));
        Assert.That(Peftalign.Call("run", later, "--out", user.Run, "--dry-run").Out, Does.Not.Contain("was not kept"));
    }
}
