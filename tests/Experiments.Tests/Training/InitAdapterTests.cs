// Training on from an adapter's folder: what it decides, what the command may say again, and folders that are not quite this product's own.

using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

[FixtureLifeCycle(LifeCycle.InstancePerTestCase)]
public sealed class InitAdapterTests : OnTrainRows
{
    private string Adapter => Path.Combine(User.Run, "adapter");

    private Outcome Train(string name, params string[] more) =>
        Peftalign.Call(["train", "sft", "--model", Model, "--data", TrainRows.Path(User), "--out", User.File(name), "--adapter", "lora", "--max-steps", "1", "--batch-size", "2", "--threads", "1", .. more]);

    private void MakeAdapter()
    {
        var made = Train("out", "--rank", "4", "--alpha", "8", "--targets", "q_proj,v_proj");
        Assert.That(made.Code, Is.Zero, made.All);
    }

    [Test]
    public void Init_adapter_holds_its_settings_and_what_the_manifest_says_otherwise_is_refused()
    {
        Assert.That(Peftalign.Call(Lora).Code, Is.Zero);
        string Manifest(string name, string options) => User.Write(name, $$"""
            peftalign: 1
            name: {{Path.GetFileNameWithoutExtension(name)}}
            models: { stories: { path: "{{Model}}" } }
            datasets: { rows: { reader: jsonl, path: "{{TrainRows.Path(User)}}" } }
            adapters: { small: { type: lora{{options}} } }
            methods: { go: { type: sft, adapter: small, init_adapter: "{{User.Run}}/adapter", max_steps: 1, batch_size: 2 } }
            train: [{ models: [stories], datasets: [rows], methods: [go] }]
            """);
        var other = Peftalign.Call("run", Manifest("other.yaml", ", rank: 16, alpha: 8, targets: [k_proj]"), "--out", User.File("other"), "--only", "*", "--threads", "1");
        Assert.That(other.Code, Is.Not.Zero, other.All);
        Assert.That(other.All, Does.Contain("rank is 16 here and 4 in the folder").And.Contain("targets is [\"k_proj\"] here and").And.Not.Contain("alpha is"));
        var same = Peftalign.Call("run", Manifest("same.yaml", ", rank: 4, alpha: 8, dropout: 0.1, targets: [v_proj, q_proj]"), "--out", User.File("same"), "--only", "*", "--threads", "1");
        Assert.That(same.Code, Is.Zero, same.All);
        var silent = Peftalign.Call("run", Manifest("silent.yaml", ""), "--out", User.File("silent"), "--only", "*", "--threads", "1");
        Assert.That(silent.Code, Is.Zero, silent.All);
        var log = Directory.GetFiles(User.File("silent"), "log.txt", SearchOption.AllDirectories).Select(File.ReadAllText);
        Assert.That(string.Concat(log), Does.Contain("the folder's rank 4 holds, not the default 8"));
    }

    [Test]
    public void Init_adapter_leaves_dropout_and_the_quantisation_of_the_base_to_the_command()
    {
        Assert.That(Peftalign.Call([.. Lora, "--dropout", "0.25"]).Code, Is.Zero);
        string[] Go(string name, params string[] more) => ["train", "sft", "--model", Model, "--data", TrainRows.Path(User), "--out", User.File(name), "--adapter", "lora", "--init-adapter", Path.Combine(User.Run, "adapter"), "--max-steps", "1", "--batch-size", "4", "--threads", "1", .. more];
        (double Loss, string Log) Done(string name, params string[] more)
        {
            var outcome = Peftalign.Call([.. Go(name, more), "--json"]);
            Assert.That(outcome.Code, Is.Zero, outcome.All);
            return ((double)JsonNode.Parse(outcome.Out)!["final_loss"]!, File.ReadAllText(Path.Combine(User.File(name), "log.txt")));
        }
        const string told = "dropout is 0 in this training and 0.25 in the folder";
        var (none, same, four) = (Done("none"), Done("same", "--dropout", "0.25"), Done("four", "--quantization", "nf4", "--double-quant", "false"));
        Assert.That(none.Log, Does.Contain(told));
        Assert.That(same.Log, Does.Not.Contain("in the folder"));
        Assert.That(same.Loss, Is.Not.EqualTo(none.Loss).Within(1e-6), "inputs are dropped");
        double Written(string name) => (double)Peftalign.Json(Path.Combine(User.File(name), "adapter", "adapter_config.json"))["lora_dropout"]!;
        Assert.That((Written("none"), Written("same")), Is.EqualTo((0.0, 0.25)), "what was trained with, not what the folder had");
        Assert.That(four.Log, Does.Contain(told));
        Assert.That(Done("ranked", "--rank", "4", "--lora_alpha", "8.0").Loss, Is.EqualTo(none.Loss), "what the folder says may be said again");
        Peftalign.Call(Go("other", "--rank", "8")).Told(2, "--rank: the folder of --init-adapter decides this (4)");
    }

