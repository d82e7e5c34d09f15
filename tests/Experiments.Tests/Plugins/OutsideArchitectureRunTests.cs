// A third party's architecture in whole experiments: a model of it is made by `init` and trained, and a folder of it is part of the
// identity of what uses it, as its plugin's files are of what --strict compares.

namespace PeftAlign.Experiments.Tests;

public sealed class OutsideArchitectureRunTests
{
    // Built with the tests, outside the product.
    private static string Sample(Peftalign user)
    {
        var (built, folder) = (Path.Combine(Peftalign.Repository, ".build", "artifacts", "bin", "Sample.Starcoder2", "release"), user.File("sample.starcoder2"));
        Directory.CreateDirectory(folder);
        foreach (var file in Directory.GetFiles(built)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        return folder;
    }

    private static string Manifest(string plugin, string model) => $$"""
        peftalign: 1
        name: outside
        seeds: [1]
        plugins: [methods.sft, eval, data, { path: '{{plugin}}' }]
        models:
          coder: {{model}}
          plain: { init: llama, set: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128 }, tokenizer: bytes }
        datasets:
          world: { reader: synthetic, rows: 20, split: train }
        methods:
          teach: { type: sft, learning_rate: 1.0e-3, batch_size: 4, max_steps: 2 }
        train:
          - { models: [coder, plain], datasets: world, methods: teach }
        evaluate:
          - { of: [untouched, trained], with: { type: perplexity, path: text.txt } }
        """;

    [Test]
    public void A_model_is_made_by_init_and_one_on_disk_is_what_its_plugin_computes()
    {
        using var user = new Peftalign();
        var plugin = Sample(user);
        user.Write("text.txt", "One text for both models.\n");
        var made = user.Write("made.yaml", Manifest(plugin, "{ init: starcoder2, set: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, num_key_value_heads: 1 }, tokenizer: bytes }"));
        user.Finish(made);
        var folder = Path.Combine(user.Job("make-model/coder"), "model");
        var config = Peftalign.Json(Path.Combine(folder, "config.json"));
        Assert.That(((string?)config["model_type"], (int?)config["num_key_value_heads"], (int?)config["vocab_size"]), Is.EqualTo(("starcoder2", 1, 259)));

        using var other = new Peftalign();
        other.Write("text.txt", "One text for both models.\n");
        var manifest = other.Write("disk.yaml", Manifest(plugin, $"{{ path: '{folder}' }}"));
        other.Finish(manifest);
        foreach (var label in (string[])["train/coder/world/teach/s1", "evaluate/perplexity/coder", "evaluate/perplexity/coder/world/teach/s1"])
        {
            Assert.That((string?)Peftalign.Json(Path.Combine(other.Job(label), "result.json"))["made_with"]!["sample.starcoder2"], Is.Not.Null, label);
            Assert.That(File.ReadAllText(Path.Combine(other.Job(label.Replace("coder", "plain")), "result.json")), Does.Not.Contain("starcoder2"), label);
        }

        RebuiltPlugin.Make(plugin);
        var told = other.Finish(manifest);
        Assert.That(told.Err, Does.Contain("3 finished job(s) were made with other files of sample.starcoder2, of the same result versions; --strict makes them again").And.Contain("nothing to do"));
        var again = other.Finish(manifest, "--strict");
        Assert.That(again.Err, Does.Contain("3 finished job(s) were made with other files of sample.starcoder2, of the same result versions; they are made again").And.Contain("done train/coder/world/teach/s1").And.Not.Contain("done train/plain"));

        // Another result version is another job, whether or not files are compared.
        var description = Path.Combine(plugin, "plugin.json");
        File.WriteAllText(description, File.ReadAllText(description).Replace("\"resultVersion\":1", "\"resultVersion\":2"));
        var planned = Peftalign.Call("run", manifest, "--out", other.Run, "--dry-run", "--json");
        var open = System.Text.Json.Nodes.JsonNode.Parse(planned.Out)!["jobs"]!.AsArray().Where(job => !(bool)job!["finished"]! && (string?)job["kind"] != "report").Select(job => (string)job!["label"]!);
        Assert.That(open, Is.EquivalentTo((string[])["train/coder/world/teach/s1", "evaluate/perplexity/coder", "evaluate/perplexity/coder/world/teach/s1"]), planned.All);
    }

    [Test]
    public void Train_takes_the_plugin_of_the_models_architecture()
    {
        using var user = new Peftalign();
        var plugin = Sample(user);
        var made = Peftalign.Call("models", "init", "starcoder2", "--out", user.File("coder"), "--set", "vocab_size=64", "--set", "hidden_size=16", "--set", "num_hidden_layers=1", "--plugins", Path.GetDirectoryName(plugin)!);
        Assert.That(made.Code, Is.Zero, made.All);
        var rows = user.Write("rows.jsonl", "{\"prompt_ids\": [1, 2], \"completion_ids\": [3, 4]}\n{\"prompt_ids\": [5], \"completion_ids\": [6, 7, 8]}\n");
        string[] train = ["train", "sft", "--model", user.File("coder"), "--data", rows, "--out", user.File("trained"), "--max-steps", "1", "--batch-size", "2", "--threads", "1"];
        var refused = Peftalign.Call(train);
        Assert.That(refused.Code, Is.EqualTo(2), refused.All);
        Assert.That(refused.Err, Does.Contain("'starcoder2' is not known"));
        var trained = Peftalign.Call([.. train, "--plugins", Path.GetDirectoryName(plugin)!]);
        Assert.That(trained.Code, Is.Zero, trained.All);
    }

    // The architecture of docs/plugins.md, as it stands there.
    [Test]
    public void The_architecture_of_the_page_is_built_made_and_trained()
    {
        using var user = new Peftalign();
        var page = File.ReadAllText(Path.Combine(Peftalign.Repository, "docs", "plugins.md")).Split("## An architecture in whole")[1];
        var source = Directory.CreateDirectory(user.File("Their.Squared")).FullName;
        File.WriteAllText(Path.Combine(source, "Plugin.cs"), page.Split("```csharp\n")[1].Split("```")[0]);
        var plugin = OutsideBuild.Build(source, "Their.Squared");
        user.Write("text.txt", "One text for both models.\n");
        var model = page.Split("```yaml\n")[1].Split("```")[0].Split("coder: ")[1].Split('\n')[0];
        user.Finish(user.Write("page.yaml", Manifest(plugin, model)));
        var config = Peftalign.Json(Path.Combine(user.Job("make-model/coder"), "model", "config.json"));
        Assert.That(((string?)config["model_type"], (bool?)config["gated"], (int?)config["hidden_size"]), Is.EqualTo(("ungated", false, 16)));
        var wrong = Peftalign.Call("run", user.Write("wrong.yaml", Manifest(plugin, model.Replace("gated: false", "gatd: false"))), "--out", user.File("wrong"));
        Assert.That(wrong.Code, Is.EqualTo(2), wrong.All);
        Assert.That(wrong.Err, Does.Contain("did you mean 'gated'"));
    }
}
