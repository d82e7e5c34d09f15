// What a third party's plugin does against its contract, and what escapes from its code, is told with the plugin's id and its assembly's
// file, on one line: whoever reads it knows whom to ask.

using System.Text.RegularExpressions;

namespace PeftAlign.Experiments.Tests;

[Parallelizable(ParallelScope.Self)]
public sealed class FaultyPluginTests
{
    private const string Broken = "Mend the plugin, or leave it out.", Escaped = "Ask its author, or leave the plugin out";

    private readonly Peftalign place = new();
    private string plugin = "";

    [OneTimeSetUp]
    public void BuildOutside()
    {
        plugin = OutsideBuild.Fixture(place, "Their.Faults");
    }

    [OneTimeTearDown]
    public void Remove() => place.Dispose();

    private string Who => $"Plugin their.faults ({Path.Combine(plugin, "Their.Faults.dll")})";

    // A word of the job's label, and what is said behind the plugin.
    private static readonly (string Job, string Said, string End)[] Training =
    [
        ("world/loss-null", ": Their.Faults.BadLoss.Loss gave null; a loss of the batch is asked for.", Broken),
        ("world/loss-wide", ": Their.Faults.BadLoss.Loss gave a numerator of shape [", Broken),
        ("world/loss-detached", ": Their.Faults.BadLoss.Loss gave a numerator without a gradient; it must be computed from the batch's LogProbs", Broken),
        ("world/loss-childless", ": Their.Faults.BadLoss.Prepare gave a group without completions for bad-rows, row 1; a group has one or more.", Broken),
        ("world/loss-nan", ": Their.Faults.BadLoss.Loss made it of log-probs that are all finite.", "the latest checkpoint is intact. Lower learning_rate, add warm-up, or look at the rows of this step."),
        ("world/loss-shapes", " failed in Their.Faults.BadLoss with TorchException: ", Escaped),
        ("world/wide-adapter", ": Their.Faults.BadAdapter.Attach gave the shape [2, 17] for A of model.layers.0.self_attn.q_proj; the module asks for [any, 16].", Broken),
        ("world/lost-adapter", ": Their.Faults.BadAdapter.Attach gave a change of model.nowhere; a module of the model is asked for", Broken),
        ("world/twice-adapter", ": Their.Faults.BadAdapter.Attach gave two changes of model.layers.0.self_attn.q_proj; a module has one site; several changes of it are one Stack.", Broken),
        ("world/own-adapter", ": Their.Faults.BadAdapter.Attach gave a change of the kind Hadamard for model.layers.0.self_attn.q_proj; the engine computes LowRank, Whole, ", Broken),
        ("world/norm-adapter", ": Their.Faults.BadAdapter.Attach gave the shape [3] for Weight of model.layers.0.input_layernorm; the module asks for [16].", Broken),
        ("world/thrown-adapter", " failed in Their.Faults.BadAdapter with KeyNotFoundException: no such module; its contract asks for a result there, or for a UserErrorException.", Escaped),
        ("world/bits-null", ": Their.Faults.BadBits.Quantize gave null for model.layers.0.self_attn.q_proj.weight; the quantised matrix is asked for", Broken),
        ("world/bits-tall", ": Their.Faults.BadBits.Quantize gave a matrix of 17 rows and 16 columns for model.layers.0.self_attn.q_proj.weight; the weight has 16 and 16.", Broken),
        ("rows-nothing/plain", ": Their.Faults.BadRows.Read gave null; a sequence of rows is asked for", Broken),
        ("rows-null/plain", ": Their.Faults.BadRows.Read gave null as row 3; every row must be a DataRecord with its fields.", Broken),
        ("rows-throw/plain", " failed in Their.Faults.BadRows with FormatException: line 3 has two tabs; its contract asks", Escaped),
        ("rows-cancel/plain", " failed in Their.Faults.BadRows with OperationCanceledException: the store took longer than 5 s; its contract asks", Escaped),
    ];

