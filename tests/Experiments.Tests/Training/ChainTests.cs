// Chains over adapters from the command line: a copy of the previous stage's adapter is trained where shape and scale agree, a new one
// over the frozen one where not, the weights themselves without an adapter; DPO refers to the stage before, or to the base.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class ChainTests
{
    private const string Manifest = Manifests.Tiny + """
        name: chain
        seeds: [3]
        datasets:
          world: { reader: synthetic, rows: 60, split: train }
          exam: { reader: synthetic, rows: 20, split: test }
        adapters:
          small: { type: lora, rank: 4, alpha: 8, dropout: 0.1, targets: all-linear }
          calm: { type: lora, rank: 4, alpha: 8, targets: all-linear }
          thin: { type: lora, rank: 2, alpha: 2, targets: [q_proj] }
        methods:
          tune: { type: sft, adapter: small, learning_rate: 5.0e-3, batch_size: 8, max_steps: 6 }
          prefer: { type: dpo, adapter: calm, learning_rate: 2.0e-3, batch_size: 8, max_steps: 5 }
          sharpen: { type: dpo, adapter: thin, loss_type: ipo, learning_rate: 2.0e-3, batch_size: 8, max_steps: 4, gradient_checkpointing: true }
          soften: { type: dpo, adapter: thin, reference: base, learning_rate: 1.0e-3, batch_size: 8, max_steps: 3 }
          all: { type: dpo, learning_rate: 1.0e-4, batch_size: 8, max_steps: 3 }
        train:
          - { models: [tiny], datasets: [world], methods: [[tune, prefer, sharpen, soften, all]] }
        evaluate:
          - of: [trained]
            with: [{ type: preference, dataset: exam }]
        """;

    [Test]
    public void Each_stage_starts_from_and_refers_to_the_one_before()
    {
        using var user = new Peftalign();
        var outcome = user.Finish(user.Write("chain.yaml", Manifest), "--only", "*");
        Assert.That(outcome.Out, Does.Contain("world/all/s3"));
        const string tune = "train/tiny/world/tune";
        var (prefer, sharpen) = (tune + "/world/prefer", tune + "/world/prefer/world/sharpen");
        var (soften, all) = (sharpen + "/world/soften", sharpen + "/world/soften/world/all");
        JsonNode First(string label) => JsonNode.Parse(File.ReadLines(Path.Combine(user.Job(label + "/s3"), "metrics.jsonl")).First())!;
        string[] Layers(string label) => [.. Directory.GetDirectories(Path.Combine(user.Job(label + "/s3"), "adapters")).Select(d => Path.GetFileName(d)!).Order()];
        JsonNode Config(string label, params string[] parts) => Peftalign.Json(Path.Combine([user.Job(label + "/s3"), .. parts, "adapter_config.json"]));

        Assert.That((double)First(prefer)["loss"]!, Is.EqualTo(Math.Log(2)).Within(1e-9));
        Assert.That((double)First(prefer)["rewards/margins"]!, Is.Zero);
        Assert.That(Directory.Exists(Path.Combine(user.Job(prefer + "/s3"), "adapters")), Is.False, "a copy went on: one adapter");
        Assert.That((int)Config(prefer, "adapter")["r"]!, Is.EqualTo(4));
        Assert.That((Config(tune, "adapter")["lora_dropout"]!.GetValue<double>(), Config(prefer, "adapter")["lora_dropout"]!.GetValue<double>()), Is.EqualTo((0.1, 0.0)), "each folder says what it was trained under");

        Assert.That((double)First(sharpen)["loss"]!, Is.EqualTo(25).Within(1e-9), "1 / (4 beta^2)");
        Assert.That(Layers(sharpen), Is.EqualTo((string[])["1", "2"]));
        Assert.That((int)Config(sharpen, "adapters", "2")["r"]!, Is.EqualTo(2));
        Assert.That((int)Config(sharpen, "adapter")["r"]!, Is.EqualTo(6), "both as one");
        Assert.That(File.ReadAllBytes(Path.Combine(user.Job(sharpen + "/s3"), "adapters", "1", "adapter_model.safetensors")),
            Is.EqualTo(File.ReadAllBytes(Path.Combine(user.Job(prefer + "/s3"), "adapter", "adapter_model.safetensors"))), "the lower one is the previous stage's");

        Assert.That((double)First(soften)["rewards/chosen"]!, Is.Not.Zero, "the base is another policy than the start");
        Assert.That(Layers(soften), Is.EqualTo((string[])["1", "2"]), "the upper one went on");

        Assert.That((double)First(all)["rewards/margins"]!, Is.Zero, "the whole policy, merged, is start and reference");
        Assert.That(File.Exists(Path.Combine(user.Job(all + "/s3"), "model", "config.json")));
    }

    private const string Covered = Manifests.Tiny + """
        name: covered
        seeds: [3]
        datasets:
          world: { reader: synthetic, rows: 60, split: train }
        adapters:
          wide: { type: lora, rank: 4, targets: [q_proj], modules_to_save: [lm_head], trainable_tokens: [97, 101] }
          thin: { type: lora, rank: 2, targets: [q_proj], modules_to_save: [lm_head], trainable_tokens: [101, 116] }
          bare: { type: lora, rank: 2, targets: [embed_tokens] }
        methods:
          tune: { type: sft, adapter: wide, learning_rate: 1.0e-2, batch_size: 8, max_steps: 8 }
          again: { type: sft, adapter: wide, learning_rate: 1.0e-3, batch_size: 8, max_steps: 2 }
          over: { type: sft, adapter: thin, learning_rate: 1.0e-3, batch_size: 8, max_steps: 2 }
        train:
          - { models: [tiny], datasets: [world], methods: [[tune, again], [tune, over]] }
        """;

    // A head or rows that the new adapter trains whole stand in the place of those that the stage before trained.
    [Test]
    public void A_new_adapter_starts_from_what_the_stage_before_trained_whole()
    {
        using var user = new Peftalign();
        user.Finish(user.Write("covered.yaml", Covered), "--only", "*");
        JsonNode First(string label) => JsonNode.Parse(File.ReadLines(Path.Combine(user.Job($"train/tiny/world/tune{label}/s3"), "metrics.jsonl")).First())!;
        var went = (double)First("/world/again")["loss"]!;
        Assert.That(went, Is.LessThan((double)First("")["loss"]! - 0.1), "the stage before learned");
        Assert.That((double)First("/world/over")["loss"]!, Is.EqualTo(went).Within(1e-5), "the same rows under the same policy");
        // Rows stand over every other change of the embedding.
        var text = Covered.Replace("tune: { type: sft, adapter: wide,", "tune: { type: sft, adapter: bare,");
        var refused = Peftalign.Call("run", user.Write("apart.yaml", text), "--out", user.File("apart"), "--only", "*", "--threads", "1");
        Assert.That(refused.Code, Is.Not.Zero, refused.All);
        Assert.That(refused.All, Does.Contain("trainable_tokens train rows of model.embed_tokens"));
    }

    private const string Rescaling = Manifests.Tiny + """
        name: rescaling
        seeds: [3]
        datasets:
          world: { reader: synthetic, rows: 60, split: train }
          more: { reader: synthetic, rows: 40, split: train }
          exam: { reader: synthetic, rows: 20, split: test }
        adapters:
          rescale: { type: ia3 }
          small: { type: lora, rank: 2, targets: [q_proj] }
        methods:
          tune: { type: sft, adapter: rescale, learning_rate: 2.0e-2, batch_size: 8, max_steps: 6 }
          again: { type: sft, adapter: rescale, learning_rate: 2.0e-2, batch_size: 8, max_steps: 2 }
          beside: { type: sft, adapter: small, learning_rate: 5.0e-3, batch_size: 8, max_steps: 2 }
        train:
          - { models: [tiny], datasets: [world], methods: [[tune, again, beside]] }
          - { models: [tiny], datasets: [world, more], methods: [tune] }
        merge:
          - { name: mean, method: linear, of: { model: tiny, dataset: [world, more], method: tune }, across: dataset, parameters: { weight: 0.5 } }
        evaluate:
          - of: [trained, merged]
            with: [{ type: preference, dataset: exam }]
        """;

    [Test]
    public void Adapters_of_another_type_are_found_by_their_folders_in_chains_evaluations_and_merges()
    {
        using var user = new Peftalign();
        user.Finish(user.Write("rescaling.yaml", Rescaling));
        var again = user.Job("train/tiny/world/tune/world/again/s3");
        Assert.That((string?)Peftalign.Json(Path.Combine(again, "adapter", "adapter_config.json"))["peft_type"], Is.EqualTo("IA3"));
        var beside = user.Job("train/tiny/world/tune/world/again/world/beside/s3");
        Assert.That(((string[])["1", "2"]).Select(k => (string?)Peftalign.Json(Path.Combine(beside, "adapters", k, "adapter_config.json"))["peft_type"]), Is.EqualTo((string[])["IA3", "LORA"]));
        var merge = Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Single(d => (string?)Peftalign.Json(Path.Combine(d, "job.json"))["kind"] == "merge");
        Assert.That((string?)Peftalign.Json(Path.Combine(merge, "result.json"))["outcome"]!["space"], Is.EqualTo("weights"));
        Assert.That(Directory.Exists(Path.Combine(merge, "parents")), Is.False);
        var made = Directory.GetDirectories(Path.Combine(user.Run, "jobs")).Single(d => (string?)Peftalign.Json(Path.Combine(d, "job.json"))["kind"] == "make-model");
        Assert.That(File.ReadAllBytes(Path.Combine(merge, "model", "model.safetensors")), Is.Not.EqualTo(File.ReadAllBytes(Path.Combine(made, "model", "model.safetensors"))));
        var evaluated = Peftalign.Json(Path.Combine(user.Run, "report.json"))["jobs"]!.AsArray().Select(j => (string)j!["label"]!).Where(l => l.StartsWith("evaluate/", StringComparison.Ordinal)).ToList();
        Assert.That(evaluated, Has.Some.Contains("mean").And.Some.Contains("tune"), string.Join("\n", evaluated));
    }

    [Test]
    public void An_option_that_no_loss_uses_is_found_in_the_plan()
    {
        using var user = new Peftalign();
        var text = Manifest.Replace("loss_type: ipo,", "loss_type: ipo, label_smoothing: 0.1, discopop_tau: 1,");
        var outcome = Peftalign.Call("run", user.Write("chain.yaml", text), "--out", user.Run);
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Match(@"chain\.yaml:16:\d+: .*'label_smoothing' is used with loss_type cdpo \| exo_pair \| robust").And.Contain("discopop_tau").And.Contain("2 fault(s)"));
    }
}
