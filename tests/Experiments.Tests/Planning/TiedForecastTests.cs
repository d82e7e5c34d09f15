// `train --dry-run` and a plan's forecast over a folder whose configuration ties the head and which stores it all the same.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class TiedForecastTests
{
    // The head differs from the embedding in one number that no sample meets: what loads the model reads both to the end and sees two
    // tables, and a forecast, which does not, counts one.
    [Test]
    public void A_forecast_does_not_read_a_tied_models_tables_to_their_end()
    {
        using var user = new Peftalign();
        const int vocabulary = 8192, width = 16;
        string[] sizes = [$"vocab_size={vocabulary}", $"hidden_size={width}", "intermediate_size=24", "num_hidden_layers=1", "num_attention_heads=2", "max_position_embeddings=32", "tie_word_embeddings=false"];
        var made = Peftalign.Call(["models", "init", "llama", "--out", user.File("model"), .. sizes.SelectMany(size => (string[])["--set", size])]);
        Assert.That(made.Code, Is.Zero, made.All);
        var rows = user.Write("tokens.jsonl", """{"input_ids": [1, 5, 7], "labels": [-100, 5, 7]}""" + "\n");
        long Parameters() => (long)JsonNode.Parse(Peftalign.Call("train", "sft", "--model", user.File("model"), "--data", rows, "--out", user.File("never"), "--adapter", "lora", "--max-steps", "1", "--dry-run", "--json").Out)!["parameters"]!;
        var plan = user.Write("plan.yaml", """
            peftalign: 1
            models: { tiny: { path: model } }
            datasets: { rows: { reader: jsonl, path: tokens.jsonl } }
            adapters: { small: { type: lora, rank: 2, targets: [q_proj] } }
            methods: { tune: { type: sft, adapter: small, max_steps: 1, max_length: 16 } }
            train: [{ models: tiny, datasets: rows, methods: tune }]
            """);
        long Planned() => (long)JsonNode.Parse(Peftalign.Call("run", plan, "--out", user.Run, "--dry-run", "--json").Out)!["forecast"]!["peak_memory_bytes"]!;
        var (apart, planned) = (Parameters(), Planned());
        var (file, config) = (Path.Combine(user.File("model"), "model.safetensors"), Peftalign.Json(Path.Combine(user.File("model"), "config.json")));
        var tensors = RawTensors.Read(file);
        var copy = tensors["model.embed_tokens.weight"];
        Assert.That(copy.Bytes, Has.Length.GreaterThanOrEqualTo(2 * 64 * 4096), "pages lie between the samples");
        tensors["lm_head.weight"] = copy with { Bytes = [.. copy.Bytes] };
        tensors["lm_head.weight"].Bytes[6000] ^= 1;
        RawTensors.Write(file, tensors);
        config["tie_word_embeddings"] = true;
        File.WriteAllText(Path.Combine(user.File("model"), "config.json"), config.ToJsonString());
        Assert.That(Parameters(), Is.EqualTo(apart - vocabulary * width));
        Assert.That(Planned(), Is.EqualTo(planned - sizeof(float) * vocabulary * width));
        tensors["lm_head.weight"].Bytes[2] ^= 1;
        RawTensors.Write(file, tensors);
        Assert.That(Planned(), Is.EqualTo(planned));
        Assert.That(Parameters(), Is.EqualTo(apart), "a head that differs where it is looked at is one of its own");
    }
}