    private static readonly (string Job, string Said, string End)[] Asking =
    [
        ("exam-twice", ": Their.Faults.BadExam.Items gave two items item-1 in task ''; each needs an id of its own", Broken),
        ("exam-asks-null", ": Their.Faults.BadExam.Requests gave null; a list of EvalRequest is asked for", Broken),
        ("exam-nan", ": Their.Faults.BadExam.Score gave NaN as score of the item 'item-2'; a metric that an item does not have is left out", Broken),
        ("exam-no-metric", ": Their.Faults.BadExam.Aggregate gave null; a list of MetricResult is asked for", Broken),
        ("exam-metrics-alike", ": Their.Faults.BadExam.Aggregate gave two metrics score of task '' (none); a result has one number of a name, task and filter.", Broken),
        ("exam-throws", " failed in Their.Faults.BadExam with IndexOutOfRangeException: no answer 7; its contract asks", Escaped),
        ("judge-few", ": Their.Faults.BadJudge.Answer gave 1 answers to 2 questions; every question needs one, in their order.", Broken),
        ("judge-nothing", ": Their.Faults.BadJudge.Answer gave null; a list of JudgeAnswer is asked for", Broken),
        ("judge-null", ": Their.Faults.BadJudge.Answer gave a list whose entry 2 of 2 is null; every entry must be a JudgeAnswer.", Broken),
        ("judge-nan", ": Their.Faults.BadJudge.Answer gave the score NaN to question 2 of 2, which asks to rate;", Broken),
        ("judge-throws", " failed in Their.Faults.BadJudge with TimeoutException: no judge came; its contract asks", Escaped),
        ("merge-null", ": Their.Faults.BadMerge.Merge gave null for ", Broken),
        ("merge-narrow", ": Their.Faults.BadMerge.Merge gave the shape [1] for ", Broken),
        ("merge-whole", ": Their.Faults.BadMerge.Merge gave the type Int32 for ", Broken),
        ("merge-nan", ": Their.Faults.BadMerge.Merge made them, or the parameters make it overflow", "use smaller weights or a wider dtype."),
        ("merge-throws", " failed in Their.Faults.BadMerge with ArithmeticException: it does not add up; its contract asks", Escaped),
    ];

    private string Head => $$"""
        peftalign: 1
        name: faults
        seeds: [1]
        plugins: [peft.lora, eval, data, { path: '{{plugin}}' }]
        models:
          tiny: { init: llama, set: { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 64 }, tokenizer: bytes }
        datasets:
          world: { reader: bad-rows }

        """;

    [Test]
    public void A_training_names_the_plugin_whose_method_adapter_or_reader_is_at_fault()
    {
        const string options = "learning_rate: 1.0e-3, batch_size: 4, max_steps: 2";
        string[] losses = ["null", "wide", "detached", "childless", "nan", "shapes"];
        Check(Head + $$"""
              rows-nothing: { reader: bad-rows, fault: nothing }
              rows-null: { reader: bad-rows, fault: 'null' }
              rows-throw: { reader: bad-rows, fault: throws }
              rows-cancel: { reader: bad-rows, fault: cancels }
            adapters:
              wide: { type: bad-adapter }
              lost: { type: bad-adapter, fault: elsewhere }
              thrown: { type: bad-adapter, fault: throws }
              twice: { type: bad-adapter, fault: twice }
              own: { type: bad-adapter, fault: own }
              norm: { type: bad-adapter, fault: norm }
              bits-null: { type: lora, quantization: bad-bits, fault: 'null' }
              bits-tall: { type: lora, quantization: bad-bits, fault: tall }
            methods:
              plain: { type: bad-loss, {{options}} }
              wide-adapter: { type: bad-loss, adapter: wide, {{options}} }
              lost-adapter: { type: bad-loss, adapter: lost, {{options}} }
              thrown-adapter: { type: bad-loss, adapter: thrown, {{options}} }
              twice-adapter: { type: bad-loss, adapter: twice, {{options}} }
              own-adapter: { type: bad-loss, adapter: own, {{options}} }
              norm-adapter: { type: bad-loss, adapter: norm, {{options}} }
              bits-null: { type: bad-loss, adapter: bits-null, {{options}} }
              bits-tall: { type: bad-loss, adapter: bits-tall, {{options}} }
              {{string.Join("\n  ", losses.Select(fault => $"loss-{fault}: {{ type: bad-loss, fault: '{fault}', {options} }}"))}}
            train:
              - { models: tiny, datasets: world, methods: [wide-adapter, lost-adapter, thrown-adapter, twice-adapter, own-adapter, norm-adapter, bits-null, bits-tall, {{string.Join(", ", losses.Select(fault => "loss-" + fault))}}] }
              - { models: tiny, datasets: [rows-nothing, rows-null, rows-throw, rows-cancel], methods: plain }
            """, Training);
    }

    [Test]
    public void An_evaluation_or_a_merge_names_the_plugin_whose_benchmark_judge_or_strategy_is_at_fault()
    {
        string[] exams = ["twice", "asks-null", "nan", "no-metric", "metrics-alike", "throws"], judges = ["few", "nothing", "null", "nan", "throws"], merges = ["null", "narrow", "whole", "nan", "throws"];
        Check(Head + $$"""
              other: { reader: bad-rows, fault: '' , take: 7 }
            methods:
              plain: { type: bad-loss, learning_rate: 1.0e-3, batch_size: 4, max_steps: 1 }
            judges:
              {{string.Join("\n  ", judges.Select(fault => $"judge-{fault}: {{ type: bad-judge, fault: '{fault}' }}"))}}
            train:
              - { models: tiny, datasets: [world, other], methods: plain }
            merge:
              {{string.Join("\n  ", merges.Select(fault => $"- {{ name: merge-{fault}, method: bad-merge, of: {{ method: plain }}, across: dataset, parameters: {{ fault: '{fault}' }} }}"))}}
            evaluate:
              - of: untouched
                with:
                  {{string.Join("\n      ", exams.Select(fault => $"- {{ type: bad-exam, name: exam-{fault}, fault: '{fault}' }}"))}}
                  {{string.Join("\n      ", judges.Select(fault => $"- {{ type: reward, name: judge-{fault}, dataset: world, judge: judge-{fault}, limit: 2, max_new_tokens: 2 }}"))}}
            """, Asking);
    }

