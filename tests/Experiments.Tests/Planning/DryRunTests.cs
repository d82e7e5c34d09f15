// What --dry-run predicts, against what the quickstart then took: disk and memory closely; time is a machine's own, so that its quotient
// is printed and only its kinds are asked for; afterwards the finished jobs' times stand in the place of rules. And the matrix, and what
// cannot be known.

using System.Diagnostics;
using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class DryRunTests
{
    private static readonly string Quickstart = Path.Combine(Peftalign.Repository, "experiments", "quickstart.yaml");

    // Shorter, of every kind of job some: evaluations that score, and such that generate and are judged by a model of the run.
    private static readonly string[] Known =
    [
        .. new[] { "pretrain.max_steps=100", "reward.max_steps=20", "sft.max_steps=20", "dpo.max_steps=10", "sft-4bit.max_steps=10" }.SelectMany(steps => (string[])["--set", "methods." + steps]),
        "--set", "evaluate[0].of=[{ method: sft }, merged]",
        "--set", "evaluate[0].with=[{ type: preference, dataset: exam-helpful }, { type: reward, dataset: exam, judge: learned, max_new_tokens: 32 }]",
    ];

    // With libtorch hidden: a dry run needs no tensor.
    private static Outcome Dry(params string[] args)
    {
        var start = new ProcessStartInfo(Path.Combine(Peftalign.Repository, ".build", "current", "PeftAlign.Host"), ["run", .. args, "--dry-run", "--threads", "1"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PEFTALIGN_NATIVE"] = "/nonexistent";
        using var process = Process.Start(start)!;
        var err = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, text + err.Result);
        return new Outcome(process.ExitCode, text, err.Result);
    }

    private static JsonNode Forecast(params string[] args) => JsonNode.Parse(Dry([.. args, "--json"]).Out)!["forecast"]!;

    private sealed record Took(string Kind, double Seconds, double Processor, long Memory, long Disk);

    private static List<Took> Measured(string run) => [.. Directory.GetDirectories(Path.Combine(run, "jobs")).Select(job =>
    {
        var timing = Peftalign.Json(Path.Combine(job, "timing.json"));
        return new Took((string)Peftalign.Json(Path.Combine(job, "job.json"))["kind"]!, (double)timing["seconds"]!, (double)timing["processor_seconds"]!, (long)timing["peak_memory_bytes"]!,
            Directory.GetFiles(job, "*", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length));
    })];

    [Test]
    public void The_quickstart_takes_what_was_predicted()
    {
        Assert.That(Peftalign.Call("--version").Code, Is.Zero);
        using var user = new Peftalign();
        var before = Forecast([Quickstart, "--out", user.Run, .. Known]);
        Assert.That(((int)before["not_predicted"]!, (bool)before["assumes_longest_rows"]!), Is.EqualTo((0, false)));
        Assert.That((bool)before["assumes_longest_answers"]!);
        Assert.That(Directory.Exists(user.Run), Is.False);
        user.Finish(Quickstart, Known);
        var took = Measured(user.Run);
        foreach (var kind in took.GroupBy(job => job.Kind))
        {
            var said = before["kinds"]![kind.Key]!;
            Assert.That((int)said["jobs"]!, Is.EqualTo(kind.Count()), kind.Key);
            Assert.That((double)said["disk_bytes"]! / kind.Sum(job => job.Disk), Is.InRange(0.7, 1.8), $"disk of {kind.Key}");
            Assert.That((double)said["peak_memory_bytes"]! / kind.Max(job => job.Memory), Is.InRange(0.65, 1.5), $"memory of {kind.Key}");
            Assert.That((double)said["seconds"]!, Is.Positive, $"time of {kind.Key}");
            TestContext.Out.WriteLine($"{kind.Key}: {said["seconds"]} processor seconds said, {kind.Sum(job => job.Processor):F1} taken");
        }
        Assert.That((double)before["seconds"]!, Is.EqualTo(took.Select(job => job.Kind).Distinct().Sum(kind => (double)before["kinds"]![kind]!["seconds"]!)).Within(0.3), "each is rounded to a tenth");

        var after = Forecast([Quickstart, "--out", user.Run, .. Known]);
        Assert.That(((double)after["seconds"]!, (long)after["disk_bytes"]!), Is.EqualTo((0.0, 0L)), "nothing is left");
        var more = Forecast([Quickstart, "--out", user.Run, .. Known, "--set", "seeds=[1,2]"])["kinds"]!["train"]!;
        Assert.That(((int)more["jobs"]!, (int)more["finished"]!, (bool)more["corrected_by_finished_jobs"]!), Is.EqualTo((18, 9, true)));
        Assert.That((double)more["seconds"]!, Is.EqualTo(took.Where(job => job.Kind == "train").Sum(job => job.Seconds)).Within(0.2), "the same trainings with another seed take as long");
    }

    // Large enough that its 136 MB of weights weigh as much as what libtorch's version does to the process. They are held once.
    [Test]
    public void A_model_that_is_made_takes_its_weights_once()
    {
        using var user = new Peftalign();
        var manifest = user.Write("large.yaml", Manifests.Short.Replace("hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1", "hidden_size: 1024, intermediate_size: 4096, num_hidden_layers: 2", StringComparison.Ordinal));
        var said = Forecast(manifest, "--out", user.Run)["kinds"]!["make-model"]!;
        user.Finish(manifest, "--only", "make-model/*");
        var took = Measured(user.Run).Single();
        Assert.That((double)said["disk_bytes"]! / took.Disk, Is.InRange(0.99, 1.01));
        Assert.That(took.Disk, Is.GreaterThan(130_000_000));
        Assert.That((double)said["peak_memory_bytes"]! / took.Memory, Is.InRange(0.9, 1.25));
    }

    [Test]
    public void The_matrix_and_the_kinds_are_tables()
    {
        using var user = new Peftalign();
        var text = Dry(Quickstart, "--out", user.Run, "--jobs", "2").Out;
        Assert.That(text, Does.StartWith("quickstart: 1 make-model, 9 train, 2 merge, 30 evaluate, 1 report\n"));
        Assert.That(text, Does.Match(@"(?m)^  kind +jobs  finished  time left  memory of one +disk$").And.Match(@"(?m)^  train +9 +0 +\d+ s +\d+ MB +\d\.\d\d MB$").And.Match(@"(?m)^  evaluate +30 +0 +\d+ s +\d+ MB +\d\.\d\d MB$").And.Match(@"(?m)^  total +42 +0 +\d+ (s|min) "));
        Assert.That(text, Does.Contain("with 2 jobs at once").And.Contain("rules of thumb").And.Contain("answers that models will write are taken to be as long as they may be"));
        Assert.That(text, Does.Match(@"(?m)^  model +data +pretrain\[all weights\] +reward\[all weights\] +sft\[small\] +dpo\[small\] +sft>dpo\[small\] +sft-4bit\[small-4bit\]$").And.Match(@"(?m)^  base +helpful +- +- +1 +1 +- +1$"));

        // 30 columns would be no table for people: a row each, and no more than a screen or two of them.
        var adapters = string.Join(", ", Enumerable.Range(1, 30).Select(k => $"a{k}: {{ type: lora, rank: {k} }}"));
        var large = Manifests.Short.Replace("small: { type: lora", $"{adapters.Replace(", a", "\n  a")}\n  small: {{ type: lora").Replace("models: [taught], datasets: [world], methods: [tune]", $"models: [tiny, taught], datasets: [world, exam], methods: [tune], adapters: [{string.Join(", ", Enumerable.Range(1, 30).Select(k => $"a{k}"))}]");
        var lines = Dry(user.Write("large.yaml", large), "--out", user.Run).Out.Split('\n');
        Assert.That(lines, Has.Some.Contains("2 models x 2 data x 2 methods x 31 adapters: 121 combinations, 121 policies").And.Some.Contains("and 61 rows more").And.Some.Match(@"^  and \d+ more \(--json has all\)"));
        Assert.That(lines, Has.Length.LessThan(190));
    }

    // A judge that is a service is no memory; it is asked twice about each of 7 answers. A baseline that is a model is a second one.
    [Test]
    public void Questions_to_services_and_a_second_model_are_counted()
    {
        using var user = new Peftalign();
        const string judges = "judges: { far: { type: openai, model: some, key_env: '' } }\n";
        JsonNode Evaluation(string options) => Forecast(user.Write("far.yaml", Manifests.Short[..Manifests.Short.IndexOf("train:\n", StringComparison.Ordinal)]
            .Replace("taught: { run: { model: tiny, method: teach } }", "other: { init: llama, set: { hidden_size: 512, num_hidden_layers: 4 }, tokenizer: bytes }", StringComparison.Ordinal)
            + judges + $"evaluate: [{{ of: {{ kind: untouched, model: tiny }}, with: {{ type: winrate, dataset: exam, judge: far, limit: 7, max_new_tokens: 16{options} }} }}]\n"), "--out", user.Run);
        var alone = Evaluation("");
        Assert.That(((int)alone["not_predicted"]!, (int)alone["questions_to_services"]!), Is.EqualTo((0, 14)));
        Assert.That((double)alone["kinds"]!["evaluate"]!["seconds"]!, Is.InRange(14, 18), "a second each");
        Assert.That(Dry(user.File("far.yaml"), "--out", user.Run).Out, Does.Contain("14 questions go to services as judges"));
        var beside = Evaluation(", baseline: other");
        Assert.That((long)beside["kinds"]!["evaluate"]!["peak_memory_bytes"]! - (long)alone["kinds"]!["evaluate"]!["peak_memory_bytes"]!, Is.InRange(20e6, 100e6), "5.5 million weights, and what 7 answers need");
    }

    // The method parts each pair into two answers before the first step, and so 40 pairs are 20 updates of 4 in the place of 10.
    [Test]
    public void Pairs_of_kto_are_two_answers_each()
    {
        using var user = new Peftalign();
        JsonNode Training(string method)
        {
            var forecast = Forecast(user.Write("pairs.yaml", $$"""
                peftalign: 1
                seeds: [1]
                models: { tiny: { init: llama, set: { hidden_size: 16, num_attention_heads: 2, max_position_embeddings: 512 }, tokenizer: bytes } }
                datasets: { pairs: { reader: synthetic, rows: 40 } }
                adapters: { small: { type: lora, rank: 2, targets: [q_proj, v_proj] } }
                methods: { tune: { type: {{method}}, adapter: small, batch_size: 4, epochs: 1 } }
                train: [{ models: tiny, datasets: pairs, methods: tune }]
                """), "--out", user.Run);
            Assert.That(((int)forecast["not_predicted"]!, (bool)forecast["assumes_longest_rows"]!), Is.EqualTo((0, false)), method);
            return forecast["kinds"]!["train"]!;
        }
        var (pairs, answers) = (Training("dpo"), Training("kto"));
        // All that grows with the updates alone is metrics.jsonl.
        Assert.That((long)answers["disk_bytes"]! - (long)pairs["disk_bytes"]!, Is.EqualTo(10 * 250), "ten rows");
    }

    [Test]
    public void What_is_not_there_is_not_guessed()
    {
        using var user = new Peftalign();
        user.Write("config.json", """{ "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "torch_dtype": "float32" }""");
        string Manifest(string config, string length) => $$"""
            peftalign: 1
            models: { seven: { path: models/seven{{config}} } }
            datasets: { rows: { reader: jsonl, path: rows.jsonl } }
            adapters: { small: { type: lora, rank: 16, alpha: 32, targets: [q_proj, v_proj] } }
            methods: { tune: { type: sft, adapter: small, {{length}}, batch_size: 4, max_length: 512 } }
            train: [{ models: seven, datasets: rows, methods: tune }]
            """;
        var unknown = Forecast(user.Write("a.yaml", Manifest("", "max_steps: 100")), "--out", user.Run);
        Assert.That((int)unknown["not_predicted"]!, Is.EqualTo(1), "no shape");
        Assert.That(Dry(user.File("a.yaml"), "--out", user.Run).Out, Does.Match(@"(?m)^  train +1 +0 +\? +\? +\?$").And.Contain("not predicted"));
        var epochs = Forecast(user.Write("b.yaml", Manifest(", config: config.json", "epochs: 1")), "--out", user.Run);
        Assert.That((int)epochs["not_predicted"]!, Is.EqualTo(1), "no number of rows");
        var shaped = Forecast(user.Write("c.yaml", Manifest(", config: config.json", "max_steps: 100")), "--out", user.Run);
        Assert.That(((int)shaped["not_predicted"]!, (bool)shaped["assumes_longest_rows"]!), Is.EqualTo((0, true)));
        Assert.That((double)shaped["peak_memory_bytes"]!, Is.InRange(4 * 6.7e9, 4 * 6.8e9 + 40e9), "6.74 billion float32 weights, and the activations of 2048 tokens");
        Assert.That((double)shaped["disk_bytes"]!, Is.InRange(4 * 8_388_608.0, 4 * 8_388_608.0 + 100_000), "rank 16 on q and v of 32 layers of width 4096: 8,388,608 numbers");
        // On a GPU: bfloat16, and the probabilities of an attention that is composed; over 4 bits a quarter of the weights.
        double OnGpu(string adapter) => (double)Forecast(user.Write("d.yaml", Manifest(", config: config.json", "max_steps: 100").Replace("type: lora", $"type: {adapter}", StringComparison.Ordinal)), "--out", user.Run, "--device", "cuda")["peak_memory_bytes"]!;
        Assert.That(OnGpu("lora"), Is.InRange(2 * 6.7e9 + 12e9, 2 * 6.8e9 + 20e9));
        Assert.That(OnGpu("lora") - OnGpu("qlora"), Is.InRange(2 * 6.74e9 - 4.4e9, 2 * 6.74e9 - 3.8e9), "3.9 GB, or with factors in float32 4.2");
    }

    // What is there already and cannot be read would end jobs after all trainings; what is not there is warned of alone.
    [Test]
    public void Data_that_no_job_could_read_are_told()
    {
        using var user = new Peftalign();
        user.Write("rows.jsonl", """{"prompt": "a", "completion": "b"}""" + "\n");
        Directory.CreateDirectory(user.File("folder"));
        string Manifest(string data, string column) => user.Write("data.yaml", Manifests.Tiny + $$"""
            datasets: { rows: { reader: jsonl, path: {{data}} } }
            methods: { tune: { type: sft, max_steps: 1, batch_size: 1 } }
            train: [{ models: tiny, datasets: rows, methods: tune, seeds: 1 }]
            evaluate: [{ of: [untouched, trained], with: [{ type: perplexity, path: rows.jsonl, column: {{column}} }] }]
            """);
        Outcome Told(string manifest) => Peftalign.Call("run", manifest, "--out", user.Run, "--dry-run");
        var rows = user.File("rows.jsonl");
        var column = Told(Manifest("rows.jsonl", "text"));
        Assert.That((column.Code, column.Out), Is.EqualTo((2, "")));
        Assert.That(column.Err.Split('\n', StringSplitOptions.RemoveEmptyEntries), Has.Length.EqualTo(2).And.Some.Contains($" and 1 job more: {rows}, row 1 has no text in 'text'; it has prompt, completion. Give the column with the option column.").And.Some.Contains("1 fault(s); nothing was started."));
        var folder = Told(Manifest("folder", "prompt"));
        Assert.That((folder.Code, folder.Err), Is.EqualTo((2, $"peftalign: train/tiny/rows/tune/s1: '{user.File("folder")}' is a folder; reader jsonl needs a .jsonl or .jsonl.gz file. Name one inside it.\n1 fault(s); nothing was started.\n")));
        Assert.That(Told(Manifest("none.jsonl", "prompt")).Code, Is.Zero, "warned of");
        Assert.That(Told(Manifest("rows.jsonl", "prompt")).Code, Is.Zero);
        Assert.That(Directory.Exists(user.Run), Is.False);
    }

    [Test]
    public void Paths_that_are_not_there_are_warned_of()
    {
        using var user = new Peftalign();
        user.Write("rows.jsonl", "");
        var manifest = user.Write("paths.yaml", """
            peftalign: 1
            models: { seven: { path: models/seven, chat_template: templates/none.jinja } }
            datasets: { rows: { reader: jsonl, path: rows.jsonl }, more: { reader: jsonl, path: more.jsonl } }
            methods: { tune: { type: sft, max_steps: 100, batch_size: 4 } }
            train: [{ models: seven, datasets: [rows, more], methods: tune }]
            """);
        var outcome = Dry(manifest, "--out", user.Run);
        Assert.That(outcome.Err.Split('\n', StringSplitOptions.RemoveEmptyEntries), Is.EqualTo(new[]
        {
            $"warning: {manifest}:2:26: 'models/seven' does not exist; its name stands for its content",
            $"warning: {manifest}:2:55: 'templates/none.jinja' does not exist; its name stands for its content",
            $"warning: {manifest}:3:85: 'more.jsonl' does not exist; its name stands for its content",
        }));
        var missing = JsonNode.Parse(Dry(manifest, "--out", user.Run, "--json").Out)!["missing"]!;
        Assert.That(missing.AsArray().Select(m => ((string)m!["path"]!, (int)m["line"]!, (int)m["column"]!)), Is.EqualTo(new[] { ("models/seven", 2, 26), ("templates/none.jinja", 2, 55), ("more.jsonl", 3, 85) }));
        Assert.That(Dry(Quickstart, "--out", user.Run).Err, Is.Empty);
    }

    // A name without / and .jinja: a template that is built in, or one of the folder's own.
    [TestCase("vicunaa", "there is no template 'vicunaa'; did you mean vicuna?")]
    [TestCase("with_tools", "there is no template 'with_tools'; known: default, tools, alpaca")]
    [TestCase("vicuna", null)]
    [TestCase("Llama3", null)]
    [TestCase("tools", null)]
    public void A_chat_template_that_is_not_there_is_a_fault_of_the_plan(string name, string? fault)
    {
        using var user = new Peftalign();
        user.Write("rows.jsonl", "");
        Directory.CreateDirectory(user.File("seven/additional_chat_templates"));
        user.Write("seven/config.json", File.ReadAllText(Path.Combine(Peftalign.Stories, "config.json")));
        user.Write("seven/chat_template.jinja", "{{ messages }}");
        user.Write("seven/additional_chat_templates/tools.jinja", "{{ tools }}");
        var manifest = user.Write("names.yaml", $$"""
            peftalign: 1
            models: { seven: { path: seven, chat_template: {{name}} } }
            datasets: { rows: { reader: jsonl, path: rows.jsonl } }
            methods: { tune: { type: sft, max_steps: 100 } }
            train: [{ models: seven, datasets: rows, methods: tune }]
            """);
        var outcome = Peftalign.Call("run", manifest, "--dry-run", "--out", user.Run);
        Assert.That(outcome.Code, Is.EqualTo(fault is null ? 0 : 2), outcome.All);
        if (fault is not null) Assert.That(outcome.Err, Does.Contain("train/seven/rows/tune").And.Contain(fault).And.Contain("1 fault(s); nothing was started."));
    }

    // By a manifest or by a command, on a processor or a GPU: one prediction. Rows are of one length, so that their mean is their longest.
    // What trains controls and the model's own weights is predicted as what trains these.
    [TestCase("cpu", "sft", "qlora")]
    [TestCase("cuda", "sft", "lora")]
    [TestCase("cpu", "meet", "lora")]
    public void A_plans_training_is_predicted_as_a_single_one(string device, string method, string adapter)
    {
        using var user = new Peftalign();
        var model = Peftalign.Stories;
        var rows = user.Write("rows.jsonl", string.Concat(Enumerable.Repeat($$"""{"prompt_ids": [{{string.Join(", ", Enumerable.Repeat(5, 400))}}], "completion_ids": [7, 8, 9], "label": true}""" + "\n", 32)));
        var manifest = user.Write("one.yaml", $$"""
            peftalign: 1
            models: { stories: { path: '{{model}}' } }
            datasets: { rows: { reader: jsonl, path: '{{rows}}' } }
            adapters: { small: { type: {{adapter}}, rank: 8 } }
            methods: { tune: { type: {{method}}, adapter: small, max_steps: 4, batch_size: 16, max_length: 512 } }
            train: [{ models: stories, datasets: rows, methods: tune }]
            """);
        var plan = (double)JsonNode.Parse(Done("run", manifest, "--out", user.Run))!["forecast"]!["peak_memory_bytes"]!;
        var alone = JsonNode.Parse(Done("train", method, "--model", model, "--data", rows, "--out", user.Run, "--adapter", adapter, "--rank", "8", "--max-steps", "4", "--batch-size", "16", "--max-length", "512"))!;
        double Part(string name) => (double)alone[name]!;
        Assert.That(plan - Part("predicted_bytes"), Is.EqualTo(0).Within(0.01 * Part("activation_bytes")));
        Assert.That(Part("activation_bytes"), Is.GreaterThan(0.1 * Part("predicted_bytes")), "no rounding beside the process itself");

        string Done(params string[] call)
        {
            var outcome = Peftalign.Call([.. call, "--dry-run", "--json", "--device", device]);
            Assert.That(outcome.Code, Is.Zero, outcome.All);
            return outcome.Out;
        }
    }
}
