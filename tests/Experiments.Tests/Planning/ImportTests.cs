// Configurations of TRL become manifests that plan, with TRL's defaults, and say what is different.

namespace PeftAlign.Experiments.Tests;

public class ImportTests
{
    private const string Rows = """{"prompt": "Say a.", "chosen": " a", "rejected": " b", "completion": " a", "label": true}""";

    private static (string Text, Outcome Outcome) Import(Peftalign here, string method, string config)
    {
        var file = here.Write($"{method}.yaml", config.Replace("DATA", here.Write("rows.jsonl", Rows + "\n"), StringComparison.Ordinal));
        var outcome = Peftalign.Call("import", "trl", file, "--method", method, "--out", here.File("manifest.yaml"), "--json");
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        return (File.ReadAllText(here.File("manifest.yaml")), outcome);
    }

    [TestCase("sft", "packing: true\npacking_strategy: bfd\ncompletion_only_loss: true\n", "learning_rate: 2E-05", "packing: true")]
    [TestCase("dpo", "loss_type: [sigmoid, bco_pair, sft]\nloss_weights: [0.8, 0.2, 1.0]\nbeta: 0.2\nmax_length: 64\n", "learning_rate: 1E-06", "loss_weights: [0.8, 0.2, 1]")]
    [TestCase("kto", "desirable_weight: 1.5\n", "shuffle: false", "desirable_weight: 1.5")]
    [TestCase("orpo", "beta: 0.3\n", "learning_rate: 1E-06", "beta: 0.3")]
    [TestCase("cpo", "loss_type: simpo\nsimpo_gamma: 0.7\ncpo_alpha: 0.0\n", "learning_rate: 1E-06", "simpo_gamma: 0.7")]
    public void A_configuration_becomes_a_manifest_that_plans(string method, string own, string defaulted, string carried)
    {
        using var here = new Peftalign();
        var (text, outcome) = Import(here, method, $"""
            model_name_or_path: Qwen/Qwen2-0.5B
            dataset_name: DATA
            {own}
            use_peft: true
            lora_target_modules: [q_proj, v_proj]
            num_train_epochs: 1
            lr_scheduler_type: cosine
            warmup_steps: 0.03
            optim: adamw_torch
            save_steps: 50
            bf16: false
            report_to: none
            logging_steps: 5
            gradient_checkpointing: true
            output_dir: out/trl
            """);
        foreach (var line in new[] { defaulted, carried, "rank: 16, alpha: 32, dropout: 0.05, targets: [q_proj, v_proj]", "epochs: 1", "warmup_ratio: 0.03", "optimizer: adamw", "save_every: 50", "dtype: float32", "seeds: [42]" })
            Assert.That(text, Does.Contain(line), outcome.All);
        Assert.That(outcome.Out, Does.Contain("models pull Qwen/Qwen2-0.5B"));
        var config = here.Write("config.json", """{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64}""");
        var planned = Peftalign.Call("run", here.File("manifest.yaml"), "--out", here.Run, "--dry-run", "--json", "--set", $"models.model.path={Path.GetDirectoryName(config)}");
        Assert.That(planned.Code, Is.Zero, planned.All);
        Assert.That((string?)System.Text.Json.Nodes.JsonNode.Parse(planned.Out)!["matrix"]![0]!["adapter"], Is.EqualTo("adapter"), "use_peft trains the adapter, not all weights");
    }

