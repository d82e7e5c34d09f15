// Models that are made in the run with a tokenizer that is there already, and with one that is learned from a data set of the manifest.

namespace PeftAlign.Experiments.Tests;

public sealed class MadeTokenizerTests
{
    private const string Shape = "hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128";

    private static string Manifest(string model) => $$"""
        peftalign: 1
        name: tokens
        seeds: [1]
        models:
          tiny: { init: llama, {{model}} }
        datasets:
          world: { reader: synthetic, rows: 40, split: train }
        methods:
          teach: { type: sft, learning_rate: 1.0e-3, batch_size: 4, max_steps: 2 }
        train:
          - { models: tiny, datasets: world, methods: teach }
        """;

    [Test]
    public void A_tokenizer_that_is_there_is_copied_and_decides_the_vocabulary()
    {
        using var user = new Peftalign();
        var from = Directory.CreateDirectory(user.File("tok")).FullName;
        var stories = Peftalign.Stories;
        foreach (var name in (string[])["tokenizer.json", "tokenizer_config.json"]) File.Copy(Path.Combine(stories, name), Path.Combine(from, name));
        user.Write(Path.Combine("tok", "config.json"), "{}");
        foreach (var path in (string[])["tok", "tok/tokenizer.json"])
        {
            var manifest = user.Write("tok.yaml", Manifest($"set: {{ {Shape} }}, tokenizer: {path}"));
            var predicted = Peftalign.Call("run", manifest, "--out", user.Run, "--dry-run");
            Assert.That(predicted.Code, Is.Zero, predicted.All);
            user.Finish(manifest);
            var made = Path.Combine(user.Job("make-model/tiny"), "model");
            Assert.That(File.ReadAllBytes(Path.Combine(made, "tokenizer.json")), Is.EqualTo(File.ReadAllBytes(Path.Combine(stories, "tokenizer.json"))));
            Assert.That((int)Peftalign.Json(Path.Combine(made, "config.json"))["vocab_size"]!, Is.EqualTo(512), path);
            Directory.Delete(user.Run, recursive: true);
        }
        var small = Peftalign.Call("run", user.Write("small.yaml", Manifest($"set: {{ {Shape}, vocab_size: 511 }}, tokenizer: tok")), "--out", user.Run, "--threads", "1");
        Assert.That(small.Code, Is.Not.Zero);
        Assert.That(small.Err, Does.Contain("vocab_size: 511 is less than the 512 ids of the model's tokenizer"));
    }

    [Test]
    public void A_tokenizer_is_learned_from_a_data_set()
    {
        using var user = new Peftalign();
        user.Finish(user.Write("learned.yaml", Manifest($"set: {{ {Shape} }}, tokenizer: {{ train: world, size: 300 }}")));
        var made = Path.Combine(user.Job("make-model/tiny"), "model");
        var config = Peftalign.Json(Path.Combine(made, "config.json"));
        Assert.That(((int)config["vocab_size"]!, (int)config["bos_token_id"]!, (int)config["eos_token_id"]!, (int)config["pad_token_id"]!), Is.EqualTo((300, 0, 1, 2)));
        var model = Peftalign.Json(Path.Combine(made, "tokenizer.json"))["model"]!;
        Assert.That((model["vocab"]!.AsObject().Count, model["merges"]!.AsArray().Count), Is.EqualTo((300, 41)));
        Assert.That(File.ReadLines(Path.Combine(user.Job("train/tiny/world/teach/s1"), "metrics.jsonl")).Count(), Is.EqualTo(2));
        var tokens = Peftalign.Call("tokenize", "--model", made, "--text", "Who is the mayor?");
        Assert.That(tokens.Code, Is.Zero, tokens.All);

        var few = Peftalign.Call("run", user.Write("few.yaml", Manifest($"set: {{ {Shape} }}, tokenizer: {{ train: world, size: 258 }}")), "--out", user.File("few"));
        Assert.That(few.Code, Is.EqualTo(2), few.All);
        Assert.That(few.Err, Does.Contain(":5:").And.Contain("259"));
    }
}