    // The folder holds the expression as a text, and the flag is a list.
    [Test]
    public void An_expression_for_modules_may_be_said_again_beside_the_folder()
    {
        const string targets = @".*\.(q_proj|down_proj)";
        Assert.That(Peftalign.Call([.. Lora, "--targets", targets]).Code, Is.Zero);
        string[] Go(string modules) => ["train", "sft", "--model", Model, "--data", TrainRows.Path(User), "--out", User.File("on"), "--adapter", "lora", "--init-adapter", Path.Combine(User.Run, "adapter"), "--max-steps", "1", "--batch-size", "4", "--threads", "1", "--targets", modules];
        Peftalign.Call(Go(@".*\.(q_proj|up_proj)")).Told(2, "--targets: the folder of --init-adapter decides this");
        var outcome = Peftalign.Call(Go(targets));
        Assert.That(outcome.Code, Is.Zero, outcome.All);
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
        Outcome Run(string name, string targets) => Peftalign.Call("run", User.Write(name + ".yaml", $$"""
            peftalign: 1
            name: {{name}}
            models: { stories: { path: "{{Model}}" } }
            datasets: { rows: { reader: jsonl, path: "{{TrainRows.Path(User)}}" } }
            adapters: { small: { type: lora, rank: 4, alpha: 8, targets: ['{{targets}}'] } }
            methods: { go: { type: sft, adapter: small, init_adapter: "{{Adapter}}", max_steps: 1, batch_size: 2 } }
            train: [{ models: [stories], datasets: [rows], methods: [go] }]
            """), "--out", User.File(name), "--only", "*", "--threads", "1");
        var same = Run("same", @".*\.(q|v)_proj");
        Assert.That(same.Code, Is.Zero, same.All);
        var written = Directory.GetFiles(User.File("same"), "adapter_model.safetensors", SearchOption.AllDirectories).Select(RawTensors.Read).First();
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
        Assert.That(File.ReadLines(Path.Combine(User.File("on"), "log.txt")).Count(line => line.Contains($"{Adapter}: target_modules names w_nothing, which no module of the model is called.", StringComparison.Ordinal)), Is.EqualTo(1));
    }

