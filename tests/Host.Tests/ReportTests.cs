// `peftalign report` on a run's folder that the test writes: every section, in every format, with numbers that can be worked out.

using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Tests;

public sealed partial class ReportTests
{
    // Cut after 400 chars, behind which half of a character stands.
    private static readonly string LongAnswer = "x" + string.Concat(Enumerable.Repeat("🙂", 200));
    private static readonly string[] Datasets = ["harmless", "helpful"];
    private readonly string folder = Directory.CreateTempSubdirectory("peftalign-report-").FullName;
    private readonly JsonArray jobs = [];

    [OneTimeTearDown]
    public void Delete()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_KEEP_REPORT") is { Length: > 0 } kept) File.Copy(Path.Combine(folder, "page.html"), kept, overwrite: true);
        Directory.Delete(folder, recursive: true);
    }

    [OneTimeSetUp]
    public void WriteRun()
    {
        Evaluated("base", "untouched", [], 0.4, [], "");
        foreach (var seed in (int[])[1, 2, 3])
        {
            foreach (var (dataset, k) in Datasets.Select((d, k) => (d, k)))
            {
                var axes = new JsonObject { ["model"] = "base", ["dataset"] = dataset, ["method"] = "sft", ["seed"] = $"{seed}" };
                var train = Job($"train/base/{dataset}/sft/s{seed}", "train", axes, [], new JsonObject { ["steps"] = 10, ["final_loss"] = 0.5 });
                File.WriteAllLines(Path.Combine(folder, "jobs", train, "metrics.jsonl"), Enumerable.Range(1, 10).Select(step => $"{{\"step\":{step},\"loss\":{(1.0 / step).ToString(System.Globalization.CultureInfo.InvariantCulture)}}}"));
                Evaluated($"base/{dataset}/sft/s{seed}", "trained", axes, 0.6 + (0.1 * k) + (0.01 * seed), [train], "");
                Evaluated($"base/{dataset}/sft/s{seed}@step:4", "trained", axes, 0.5 + (0.1 * k), [train], "step:4");
                Evaluated($"base/{dataset}/sft/s{seed}@step:8", "trained", axes, 0.55 + (0.1 * k), [train], "step:8");
            }
            var merged = new JsonObject { ["model"] = "base", ["dataset"] = "harmless+helpful", ["method"] = "sft", ["seed"] = $"{seed}", ["merge"] = "slerp" };
            var parents = Datasets.Select(d => Id($"train/base/{d}/sft/s{seed}")).ToArray();
            var merge = Job($"merge/slerp/base/sft/s{seed}", "merge", merged, parents, []);
            var spec = new JsonObject { ["id"] = merge, ["kind"] = "merge", ["label"] = "m", ["options"] = new JsonObject { ["parents"] = new JsonArray([.. parents.Select(p => (JsonNode)new JsonObject { ["weights"] = new JsonObject { ["job"] = p } })]) }, ["root"] = folder, ["threads"] = 1, ["plugins"] = new JsonArray() };
            File.WriteAllText(Path.Combine(folder, "jobs", merge, "job.json"), spec.ToJsonString());
            Evaluated($"slerp/base/sft/s{seed}", "merged", merged, 0.7, [merge], "");
        }
        File.WriteAllText(Path.Combine(folder, "plan.json"), new JsonObject { ["name"] = "a <study> & more", ["jobs"] = jobs }.ToJsonString());
        File.WriteAllText(Path.Combine(folder, "claims.yaml"), """
            # claims: mine
            claims:
              - { id: C1, says: SFT helps., metric: quiz, contrast: [{ plus: {} }, { minus: { kind: untouched } }] }
              - { id: C2, says: SFT lowers the quiz., metric: quiz/acc, is: less, contrast: [{ plus: {} }, { minus: { kind: untouched } }] }
              - { id: C3, says: More steps help., metric: quiz, each: [dataset], contrast: [{ plus: {}, curve: { along: checkpoint } }] }
              - { id: C4, says: Time., metric: train/seconds_per_step, is: less, than: 10, contrast: [{ plus: {} }] }
              - { id: C5, says: Nobody made this., metric: quiz, contrast: [{ plus: { method: dpo } }] }

            """);
    }

    private static string Id(string label) => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(label)))[..32];

    private string Job(string label, string kind, JsonObject axes, string[] dependencies, JsonObject outcome)
    {
        var (id, own) = (Id(label), axes.DeepClone().AsObject());
        own.TryAdd("policy", kind == "train" ? "trained" : "merged");
        jobs.Add(new JsonObject { ["id"] = id, ["kind"] = kind, ["label"] = label, ["axes"] = own, ["depends_on"] = new JsonArray([.. dependencies.Select(d => (JsonNode)d)]) });
        Directory.CreateDirectory(Path.Combine(folder, "jobs", id));
        File.WriteAllText(Path.Combine(folder, "jobs", id, "result.json"), new JsonObject { ["outcome"] = outcome }.ToJsonString());
        File.WriteAllText(Path.Combine(folder, "jobs", id, "timing.json"), """{"seconds": 20.0, "peak_memory_bytes": 1048576}""");
        return id;
    }

    // 100 yes-or-no items of two benchmarks; the share of yes is the score.
    private void Evaluated(string policy, string kind, JsonObject axes, double score, string[] dependencies, string checkpoint)
    {
        foreach (var (benchmark, value) in ((string, double)[])[("quiz", score), ("real_toxicity", 1 - score)])
        {
            var own = axes.DeepClone().AsObject();
            (own["model"], own["policy"], own["benchmark"]) = ("base", kind, benchmark);
            if (checkpoint.Length > 0) own["checkpoint"] = checkpoint;
            var id = Job($"evaluate/{benchmark}/{policy}", "evaluate", own, dependencies, []);
            var yes = (int)Math.Round(100 * value);
            var results = new JsonObject
            {
                ["results"] = new JsonObject { [benchmark] = new JsonObject { ["alias"] = benchmark, ["acc,none"] = yes / 100.0, ["acc_stderr,none"] = 0.05 } },
                ["n-samples"] = new JsonObject { [benchmark] = new JsonObject { ["effective"] = 100 } },
                ["higher_is_better"] = new JsonObject { [benchmark] = new JsonObject { ["acc"] = true } },
            };
            string Row(int k, string answer) => $$$"""{"doc_id":"{{{k % 50}}}","doc":{"prompt":"<b>item</b> {{{k}}}"},"filter":"none","filtered_resps":{{{answer}}},"empty":0,"acc":{{{(k * 37 % 100 < yes ? 1 : 0)}}}}""";
            var rows = Enumerable.Range(0, 100);
            // The quiz is a group of two parts with ids of their own; the other one is judged, and its answers are texts.
            if (benchmark == "quiz")
            {
                results["group_subtasks"] = new JsonObject { ["quiz"] = new JsonArray("quiz_b", "quiz_a") };
                File.WriteAllLines(Path.Combine(folder, "jobs", id, "samples_quiz_b.jsonl"), rows.Take(50).Select(k => Row(k, "null")));
                File.WriteAllLines(Path.Combine(folder, "jobs", id, "samples_quiz_a.jsonl"), rows.Skip(50).Select(k => Row(k, "null")));
            }
            else
            {
                results["results"]![benchmark]!["empty,none"] = 0.0;
                results["configs"] = new JsonObject { [benchmark] = new JsonObject { ["annotator"] = "openai judge-1", ["baseline"] = "someone" } };
                File.WriteAllLines(Path.Combine(folder, "jobs", id, $"samples_{benchmark}.jsonl"), rows.Select(k => Row(k, $"\"{kind} said {k:00} {LongAnswer}\"").Replace($"\"doc_id\":\"{k % 50}\"", $"\"doc_id\":\"{k}\"", StringComparison.Ordinal)));
                File.WriteAllText(Path.Combine(folder, "jobs", id, "judging.json"), """[{"annotator":"judge-1","questions":100,"failures":3,"seconds":2.5,"requests":60,"from_cache":40,"retries":2,"prompt_tokens":1000,"completion_tokens":50,"price":0.125,"transcript":"judges","definition":"d"}]""");
            }
            File.WriteAllText(Path.Combine(folder, "jobs", id, "results.json"), results.ToJsonString());
        }
    }

    private (int Code, string Out, string Err) Run(params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(["report", .. args]).GetAwaiter().GetResult();
        return (code, results.ToString(), remarks.ToString());
    }

    [Test]
    public void JsonHoldsVerdictsAndNumbers()
    {
        var (code, text, _) = Run(folder, "--json");
        Assert.That(code, Is.Zero);
        var report = JsonNode.Parse(text)!;
        var claims = report["claims"]!.AsArray().ToDictionary(c => (string)c!["id"]!, c => c!);
        Assert.Multiple(() =>
        {
            Assert.That((string?)claims["C1"]["verdict"], Is.EqualTo("supported"));
            Assert.That((double)claims["C1"]["estimate"]!, Is.EqualTo(0.27).Within(1e-9)); // means 0.62 and 0.72 against 0.4
            Assert.That((string?)claims["C2"]["verdict"], Is.EqualTo("contradicted"));
            Assert.That((double)claims["C3"]["estimate"]!, Is.EqualTo(0.05).Within(1e-9)); // from step 4 to 8: one doubling
            Assert.That((double)claims["C4"]["estimate"]!, Is.EqualTo(2).Within(1e-9)); // 20 s, 10 steps
            Assert.That((string?)claims["C5"]["reason"], Is.EqualTo("no finished evaluations fit the claim"));
            var quiz = report["results"]!.AsArray().Single(r => (string?)r!["policy"] == "base/helpful/sft" && (string?)r["benchmark"] == "quiz")!;
            Assert.That((double)quiz["value"]!, Is.EqualTo(0.72).Within(1e-9));
            Assert.That((int)quiz["seeds"]!, Is.EqualTo(3));
            Assert.That((string?)quiz["method"], Is.EqualTo("the wider of bootstrap over seeds and items, and t over seeds"));
            Assert.That((string?)claims["C1"]["method"], Is.EqualTo("the wider of bootstrap of seeds and items, and t over 3 seeds"));
            var empty = report["results"]!.AsArray().Single(r => (string?)r!["policy"] == "base/helpful/sft" && (string?)r["metric"] == "empty")!;
            Assert.That(((double)empty["value"]!, (double)empty["interval"]![0]!, (double)empty["interval"]![1]!), Is.EqualTo((0.0, 0.0, 0.0370)).Within(1e-4), "300 times the same is no interval of one point, but Wilson's of the 100 items");
            var merge = report["merges"]!.AsArray().Single(m => (string?)m!["metric"] == "quiz acc")!;
            Assert.That((double)merge["against_mean"]!, Is.EqualTo(0.03).Within(1e-9));
            Assert.That((double)merge["against_best"]!, Is.EqualTo(-0.02).Within(1e-9));
            Assert.That(merge["parents"]!.AsObject().Select(p => p.Key), Is.EqualTo(new[] { "base/harmless/sft", "base/helpful/sft" }), "means over seeds, as the merge's");
            Assert.That((double)report["factors"]!.AsArray().Single(f => (string?)f!["metric"] == "quiz acc")!["shares"]!["dataset"]!, Is.GreaterThan(0.9));
        });
    }

    [Test]
    public void ThePageStandsAlone()
    {
        var page = Path.Combine(folder, "page.html");
        Assert.That(Run(folder, "--out", page).Code, Is.Zero);
        var text = File.ReadAllText(page);
        Assert.That(Asset().Match(text).Value, Is.Empty, "an address, a script or a file beside it");
        Assert.That(text, Does.Not.Contain("<b>item</b>").And.Contain("&lt;b&gt;item&lt;/b&gt;").And.Contain("a &lt;study&gt; &amp; more"));
        foreach (var section in (string[])["Claims", "Results", "Helpfulness against harmlessness", "How much data is enough", "Merges against their parents", "Which factor matters", "Examples", "Training curves", "Costs and times"])
            Assert.That(text, Does.Contain($"<h2>{section}</h2>"));
        foreach (Match svg in Svg().Matches(text)) Assert.That(() => System.Xml.Linq.XDocument.Parse(svg.Value), Throws.Nothing);
        Assert.That(Svg().Matches(text), Has.Count.GreaterThan(6));
        Assert.That(text, Does.Not.Contain("NaN"));
    }

    [Test]
    public void Judges_are_named_and_paid_for()
    {
        var report = JsonNode.Parse(Run(folder, "--json").Out)!;
        var judge = report["judges"]!.AsArray().Single()!;
        var evaluations = jobs.Count(j => ((string)j!["label"]!).StartsWith("evaluate/real_toxicity", StringComparison.Ordinal));
        Assert.That(((long)judge["questions"]!, (long)judge["failures"]!, (long)judge["retries"]!, (double)judge["price"]!), Is.EqualTo((100L * evaluations, 3L * evaluations, 2L * evaluations, 0.125 * evaluations)));
        Assert.That(report["results"]!.AsArray().Where(r => (string?)r!["benchmark"] == "real_toxicity").Select(r => ((string?)r!["annotator"], (string?)r["baseline"])), Is.All.EqualTo(("openai judge-1", "someone")));
        var page = Path.Combine(folder, "judged.html");
        Assert.That(Run(folder, "--out", page).Code, Is.Zero);
        Assert.That(File.ReadAllText(page), Does.Contain("judged by openai judge-1; against someone; n = 100").And.Contain("<td>judge-1<br><small>replies in judges</small></td>"));
        Assert.That(Run(folder, "--format", "md").Out, Does.Contain("| real_toxicity acc (judged by openai judge-1; against someone; n = 100) |").And.Contain("## Judges"));
    }

    [Test]
    public void Checkpoints_stand_at_their_steps_and_answers_side_by_side()
    {
        var page = Path.Combine(folder, "curves.html");
        Assert.That(Run(folder, "--out", page).Code, Is.Zero);
        var text = File.ReadAllText(page);
        var curve = Svg().Matches(text).Select(m => m.Value).First(svg => svg.Contains("over optimiser steps", StringComparison.Ordinal));
        Assert.That(Regex.Matches(curve, "class=\"tick middle\"[^>]*>([^<]*)<").Select(m => m.Groups[1].Value), Is.EqualTo(new[] { "4", "8" }), "numbers, not exponents");
        Assert.That(text, Does.Contain("&#128578; ...").And.Not.Contain("\uFFFD").And.Not.Contain("&#65533;"));
        Assert.That(text, Does.Contain("untouched said").And.Contain("trained said").And.Contain("class=\"pair\""));
    }

    [Test]
    public void The_printed_report_lists_the_jobs()
    {
        var report = JsonNode.Parse(Run(folder, "--format", "json").Out)!;
        Assert.That(report["jobs"]!.AsArray(), Has.Count.EqualTo(jobs.Count));
        var train = report["jobs"]!.AsArray().First(j => (string?)j!["kind"] == "train")!;
        Assert.That(((string?)train["label"], (string?)train["labels"]![0], (string?)train["axes"]!["method"], (int)train["result"]!["steps"]!), Is.EqualTo(("train/base/harmless/sft/s1", "train/base/harmless/sft/s1", "sft", 10)));
    }

    // stdout is JSON or refused, whatever else is asked.
    [TestCase("--format", "md")]
    [TestCase("--format", "html", "--out", "-")]
    [TestCase("--format", "md", "--out", "-")]
    public void What_is_no_JSON_is_no_standard_output_of_JSON(params string[] asked)
    {
        var (code, text, error) = Run([folder, "--json", .. asked]);
        Assert.That((code, text), Is.EqualTo((2, "")));
        Assert.That(error, Does.Contain($"--json with --format {asked[1]}").And.Contain("give --out a file"));
    }

    [TestCase("--out", "-")]
    [TestCase("--format", "html")]
    [TestCase("--format", "md", "--out", "FILE.md")]
    public void Under_JSON_standard_output_is_JSON(params string[] asked)
    {
        var (code, text, error) = Run([folder, "--json", .. asked.Select(a => a.Replace("FILE", Path.Combine(folder, "named"), StringComparison.Ordinal))]);
        Assert.That(code, Is.Zero, error);
        Assert.That(JsonNode.Parse(text), Is.InstanceOf<JsonObject>());
    }

    [Test]
    public void An_interval_of_another_level_says_so()
    {
        var file = Path.Combine(folder, "within.yaml");
        File.WriteAllText(file, "claims:\n  - { id: E, says: Alike., metric: quiz, each: [dataset], is: within, than: 0.9, contrast: [{ plus: {} }, { minus: { kind: untouched } }] }\n");
        var row = Run(folder, "--format", "md", "--claims", file).Out.Split('\n').Single(line => line.StartsWith("| **E**", StringComparison.Ordinal));
        Assert.That(row.Split('|')[4].Trim(), Does.StartWith("[").And.EndWith("] 90 %"));
        var text = Run(folder, "--format", "md").Out;
        Assert.That(text, Does.Contain("Intervals are 95 % where no other level is said."));
        Assert.That(text, Does.Not.Contain("90 %"));
    }

    [Test]
    public void MarkdownHasTheVerdicts()
    {
        var (code, text, _) = Run(folder, "--format", "md");
        Assert.That(code, Is.Zero);
        Assert.That(text, Does.Contain("| **C1** SFT helps. | supported |").And.Contain("## Merges against their parents"));
    }

    [Test]
    public void OtherClaimsByFile()
    {
        var file = Path.Combine(folder, "bad.yaml");
        File.WriteAllText(file, "claims:\n  - { id: X, says: y., metric: quiz, contrast: [{ plus: { modle: base } }] }\n");
        var (code, _, error) = Run(folder, "--format", "md", "--claims", file);
        Assert.That(code, Is.EqualTo(2));
        Assert.That(error, Does.Contain("2:").And.Contain("unknown axis 'modle'").And.Contain("model"));
        File.WriteAllText(file, "claims:\n  - { id: X, says: y., metric: quiz, contrast: [{ plus: { dataset: [harmless, helpfull] } }] }\n");
        (code, _, error) = Run(folder, "--format", "md", "--claims", file);
        Assert.That((code, error), Is.EqualTo((2, $"peftalign: {file}:2:79: claims[0].contrast[0].plus.dataset[1]: no policy of the plan has the dataset 'helpfull'; did you mean 'helpful'?\n")));
        Assert.That(Run(folder, "--claims", "deep-dve").Err, Does.Contain("deep-dive"));
    }

    [Test]
    public void The_claims_that_the_page_shows_are_answered()
    {
        var page = File.ReadAllText(Path.Combine(SmallAdapter.Root, "docs", "report.md"));
        var file = Path.Combine(folder, "page.yaml");
        var shown = page.Split("```yaml\n")[1].Split("```")[0];
        Assert.That(PeftAlign.Core.Claims.ClaimSets.Read(shown).Set?.Count, Is.EqualTo(4), "for each metric and each method");
        foreach (var (name, own) in ((string, string)[])[("[mmlu, bbh/acc]", "[quiz]"), ("[sft-q, dpo-q]", "[sft]"), ("'!tiny'", "base"), ("tag: [harmless, helpful]", "method"), ("tag: bt", "dataset: helpful"), ("tag: hh", "dataset: harmless")])
            shown = shown.Replace(name, own, StringComparison.Ordinal);
        File.WriteAllText(file, shown);
        var (code, text, error) = Run(folder, "--format", "json", "--claims", file);
        Assert.That(code, Is.Zero, error);
        Assert.That(JsonNode.Parse(text)!["claims"]!.AsArray().Select(c => (string)c!["id"]!), Is.EqualTo(new[] { "D1/sft" }));
    }

    // A benchmark of one name over two data sets is one row for each, whatever the temperature, and a number for each seed behind it.
    [Test]
    public void Policies_of_one_label_are_counted_not_hashed()
    {
        var run = Directory.CreateDirectory(Path.Combine(folder, "twins")).FullName;
        string[] labels = ["quiz[t=1]/base#0a1b2c", "quiz[t=2]/base#aaaaaa", "quiz[t=1]/base#3d4e5f", "quiz[t=2]/base#bbbbbb", "quiz[t=1]/base/sft/s1#111111", "quiz[t=1]/base/sft/s1#222222", "quiz[t=1]/base/sft/s2#333333", "quiz[t=1]/base/meet/s1/good"];
        var planned = labels.Select(label => (JsonNode)new JsonObject { ["id"] = Id(label), ["kind"] = "evaluate", ["label"] = "evaluate/" + label, ["depends_on"] = new JsonArray(), ["axes"] = AxesOf(label) });
        File.WriteAllText(Path.Combine(run, "plan.json"), new JsonObject { ["name"] = "twins", ["jobs"] = new JsonArray([.. planned]) }.ToJsonString());
        var read = PeftAlign.Host.Reports.RunData.Read(new PeftAlign.Host.Running.RunFolder(run));
        Assert.That(read.Jobs.Select(job => job.Policy), Is.EqualTo(new[] { "base", "base", "base (2)", "base (2)", "base/sft", "base/sft (2)", "base/sft", "base/meet/good" }));
    }

    private static JsonObject AxesOf(string label)
    {
        var axes = new JsonObject { ["benchmark"] = "quiz", ["benchmark_variant"] = label[5..8] };
        foreach (var seed in (string[])["1", "2"])
            if (label.Contains("/s" + seed, StringComparison.Ordinal)) axes["seed"] = seed;
        if (label.EndsWith("/good", StringComparison.Ordinal)) axes["control"] = "good";
        return axes;
    }

    // lm-evaluation-harness's tasks: a group with its parts, and a task beside it, are two results; the group's parts are none.
    [TestCase("tasks", "group/acc@0.75*4 alone/acc@0.5*2")]
    [TestCase("group", "acc@0.75*4")]
    public void All_outermost_tasks_of_an_evaluation_reach_the_report(string benchmark, string expected)
    {
        var run = Directory.CreateDirectory(Path.Combine(folder, "tasks-of-" + benchmark)).FullName;
        var job = Directory.CreateDirectory(Path.Combine(run, "jobs", Id(benchmark))).FullName;
        File.WriteAllText(Path.Combine(run, "plan.json"), new JsonObject { ["name"] = "tasks", ["jobs"] = new JsonArray(new JsonObject { ["id"] = Id(benchmark), ["kind"] = "evaluate", ["label"] = "evaluate/tasks/base", ["depends_on"] = new JsonArray(), ["axes"] = new JsonObject { ["benchmark"] = "tasks" } }) }.ToJsonString());
        File.WriteAllText(Path.Combine(job, "result.json"), $$$"""{"outcome": {"benchmark": "{{{benchmark}}}"}}""");
        File.WriteAllText(Path.Combine(job, "results.json"), """
            {"results": {"group": {"acc,none": 0.75}, "inner": {"acc,none": 0.5}, "one": {"acc,none": 0.5}, "two": {"acc,none": 1.0}, "alone": {"acc,none": 0.5}, "bare": {"name": "bare", "alias": "bare"}},
             "group_subtasks": {"group": ["inner", "two"], "inner": ["one"], "bare": ["group", "alone"]}, "n-samples": {"one": {"effective": 2}, "two": {"effective": 2}, "alone": {"effective": 2}}}
            """);
        foreach (var (task, scores) in ((string, int[])[])[("one", [0, 1]), ("two", [1, 1]), ("alone", [1, 0])])
            File.WriteAllLines(Path.Combine(job, $"samples_{task}.jsonl"), scores.Select((score, k) => $$$"""{"doc_id":{{{k}}},"filter":"none","acc":{{{score}}}}"""));
        var measured = PeftAlign.Host.Reports.RunData.Read(new PeftAlign.Host.Running.RunFolder(run)).Measured;
        Assert.That(string.Join(' ', measured.Select(m => FormattableString.Invariant($"{m.Metric}@{m.Observation.Value}*{m.Observation.Items.Length}"))), Is.EqualTo(expected));
        Assert.That(measured.Select(m => m.Observation.IsFirst), Is.EqualTo(measured.Select((_, k) => k == 0)), "one first number of a benchmark");
    }

    [TestCase("")]
    [TestCase("{\"res")]
    [TestCase("{}")]
    [TestCase("{\"results\": null}")]
    [TestCase("{\"results\": {}}")]
    public void Results_that_are_damaged_are_named(string text)
    {
        var run = Directory.CreateDirectory(Path.Combine(folder, "damaged")).FullName;
        var job = Directory.CreateDirectory(Path.Combine(run, "jobs", "a1")).FullName;
        File.WriteAllText(Path.Combine(run, "plan.json"), """{"name": "n", "jobs": [{"id": "a1", "kind": "evaluate", "label": "evaluate/x", "depends_on": []}]}""");
        File.WriteAllText(Path.Combine(job, "result.json"), """{"outcome": {"benchmark": "x"}}""");
        File.WriteAllText(Path.Combine(job, "results.json"), text);
        var (code, _, error) = Run(run);
        Assert.That((code, error), Is.EqualTo((2, $"peftalign: {Path.Combine(job, "results.json")}: is damaged and cannot be read; delete the folder {job} and run the manifest again, which makes the job anew\n")));
    }

    [TestCase("")]
    [TestCase("# nothing\n")]
    public void An_empty_set_of_claims_is_named(string text)
    {
        var run = Directory.CreateDirectory(Path.Combine(folder, "unclaimed")).FullName;
        File.WriteAllText(Path.Combine(run, "plan.json"), """{"name": "n", "jobs": []}""");
        var claims = Path.Combine(folder, "mine.yaml");
        File.WriteAllText(claims, text);
        var (code, _, error) = Run(run, "--claims", claims);
        Assert.That((code, error), Is.EqualTo((2, $"peftalign: {claims}:{(text.Length > 0 ? 2 : 1)}:1: the set of claims is empty; start it with 'claims:'\n")));
    }

    [Test]
    public void WhatIsNoRunIsRefused()
    {
        var (code, _, error) = Run(Path.Combine(folder, "jobs"));
        Assert.That(code, Is.EqualTo(2));
        Assert.That(error, Does.Contain("plan.json is not there"));
        Assert.That(Run(folder, "--format", "pdf").Code, Is.EqualTo(2));
    }

    [GeneratedRegex("https?:|<script|src=|url\\(|@import|<link")]
    private static partial Regex Asset();

    [GeneratedRegex("<svg.*?</svg>", RegexOptions.Singleline)]
    private static partial Regex Svg();
}
