// docs/from-trl.md, from-mergekit.md and from-lm-eval.md: each option that their tables name exists here and does what the row says it is
// for; each key of TRL's is one that the importer knows, and a configuration of all of them becomes a manifest that plans.

using System.Text.RegularExpressions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Importing;
using PeftAlign.Host.SingleTraining;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Tests;

public sealed partial class FromPagesTests
{
    private string folder = "";

    [SetUp]
    public void Make() => folder = Directory.CreateTempSubdirectory("peftalign-from-").FullName;

    [TearDown]
    public void Drop() => Directory.Delete(folder, recursive: true);

    private static string Plugins => Path.Combine(Path.GetDirectoryName(Product.Host)!, "plugins");

    // The cells of a table's rows, without its head.
    private static List<string[]> Table(string page) =>
        [.. File.ReadAllLines(Path.Combine(SmallAdapter.Root, "docs", page)).Where(line => line.StartsWith("| ", StringComparison.Ordinal)).Skip(1)
            .Select(line => line.Replace("\\|", "\u0001", StringComparison.Ordinal).Split('|')[1..^1].Select(cell => cell.Replace('\u0001', '|').Trim()).ToArray())];

    private static IEnumerable<string> Spans(string cell) => Span().Matches(cell).Select(m => m.Groups[1].Value);

    [TestCase("from-lm-eval.md", "eval", 18)]
    [TestCase("from-mergekit.md", "merge", 10)]
    public void Every_flag_of_the_right_column_is_the_commands(string page, string command, int atLeast)
    {
        var rows = Table(page);
        Assert.That(rows, Has.Count.GreaterThanOrEqualTo(atLeast));
        var known = Catalogue.Commands.Single(c => c.Name == command).Build(new CommandFrame(TextWriter.Null, TextWriter.Null)).Options;
        var flags = rows.SelectMany(row => row[1..].SelectMany(Spans)).SelectMany(span => Flag().Matches(span).Select(m => m.Value)).Distinct().ToList();
        Assert.That(flags, Has.Count.GreaterThanOrEqualTo(3));
        Assert.That(flags.Where(flag => !known.Any(o => o.Name == flag || o.Aliases.Contains(flag))), Is.Empty);
        Assert.That(rows.Where(row => !Spans(row[1]).Any() && !row[1].StartsWith("none", StringComparison.Ordinal) && !row[1].StartsWith("always", StringComparison.Ordinal) && !row[1].StartsWith("not ", StringComparison.Ordinal)).Select(row => row[0]), Is.Empty, "a row names what is here, or says that there is nothing");
    }

