// Training on from folders that are not quite this product's own.

namespace PeftAlign.Experiments.Tests;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class InitAdapterTests
{
    private Peftalign user = null!;

    private static string Model => Path.Combine(Peftalign.Repository, "tests", "fixtures", "stories260K");

    private string Adapter => Path.Combine(user.Run, "adapter");

    [SetUp]
    public void Open()
    {
        user = new Peftalign();
        TrainRows.Write(user);
    }

    [TearDown]
    public void Close() => user.Dispose();

    private Outcome Train(string name, params string[] more) =>
        Peftalign.Call(["train", "sft", "--model", Model, "--data", TrainRows.Path(user), "--out", user.File(name), "--adapter", "lora", "--max-steps", "1", "--batch-size", "2", "--threads", "1", .. more]);

    private void MakeAdapter()
    {
        var made = Train("out", "--rank", "4", "--alpha", "8", "--targets", "q_proj,v_proj");
        Assert.That(made.Code, Is.Zero, made.All);
    }

    // PEFT's folder of a base whose embedding was changed. The options mean the same modules in other words.
    [Test]
    public void A_folder_that_also_holds_another_bases_table_has_the_same_targets()
    {
        MakeAdapter();
        var table = RawTensors.Read(Path.Combine(Model, "model.safetensors"))["model.embed_tokens.weight"];
        table.Bytes[6] ^= 1;
        var file = Path.Combine(Adapter, "adapter_model.safetensors");
        RawTensors.Write(file, new(RawTensors.Read(file)) { ["base_model.model.model.embed_tokens.weight"] = table });
        Outcome Run(string name, string targets) => Peftalign.Call("run", user.Write(name + ".yaml", $$"""
            peftalign: 1
            name: {{name}}
            models: { stories: { path: "{{Model}}" } }
            datasets: { rows: { reader: jsonl, path: "{{TrainRows.Path(user)}}" } }
            adapters: { small: { type: lora, rank: 4, alpha: 8, targets: ['{{targets}}'] } }
            methods: { go: { type: sft, adapter: small, init_adapter: "{{Adapter}}", max_steps: 1, batch_size: 2 } }
            train: [{ models: [stories], datasets: [rows], methods: [go] }]
            """), "--out", user.File(name), "--only", "*", "--threads", "1");
        var same = Run("same", @".*\.(q|v)_proj");
        Assert.That(same.Code, Is.Zero, same.All);
        var written = Directory.GetFiles(user.File("same"), "adapter_model.safetensors", SearchOption.AllDirectories).Select(RawTensors.Read).First();
        Assert.That(written["base_model.model.model.embed_tokens.weight"].Bytes, Is.EqualTo(table.Bytes), "it stays as it was");
        var other = Run("other", @".*\.(k|v)_proj");
        Assert.That(other.Code, Is.Not.Zero, other.All);
        Assert.That(other.All, Does.Contain("targets is [").Or.Contain("targets is \"").And.Contain("in the folder"));
    }

    [Test]
    public void Targets_of_the_folder_that_match_nothing_are_told_once()
    {
        MakeAdapter();
        var file = Path.Combine(Adapter, "adapter_config.json");
        var config = Peftalign.Json(file);
        config["target_modules"]!.AsArray().Add("w_nothing");
        File.WriteAllText(file, config.ToJsonString());
        var outcome = Train("on", "--init-adapter", Adapter);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        Assert.That(File.ReadLines(Path.Combine(user.File("on"), "log.txt")).Count(line => line.Contains($"{Adapter}: target_modules names w_nothing, which no module of the model is called.", StringComparison.Ordinal)), Is.EqualTo(1));
    }
}
