// Prompt and prefix tuning and bottlenecks as users meet them: train, score, generate, adapter info, merge, combine, chains in a manifest.
// Virtual tokens that begin as a text's tokens and are not moved yet are this text before every prompt.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class FrontAdapterTests
{
    private static readonly int[] Prompt = [403, 407, 261];

    private static string Stories => Peftalign.Stories;

    [Test]
    public void Virtual_tokens_of_a_text_are_the_text()
    {
        using var user = new Peftalign();
        var data = user.Write("data.jsonl", """{"prompt": "Tom had a dog.", "completion": " It was big."}""" + "\n");
        var text = Lines("tokenize", "--model", Stories, "--text", "One day, a girl", "--json")[0];
        int[] before = [.. text["ids"]!.AsArray().Select(id => (int)id!)];
        // The first update of a warm-up has the learning rate 0.
        var trained = Peftalign.Call("train", "sft", "--model", Stories, "--data", data, "--out", user.Run, "--adapter", "prompt", "--num-virtual-tokens", $"{before.Length}",
            "--init", "text", "--init-text", "One day, a girl", "--max-steps", "1", "--warmup-steps", "1", "--threads", "1");
        Assert.That(trained.Code, Is.Zero, trained.All);
        var adapter = Path.Combine(user.Run, "adapter");
        JsonNode Config() => Peftalign.Json(Path.Combine(adapter, "adapter_config.json"));
        Assert.That(((string?)Config()["prompt_tuning_init"], (string?)Config()["prompt_tuning_init_text"], (int)Config()["num_virtual_tokens"]!), Is.EqualTo(("TEXT", "One day, a girl", before.Length)));

        var (alone, whole) = (Row(Prompt), Row([.. before, .. Prompt]));
        List<JsonNode> Asked(string command, JsonObject row, params string[] args) =>
            Lines([command, "--model", Stories, "--in", user.Write("row.jsonl", row.ToJsonString() + "\n"), "--threads", "1", .. args]);
        Assert.That((double)Asked("score", alone, "--adapter", adapter)[0]["logprob"]!, Is.EqualTo((double)Asked("score", whole)[0]["logprob"]!).Within(1e-3));
        Assert.That((double)Asked("score", alone)[0]["logprob"]!, Is.Not.EqualTo((double)Asked("score", whole)[0]["logprob"]!).Within(0.1));
        foreach (var options in (string[][])[["--max-new-tokens", "30"], ["--num-beams", "3", "--n", "3", "--max-new-tokens", "12"], ["--temperature", "0.8", "--n", "2", "--seed", "3", "--max-new-tokens", "12"]])
        {
            static IEnumerable<string> Ids(List<JsonNode> rows) => rows.Select(r => r["ids"]!.ToJsonString());
            Assert.That(Ids(Asked("generate", alone, ["--adapter", adapter, .. options])), Is.EqualTo(Ids(Asked("generate", whole, options))), string.Join(' ', options));
        }

        Assert.That(Peftalign.Call("adapter", "info", adapter).Out, Does.Contain("PROMPT_TUNING").And.Contain("prompt_tuning_init_text"));
        var merged = Peftalign.Call("adapter", "merge", "--model", Stories, "--adapter", adapter, "--out", user.File("merged"));
        Assert.That((merged.Code, Directory.Exists(user.File("merged"))), Is.EqualTo((2, false)), merged.All);
        Assert.That(merged.Err, Does.Contain("virtual tokens stand before the text"));
        var combined = Peftalign.Call("adapter", "combine", "--adapter", adapter, "--adapter", adapter, "--out", user.File("both"));
        Assert.That((combined.Code, Directory.Exists(user.File("both"))), Is.EqualTo((2, false)), combined.All);
        Assert.That(combined.Err, Does.Contain("PROMPT_TUNING"));
    }

    [TestCase("--adapter prompt --init text", "init_text")]
    [TestCase("--adapter prompt --init-text hello", "init_text")]
    [TestCase("--adapter prompt --num-virtual-tokens 0", "num")]
    [TestCase("--adapter prefix --encoder-hidden-size 7", "encoder_hidden_size")]
    [TestCase("--adapter bottleneck --non-linearity cube", "cube")]
    [TestCase("--adapter bottleneck --targets qkv", "qkv")]
    public void What_does_not_fit_is_refused(string options, string named)
    {
        using var user = new Peftalign();
        var data = user.Write("data.jsonl", """{"prompt": "a", "completion": "b"}""" + "\n");
        var outcome = Peftalign.Call(["train", "sft", "--model", Stories, "--data", data, "--out", user.Run, "--max-steps", "1", "--threads", "1", .. options.Split(' ')]);
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Contain(named).And.Not.Contain("   at "));
    }

    private const string Manifest = """
        peftalign: 1
        name: fronts
        seeds: [3]
        models:
          tiny: { init: gpt2, set: { n_embd: 32, n_layer: 1, n_head: 2, n_positions: 128 }, tokenizer: bytes }
        datasets:
          world: { reader: synthetic, rows: 40, split: train }
          exam: { reader: synthetic, rows: 12, split: test }
        adapters:
          soft: { type: prompt, num_virtual_tokens: 4, init: sample_vocab }
          keys: { type: prefix, num_virtual_tokens: 3, prefix_projection: true }
          neck: { type: bottleneck, bottleneck_size: 4, train_norms: true }
          small: { type: lora, rank: 2, targets: all-linear }
        methods:
          tune: { type: sft, adapter: soft, learning_rate: 1.0e-2, batch_size: 8, max_steps: 2 }
          again: { type: dpo, adapter: soft, learning_rate: 1.0e-2, batch_size: 8, max_steps: 2 }
          beside: { type: dpo, adapter: small, learning_rate: 5.0e-3, batch_size: 8, max_steps: 2 }
          apart: { type: dpo, adapter: soft, reference: base, learning_rate: 1.0e-2, batch_size: 8, max_steps: 1 }
          prefixed: { type: sft, adapter: keys, learning_rate: 1.0e-2, batch_size: 8, max_steps: 2 }
          narrowed: { type: dpo, adapter: neck, learning_rate: 1.0e-3, batch_size: 8, max_steps: 2 }
        train:
          - { models: [tiny], datasets: [world], methods: [[tune, again, beside], apart, [prefixed, narrowed]] }
        evaluate:
          - of: [trained]
            with: [{ type: preference, dataset: exam }]
        """;

    [Test]
    public void Chains_start_from_and_refer_to_the_stage_before()
    {
        using var user = new Peftalign();
        user.Finish(user.Write("fronts.yaml", Manifest));
        const string tune = "train/tiny/world/tune";
        const string prefixed = "train/tiny/world/prefixed";
        JsonNode First(string label) => JsonNode.Parse(File.ReadLines(Path.Combine(user.Job(label + "/s3"), "metrics.jsonl")).First())!;
        string?[] Types(string label) => [.. Directory.GetDirectories(Path.Combine(user.Job(label + "/s3"), "adapters")).Order().Select(d => (string?)Peftalign.Json(Path.Combine(d, "adapter_config.json"))["peft_type"])];
        foreach (var stage in (string[])[tune + "/world/again", tune + "/world/again/world/beside", prefixed + "/world/narrowed"])
        {
            Assert.That((double)First(stage)["loss"]!, Is.EqualTo(Math.Log(2)).Within(1e-6), stage);
            Assert.That((double)First(stage)["rewards/margins"]!, Is.EqualTo(0).Within(1e-6), stage);
        }
        Assert.That(Directory.Exists(Path.Combine(user.Job(tune + "/world/again/s3"), "adapters")), Is.False, "a copy went on: one adapter");
        Assert.That(Types(tune + "/world/again/world/beside"), Is.EqualTo((string[])["PROMPT_TUNING", "LORA"]));
        Assert.That(Types(prefixed + "/world/narrowed"), Is.EqualTo((string[])["PREFIX_TUNING", "BOTTLENECK"]));
        Assert.That((double)First("train/tiny/world/apart")["rewards/chosen"]!, Is.Not.EqualTo(0).Within(1e-6), "the base without virtual tokens is another policy than the start");
    }

    private static JsonObject Row(int[] prompt) => new()
    {
        ["prompt_ids"] = new JsonArray([.. prompt.Select(id => (JsonNode)id)]),
        ["completion_ids"] = new JsonArray(268, 388, 426, 300),
    };

    private static List<JsonNode> Lines(params string[] args)
    {
        var outcome = Peftalign.Call(args);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        return [.. outcome.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonNode.Parse(l)!)];
    }
}