    // What datasets' load_dataset takes for a split (checked against datasets 5.2): a folder for each, then names of files, else all of them; shards of the hub before all.
    [TestCase("train.jsonl test.jsonl", "dataset_name: data", "data/train.jsonl", "data/test.jsonl")]
    [TestCase("my-train-v1.jsonl evaluation_2.jsonl other.jsonl", "dataset_name: data", "data/my-train-v1.jsonl", "data/evaluation_2.jsonl")]
    [TestCase("train/a.jsonl test/b.jsonl train.jsonl", "dataset_name: data", "data/train/a.jsonl", "data/test/b.jsonl")]
    [TestCase("rows.jsonl", "dataset_name: data", "data/rows.jsonl", "TEST.jsonl")]
    [TestCase("retrain.jsonl constraint.jsonl", "dataset_name: data", "data/constraint.jsonl data/retrain.jsonl", "TEST.jsonl")]
    [TestCase("data/train-00000-of-00002.jsonl data/train-00001-of-00002.jsonl data/test-00000-of-00001.jsonl x/train/a.jsonl", "dataset_name: data", "data/data/train-00000-of-00002.jsonl data/data/train-00001-of-00002.jsonl", "data/data/test-00000-of-00001.jsonl")]
    [TestCase("train.csv dev.csv", "dataset_name: data\ndataset_test_split: validation", "data/train.csv", "data/dev.csv")]
    [TestCase("rows.jsonl dataset_infos.json config.json", "dataset_name: data", "data/rows.jsonl", "TEST.jsonl")]
    [TestCase("train.jsonl train.csv", "dataset_name: data", "data/train.jsonl", "TEST.jsonl")]
    [TestCase("a.csv b.csv c.jsonl notes.log", "dataset_name: data", "data/a.csv data/b.csv", "TEST.jsonl")]
    [TestCase("my-train.jsonl train-2.jsonl", "dataset_name: data", "data/train-2.jsonl data/my-train.jsonl", "TEST.jsonl")]
    [TestCase("my-train/a.jsonl train-2/b.jsonl", "dataset_name: data", "data/train-2/b.jsonl data/my-train/a.jsonl", "TEST.jsonl")]
    [TestCase("train.jsonl test.csv", "dataset_name: data", "./data", "TEST.jsonl")]
    [TestCase("a.tsv b.tsv c.csv", "dataset_name: data", "./data", "TEST.jsonl")]
    [TestCase("train.parquet test.parquet", "dataset_name: data", "./data", "TEST.jsonl")]
    [TestCase("a.jsonl b.jsonl", "datasets: [{path: json, data_files: data/a.jsonl}]", "data/a.jsonl", "TEST.jsonl")]
    [TestCase("a.jsonl b.jsonl", "datasets: [{path: json, data_files: {train: [data/b.jsonl, data/a.jsonl], test: data/a.jsonl}}]", "data/b.jsonl data/a.jsonl", "TEST.jsonl")]
    [TestCase("a.jsonl b.jsonl", "datasets: [{path: json, data_files: {test: data/b.jsonl}, split: test}]", "data/b.jsonl", "TEST.jsonl")]
    [TestCase("train.jsonl test.jsonl", "datasets: [{path: data}, {path: json, data_dir: data, split: test}]", "data/train.jsonl data/test.jsonl", "TEST.jsonl")]
    [TestCase("a.jsonl b.jsonl", "datasets: [{path: json, data_files: data/a.jsonl, fraction: 0.5}, {path: json, data_files: data/b.jsonl, fraction: 0.5}]", "DATA.jsonl", "TEST.jsonl")]
    public void Rows_that_are_here_are_found_as_TRL_finds_them(string files, string keys, string train, string test)
    {
        using var here = new Peftalign();
        foreach (var file in files.Split(' '))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(here.File("data/" + file))!);
            here.Write("data/" + file, Rows + "\n");
        }
        var text = keys.Replace("data/", here.File("data/"), StringComparison.Ordinal).Replace(": data", ": " + here.File("data"), StringComparison.Ordinal);
        var (made, outcome) = Import(here, "dpo", $"model_name_or_path: m\n{text}\neval_strategy: steps\neval_steps: 5\n");
        string[] Paths(string name) => [.. made.Split('\n').Where(line => System.Text.RegularExpressions.Regex.IsMatch(line, $"^  {name}(-[0-9]+)?: {{ reader")).Select(line => line.Split("path: ")[1].Split(" }")[0].Trim('"').Replace(here.File("") + "/", "", StringComparison.Ordinal))];
        Assert.That((string.Join(' ', Paths("train")), string.Join(' ', Paths("test"))), Is.EqualTo((train == "./data" ? "data" : train, test)), made);
        Assert.That(outcome.Out.Contains("datasets.train.path=FILE", StringComparison.Ordinal), Is.EqualTo(train is "./data" or "DATA.jsonl"), outcome.All);
        Assert.That(made.Contains("mixture: [train-1, train-2]", StringComparison.Ordinal), Is.EqualTo(train.Contains(' ')), made);
        if (train.EndsWith(".csv", StringComparison.Ordinal)) Assert.That(made, Does.Contain("reader: csv"));
    }

    // ModelConfig.use_bnb_nested_quant is false where nothing is said; ours is on.
    [TestCase("", "double_quant: false")]
    [TestCase("use_bnb_nested_quant: true\n", "double_quant: true")]
    public void Four_bits_are_nested_where_TRL_nests_them(string own, string carried)
    {
        using var here = new Peftalign();
        Assert.That(Import(here, "sft", $"model_name_or_path: m\ndataset_name: DATA\nuse_peft: true\nload_in_4bit: true\n{own}").Text, Does.Contain("type: qlora").And.Contain(carried));
    }

    [TestCase("dtype: bfloat16\nbf16: false\n", true)]
    [TestCase("dtype: bfloat16\nbf16: true\n", true)]
    [TestCase("dtype: bfloat16\nbf16: false\nuse_peft: true\n", false)]
    [TestCase("bf16: true\n", false)]
    public void Weights_that_TRL_trains_in_bfloat16_alone_are_said_to_be_float32_here(string own, bool differs)
    {
        using var here = new Peftalign();
        var (text, outcome) = Import(here, "sft", $"model_name_or_path: m\ndataset_name: DATA\n{own}");
        Assert.That(text, Does.Contain("dtype: bfloat16"));
        Assert.That(System.Text.Json.Nodes.JsonNode.Parse(outcome.Out)!["differs"]!.ToJsonString().Contains("what is trained is float32", StringComparison.Ordinal), Is.EqualTo(differs));
    }

    [Test]
    public void A_manifests_folder_is_made_or_named()
    {
        using var here = new Peftalign();
        string[] Import(string target) => ["import", "trl", here.Write("sft.yaml", "model_name_or_path: m\ndataset_name: d\n"), "--method", "sft", "--out", here.File(target)];
        Assert.That(Peftalign.Call(Import("new/m.yaml")).Code, Is.Zero);
        Assert.That(File.Exists(here.File("new/m.yaml")));
        var told = Peftalign.Call(Import("sft.yaml/m.yaml"));
        Assert.That((told.Code, told.Err.StartsWith($"peftalign: --out {here.File("sft.yaml/m.yaml")}: cannot be made (", StringComparison.Ordinal)), Is.EqualTo((2, true)), told.All);
    }

    [Test]
    public void What_has_no_counterpart_or_no_effect_is_said()
    {
        using var here = new Peftalign();
        var (text, outcome) = Import(here, "dpo", """
            model_name_or_path: m
            dataset_name: DATA
            loss_type: sigmoid
            label_smoothing: 0.1
            sync_ref_model: true
            ref_model_sync_steps: 512
            optim: adafactor
            max_steps: 20
            num_train_epochs: 3
            """);
        var json = System.Text.Json.Nodes.JsonNode.Parse(outcome.Out)!;
        var (differs, lost) = (json["differs"]!.ToJsonString(), json["not_carried_over"]!.ToJsonString());
        Assert.That(differs, Does.Contain("label_smoothing is left out: it has no effect with loss_type sigmoid").And.Contain("num_train_epochs is left out").And.Contain("bf16 is not given"));
        Assert.That(lost, Does.Contain("sync_ref_model: true").And.Contain("optim: adafactor").And.Not.Contain("ref_model_sync_steps"));
        Assert.That(text, Does.Contain("# NOT carried over: sync_ref_model: true").And.Contain("max_steps: 20").And.Not.Contain("epochs:").And.Not.Contain("adapters:"));
    }

    [Test]
    public void Unknown_keys_are_refused_all_at_once_and_nothing_is_written()
    {
        using var here = new Peftalign();
        var file = here.Write("bad.yaml", "learning_rat: 1e-5\nbeta: 0.1\nuse_peft: maybe\nlogging_step: 3\n");
        var outcome = Peftalign.Call("import", "trl", file, "--method", "dpo", "--out", here.File("manifest.yaml"));
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Contain($"{file}:1:1: 'learning_rat' is no key").And.Contain("learning_rate").And.Contain($"{file}:3:1: use_peft must be true or false").And.Contain($"{file}:4:1: 'logging_step' is no key").And.Contain("logging_steps"));
        Assert.That(File.Exists(here.File("manifest.yaml")), Is.False);
    }
}