    // All flags of the two tables at once, and what their rows say that comes of them.
    [Test]
    public void The_flags_of_the_right_column_run()
    {
        var model = Path.Combine(SmallAdapter.Root, "tests", "fixtures", "stories260K");
        var (adapter, task, configuration) = (Path.Combine(folder, "adapter"), Path.Combine(folder, "task.yaml"), Path.Combine(folder, "merge.yaml"));
        SmallAdapter.Write(adapter);
        File.WriteAllText(Path.Combine(folder, "rows.jsonl"), "{\"q\": \"Lily\", \"a\": \" ran\"}\n{\"q\": \"Tom\", \"a\": \" sat\"}\n{\"q\": \"Ann\", \"a\": \" ate\"}\n");
        File.WriteAllText(task, $"task: own\ndataset_path: json\ndataset_kwargs: {{ data_files: {{ test: {folder}/rows.jsonl }} }}\ntest_split: test\noutput_type: loglikelihood\ndoc_to_text: '{{{{q}}}}'\ndoc_to_target: '{{{{a}}}}'\nmetric_list: [{{ metric: acc }}]\n");
        string[] eval =
        [
            "eval", "--model", model, "--adapter", adapter, "--device", "cpu", "--dtype", "bfloat16", "--bos", "true", "--benchmarks", "own,bbh", "--task", task, "--data", Path.Combine(SmallAdapter.Root, "experiments", "tiny"), "--option", "bbh.tasks=boolean_expressions", "--option", "bbh.max_new_tokens=2",
            "--shots", "0", "--limit", "2", "--chat", "--chat-template", "vicuna", "--bootstrap-iters", "10", "--out", Path.Combine(folder, "out"), "--threads", "1", "--plugins", Plugins,
        ];
        Run(eval);
        string[] drawing = ["eval", "--model", model, "--benchmarks", "sonnets", "--data", Path.Combine(SmallAdapter.Root, "experiments", "tiny"), "--limit", "1", "--option", "max_new_tokens=2", "--seed", "3", "--out", Path.Combine(folder, "drawn"), "--threads", "1", "--plugins", Plugins];
        Run(drawing);
        var written = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(Path.Combine(folder, "out", "results.json")))!;
        Assert.That((int)written["n-samples"]!["own"]!["effective"]!, Is.EqualTo(2), "--limit");
        Assert.That(Directory.GetFiles(Path.Combine(folder, "out"), "samples_*.jsonl"), Has.Length.EqualTo(2), "--log_samples: always");
        File.WriteAllText(configuration, $"merge_method: linear\nmodels:\n  - model: {model}+{adapter}\n    parameters: {{ weight: 1.0 }}\ndtype: float32\n");
        string[] merge = ["merge", configuration, "--out", Path.Combine(folder, "merged"), "--seed", "1", "--shard-size", "1MB", "--certificate", "--threads", "1", "--plugins", Plugins];
        Run(merge);
        Assert.That(Directory.GetFiles(Path.Combine(folder, "merged"), "*.safetensors"), Has.Length.GreaterThan(1), "--shard-size");
        Assert.That(File.Exists(Path.Combine(folder, "merged", "certificate.json")), "--certificate");
        foreach (var (page, given) in (IEnumerable<(string, string[])>)[("from-lm-eval.md", [.. eval, .. drawing]), ("from-mergekit.md", merge)])
            Assert.That(Table(page).SelectMany(row => Spans(row[1])).SelectMany(span => Flag().Matches(span).Select(m => m.Value)).Except(given), Is.Empty, page);
    }

    [Test]
    public void Every_option_of_TRLs_table_is_an_option_here()
    {
        var catalogue = PluginSearch.Of(AppContext.BaseDirectory, [Plugins]).Scan();
        var known = TrlKeys.Methods.Append("simpo").SelectMany(method => new[] { "lora", "qlora" }.SelectMany(adapter => TrainFlags.Of(catalogue, method, adapter, null).All))
            .SelectMany(flag => flag.Schema.Aliases.Append(flag.Schema.Name)).ToHashSet();
        string[] ofManifests = ["models", "datasets", "adapters", "path", "reader", "map", "type"];
        string[] values = ["NAME", "DIR", "lora", "qlora", "start", "base", "adamw", "paged_adamw", "adamw_8bit", "HUB_ID", "pull", "out", "true", "false", "cdpo", "ipo_sum", "bco_pair_shift", "cpo", "simpo"];
        var named = Table("from-trl.md").SelectMany(row => row[1..].SelectMany(Spans)).SelectMany(span => Word().Matches(span).Select(m => m.Value)).Distinct().ToList();
        Assert.That(named, Has.Count.GreaterThan(30));
        Assert.That(named.Where(word => !known.Contains(word) && !ofManifests.Contains(word) && !values.Contains(word)), Is.Empty);
    }

    // What the left column names, with a value each; the others of a row are carried with it.
    private static readonly (string Method, string Config)[] Theirs =
    [
        ("sft", "dataset_text_field: body\npacking: true\neval_packing: false\npacking_strategy: bfd\ncompletion_only_loss: false\nassistant_only_loss: false\nloss_type: nll\ntruncation_mode: keep_start\n"),
        ("dpo", "beta: 0.2\nloss_type: [sigmoid, sft]\nloss_weights: [1.0, 0.5]\nprecompute_ref_log_probs: true\ntruncation_mode: keep_end\n"),
        ("dpo", "loss_type: robust\nlabel_smoothing: 0.1\nld_alpha: 0.5\nuse_weighting: true\n"),
        ("dpo", "loss_type: sigmoid\nf_divergence_type: js_divergence\nload_in_4bit: true\nuse_bnb_nested_quant: true\ndataset_streaming: true\n"),
        ("dpo", "datasets: [{ path: json, data_files: HERE/rows.jsonl }]\nstreaming: true\n"),
    ];

    private const string Common = """
        model_name_or_path: models/base
        per_device_train_batch_size: 2
        per_device_eval_batch_size: 4
        num_train_epochs: 2
        optim: paged_adamw_32bit
        warmup_steps: 0.03
        lr_scheduler_type: cosine
        weight_decay: 0.01
        adam_beta1: 0.8
        adam_beta2: 0.99
        adam_epsilon: 1.0e-7
        max_grad_norm: 0.5
        max_length: 128
        use_peft: true
        lora_r: 4
        lora_alpha: 8
        lora_dropout: 0.05
        lora_target_modules: [q_proj]
        use_rslora: true
        use_dora: false
        save_steps: 3
        save_total_limit: 2
        gradient_checkpointing: true
        logging_steps: 1
        report_to: none
        output_dir: somewhere

        """;

    [Test]
    public void A_configuration_of_every_key_of_the_table_plans()
    {
        Directory.CreateDirectory(Path.Combine(folder, "models"));
        Directory.CreateSymbolicLink(Path.Combine(folder, "models", "base"), Path.Combine(SmallAdapter.Root, "tests", "fixtures", "stories260K"));
        File.WriteAllText(Path.Combine(folder, "rows.jsonl"), """{"prompt": "Say a.", "chosen": " a", "rejected": " b", "completion": " a", "body": "a"}""" + "\n");
        foreach (var (method, config) in Theirs)
        {
            File.Delete(Path.Combine(folder, "m.yaml"));
            File.WriteAllText(Path.Combine(folder, "trl.yaml"), $"dataset_name: {folder}/rows.jsonl\n{Common}{config.Replace("HERE", folder, StringComparison.Ordinal)}");
            var said = Run("import", "trl", Path.Combine(folder, "trl.yaml"), "--method", method, "--out", Path.Combine(folder, "m.yaml"), "--plugins", Plugins);
            Assert.That(said, Does.Not.Contain("not carried over:"), config);
            Product.Run(folder, 0, folder, Product.Host, "run", "m.yaml", "--out", "out", "--dry-run");
            foreach (var line in File.ReadAllLines(Path.Combine(folder, "m.yaml")).Where(l => l.StartsWith("# NOT", StringComparison.Ordinal))) Assert.Fail($"{config}: {line}");
        }
        string[] elsewhere = ["ref_model", "eval_strategy", "eval_steps", "max_steps"]; // no key; needs evaluation rows; excludes num_train_epochs
        var named = Table("from-trl.md").SelectMany(row => Spans(row[0])).SelectMany(span => Word().Matches(span.Split(':')[0]).Select(m => m.Value)).Distinct();
        var given = string.Concat(Theirs.Select(t => t.Config)) + Common + "dataset_name:";
        Assert.That(named.Where(key => !elsewhere.Contains(key) && !given.Contains(key, StringComparison.Ordinal)), Is.Empty, "each key of the table is tried");
    }

    private static string Run(params string[] words)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(words).GetAwaiter().GetResult();
        Assert.That(code, Is.Zero, $"{string.Join(' ', words)}\n{results}\n{remarks}");
        return results + remarks.ToString();
    }

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex Span();

    [GeneratedRegex("--[a-z][a-z-]*")]
    private static partial Regex Flag();

    [GeneratedRegex("[a-zA-Z][a-zA-Z0-9_]*(?=[^a-zA-Z0-9_*]|$)")]
    private static partial Regex Word();
}