    private void Check(string manifest, (string Job, string Said, string End)[] expected)
    {
        using var user = new Peftalign();
        var end = Peftalign.Call("run", user.Write("faults.yaml", manifest), "--out", user.Run, "--threads", "1");
        Assert.That(end.Code, Is.EqualTo(1), end.All); // something escaped; what is against the contract alone would be 2
        Assert.That(end.Err, Does.Not.Match(@"(?m)^\s+at "), "no stack trace");
        foreach (var (job, said, last) in expected)
        {
            var line = end.Err.Split('\n').SingleOrDefault(text => Regex.IsMatch(text, $@"failed: \S*{Regex.Escape(job)}(/|:)"));
            Assert.That(line, Does.Contain(Who + said).And.Contain(last), $"{job}\n{end.All}");
            Assert.That(line!.Contains("log.txt says where"), Is.EqualTo(last == Escaped), line);
        }
    }

    // Standard output is the results', whatever a plugin or a library of its own prints.
    [Test]
    public void What_a_plugin_prints_is_no_result()
    {
        using var user = new Peftalign();
        var end = Exam(user, "prints", "--json");
        Assert.That(end.Code, Is.Zero, end.All);
        using var document = System.Text.Json.JsonDocument.Parse(end.Out);
        Assert.That(document.RootElement.GetProperty("results").GetProperty("bad-exam").GetProperty("score,none").GetDouble(), Is.EqualTo(1));
        Assert.That(end.Err, Does.Contain("scored item-1\n").And.Contain("scored item-2\n"));
    }

    // A metric may be 0 / 0 and the others good, so that it ends nothing; but nobody should look for it in a report.
    [Test]
    public void A_metric_that_is_no_number_is_told_with_its_benchmark_and_plugin()
    {
        using var user = new Peftalign();
        var end = Exam(user, "nan-metric");
        Assert.That(end.Code, Is.Zero, end.All);
        Assert.That(end.Err.Split('\n'), Has.One.Contains($"bad-exam (Plugin their.faults ({Path.Combine(user.File("plugins"), "their.faults", "Their.Faults.dll")})): score came out as NaN; no report and no claim has a number for it."));
    }

    // Outside jobs: what is against the contract alone ends with 2, what escapes with 1, and nobody interrupted what a plugin cancels itself.
    [TestCase("twice", 2, ": Their.Faults.BadExam.Items gave two items item-1 in task ''; each needs an id of its own, by which answers are kept. Mend the plugin, or leave it out.")]
    [TestCase("breaks", 1, " failed in Their.Faults.BadExam with InvalidOperationException: no items; its contract asks for a result there, or for a UserErrorException. Ask its author, or leave the plugin out (-v shows where)")]
    [TestCase("cancels", 1, " failed in Their.Faults.BadExam with OperationCanceledException: the store took longer than 5 s; its contract asks for a result there, or for a UserErrorException. Ask its author, or leave the plugin out (-v shows where)")]
    public void A_command_without_jobs_names_it_on_one_line(string fault, int code, string said)
    {
        using var user = new Peftalign();
        var end = Exam(user, fault);
        Assert.That((end.Code, end.Err), Is.EqualTo((code, $"peftalign: Plugin their.faults ({Path.Combine(user.File("plugins"), "their.faults", "Their.Faults.dll")}){said}\n")));
        if (code == 1) Assert.That(Exam(user, fault, "-v").Err, Does.Contain("at Their.Faults.BadExam.Items()"));
    }

    // The benchmark on a model of its own, without a manifest.
    private Outcome Exam(Peftalign user, string fault, params string[] more)
    {
        var folder = Directory.CreateDirectory(Path.Combine(user.File("plugins"), "their.faults")).FullName;
        foreach (var file in Directory.GetFiles(plugin)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)), overwrite: true);
        if (!Directory.Exists(user.File("tiny")))
        {
            var made = Peftalign.Call("models", "init", "llama", "--out", user.File("tiny"), "--set", "vocab_size=300", "--set", "hidden_size=16", "--set", "intermediate_size=32", "--set", "num_hidden_layers=1", "--set", "num_attention_heads=2");
            Assert.That(made.Code, Is.Zero, made.All);
        }
        return Peftalign.Call(["eval", "--model", user.File("tiny"), "--benchmarks", "bad-exam", "--option", $"fault={fault}", "--plugins", user.File("plugins"), "--out", user.File("evaluated"), .. more]);
    }
}