    // phi3 has no usual targets: the folder's are the only ones.
    [TestCase("lora", "--targets", "qkv_proj,down_proj")]
    [TestCase("ia3", "--targets", "qkv_proj,down_proj", "--feedforward-modules", "down_proj")]
    public void An_architecture_without_usual_targets_goes_on_with_the_folders(string adapter, params string[] chosen)
    {
        var rows = User.Write("ids.jsonl", """{"prompt_ids": [3, 4, 5], "completion_ids": [6, 7]}""" + "\n" + """{"prompt_ids": [5, 9], "completion_ids": [8, 2]}""" + "\n");
        Outcome Go(string name, params string[] more) =>
            Peftalign.Call(["train", "sft", "--model", Path.Combine(Peftalign.Golden("models"), "phi3"), "--data", rows, "--out", User.File(name), "--adapter", adapter, "--max-steps", "1", "--batch-size", "2", "--threads", "1", .. more]);
        var made = Go("out", [.. chosen, .. adapter == "lora" ? (string[])["--rank", "2"] : []]);
        Assert.That(made.Code, Is.Zero, made.All);
        var on = Go("on", "--init-adapter", Adapter);
        Assert.That(on.Code, Is.Zero, on.All);
        var (before, after) = (RawTensors.Read(Path.Combine(Adapter, "adapter_model.safetensors")), RawTensors.Read(Path.Combine(User.File("on"), "adapter", "adapter_model.safetensors")));
        Assert.That(after.Keys, Is.EquivalentTo(before.Keys));
        Assert.That(after.Any(t => !t.Value.Bytes.SequenceEqual(before[t.Key].Bytes)), "it is trained on");
        var log = File.ReadAllText(Path.Combine(User.File("on"), "log.txt"));
        Assert.That(log.Contains("the folder's rank 2 holds, not the default 8", StringComparison.Ordinal), Is.EqualTo(adapter == "lora"), log);
        Assert.That(log, Does.Not.Contain("modules").And.Not.Contain("targets"));
        var dry = Peftalign.Call(["train", "sft", "--model", Path.Combine(Peftalign.Golden("models"), "phi3"), "--data", rows, "--out", User.File("dry"), "--adapter", adapter, "--init-adapter", Adapter, "--max-steps", "1", "--dry-run", "--json"]);
        Assert.That(dry.Code, Is.Zero, dry.All);
        Assert.That((long)JsonNode.Parse(dry.Out)!["trainable_parameters"]!, Is.EqualTo(before.Values.Sum(t => t.Bytes.Length / 4)));
        Go("none").Told(2, "name modules in targets");
    }

    [Test]
    public void Targets_that_the_folder_has_and_the_command_cannot_say_are_no_fault()
    {
        var made = Train("out", "--rank", "4", "--targets", "k_proj");
        Assert.That(made.Code, Is.Zero, made.All);
        var on = Train("on", "--init-adapter", Adapter);
        Assert.That(on.Code, Is.Zero, on.All);
        Assert.That(Peftalign.Json(Path.Combine(User.File("on"), "adapter", "adapter_config.json"))["target_modules"]!.ToJsonString(), Is.EqualTo("[\"k_proj\"]"));
    }

    // The width of a prefix's projection is the model's unless it is given; the folder's differs from both.
    [Test]
    public void A_prefix_with_a_width_of_its_own_goes_on()
    {
        Outcome Prefix(string name, params string[] more) =>
            Peftalign.Call(["train", "sft", "--model", Model, "--data", TrainRows.Path(User), "--out", User.File(name), "--adapter", "prefix", "--max-steps", "1", "--batch-size", "2", "--threads", "1", .. more]);
        var made = Prefix("out", "--num-virtual-tokens", "3", "--prefix-projection", "true", "--encoder-hidden-size", "20");
        Assert.That(made.Code, Is.Zero, made.All);
        var on = Prefix("on", "--init-adapter", Adapter);
        Assert.That(on.Code, Is.Zero, on.All);
        Assert.That((int)Peftalign.Json(Path.Combine(User.File("on"), "adapter", "adapter_config.json"))["encoder_hidden_size"]!, Is.EqualTo(20));
        Assert.That(File.ReadAllText(Path.Combine(User.File("on"), "log.txt")), Does.Contain("the folder's encoder_hidden_size 20 holds, not the default none"));
        // What a manifest says otherwise is refused as ever.
        var other = Peftalign.Call("run", User.Write("other.yaml", $$"""
            peftalign: 1
            name: other
            models: { stories: { path: "{{Model}}" } }
            datasets: { rows: { reader: jsonl, path: "{{TrainRows.Path(User)}}" } }
            adapters: { own: { type: prefix, num_virtual_tokens: 3, prefix_projection: true, encoder_hidden_size: 24 } }
            methods: { go: { type: sft, adapter: own, init_adapter: "{{Adapter}}", max_steps: 1, batch_size: 2 } }
            train: [{ models: [stories], datasets: [rows], methods: [go] }]
            """), "--out", User.File("other"), "--only", "*", "--threads", "1");
        Assert.That(other.Code, Is.Not.Zero, other.All);
        Assert.That(other.All, Does.Contain("encoder_hidden_size is 24 here and 20 in the folder"));
    }
}
