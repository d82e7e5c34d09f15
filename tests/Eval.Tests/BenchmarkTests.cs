// The shipped benchmarks on the real data: what they read, what they ask, and how they score.

using System.Formats.Tar;
using System.IO.Compression;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Benchmarks;
using PeftAlign.Eval.Tasks;

namespace PeftAlign.Eval.Tests;

public sealed class BenchmarkTests
{
    private string folder = "";

    [SetUp]
    public void Make() => folder = Directory.CreateTempSubdirectory("peftalign-benchmarks-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(folder, recursive: true);

    [TestCase("test", 14042)]
    [TestCase("val", 1531)]
    public void Mmlu_has_57_subjects_and_all_its_rows(string split, int rows)
    {
        var items = new MmluBenchmark(new MmluOptions { Path = Places.Shared("data"), Split = split }).Items().ToList();
        Assert.That((items.Count, items.Select(i => i.Task).Distinct().Count()), Is.EqualTo((rows, 57)));
    }

    [Test]
    public void A_limit_leaves_the_number_of_what_there_is()
    {
        IBenchmark[] limited = [new MmluBenchmark(new MmluOptions { Path = Places.Shared("data"), Subjects = ["sociology"], Limit = 1 }), new BbhBenchmark(new BbhOptions { Path = Places.Shared("data/bbh"), Tasks = ["navigate"], Limit = 1 })];
        Assert.That(limited.Select(b => (b.Items().Count(), b.Info.Tasks[0].Available)), Is.EqualTo(new (int, int?)[] { (1, 201), (1, 250) }));
    }

    [Test]
    public void Mmlu_asks_what_the_harness_asks()
    {
        var golden = Places.Shared("golden/lmeval");
        var rows = File.ReadLines(Path.Combine(golden, "data/mmlu_abstract_algebra_test.jsonl")).Select(l => (int)JsonNode.Parse(l)!["row"]!).ToList();
        var samples = File.ReadLines(Path.Combine(golden, "stories260K/samples/mmlu_abstract_algebra_1shot.jsonl")).Select(l => JsonNode.Parse(l)!).ToList();
        var benchmark = new MmluBenchmark(new MmluOptions { Path = Places.Shared("data/mmlu"), Shots = 1, Subjects = ["abstract_algebra"] });
        var items = benchmark.Items().ToList();
        for (var k = 0; k < rows.Count; k++)
        {
            var asked = benchmark.Requests(items[rows[k]]).Cast<EvalRequest.LogLikelihood>().ToList();
            Assert.That(asked.Select(a => a.Context), Is.All.EqualTo((string)samples[k]["context"]!));
            Assert.That(asked.Select(a => a.Continuation), Is.EqualTo(new[] { " A", " B", " C", " D" }));
            Assert.That((int)items[rows[k]].Document["answer"]!, Is.EqualTo((int)samples[k]["target"]!));
        }
    }

    [Test]
    public void Mmlu_with_five_shots_is_the_five_dev_rows_in_order_under_either_header()
    {
        string Prompt(string template)
        {
            var benchmark = new MmluBenchmark(new MmluOptions { Path = Places.Shared("data/mmlu"), Shots = 5, Subjects = ["abstract_algebra"], Template = template });
            return ((EvalRequest.LogLikelihood)benchmark.Requests(benchmark.Items().First())[0]).Context;
        }
        var prompt = Prompt("lm-eval");
        Assert.That(prompt, Does.StartWith("The following are multiple choice questions (with answers) about abstract algebra.\n\nFind all c in Z_3 such that Z_3[x]/(x^2 + c) is a field.\nA. 0\nB. 1\nC. 2\nD. 3\nAnswer: B\n\n"));
        Assert.That(prompt, Does.EndWith("\nAnswer:").And.Not.EndWith(" "));
        Assert.That(prompt.Split("Answer:"), Has.Length.EqualTo(7), "five solved questions and one that is not");
        Assert.That(Prompt("hendrycks"), Does.StartWith("The following are multiple choice questions (with answers) about  abstract algebra.\n\nFind"));
    }

    [Test]
    public void Mmlu_as_a_conversation_has_the_header_as_the_system_s()
    {
        var benchmark = new MmluBenchmark(new MmluOptions { Path = Subjects("sociology"), Subjects = ["sociology"], Chat = true });
        var asked = (EvalRequest.LogLikelihood)benchmark.Requests(benchmark.Items().First())[1];
        Assert.That((asked.Messages![0].Role, asked.Messages[1].Role, asked.Continuation), Is.EqualTo(("system", "user", "B")));
        Assert.That(asked.Messages[1].Content, Is.EqualTo("Is it, \"true\"?\nA. a,b\nB. c\nd\nC. e\nD. f\nAnswer:"));
    }

    [Test]
    public void Mmlu_as_a_conversation_has_the_letters_of_examples_as_the_assistant_s()
    {
        File.WriteAllText(Path.Combine(folder, "sociology_dev.csv"), "First?,a,b,c,d,C\nSecond?,e,f,g,h,A\n");
        string Said(bool? turns)
        {
            var benchmark = new MmluBenchmark(new MmluOptions { Path = Subjects("sociology"), Subjects = ["sociology"], Chat = true, Shots = 2, FewshotAsMultiturn = turns });
            return string.Join('|', ((EvalRequest.LogLikelihood)benchmark.Requests(benchmark.Items().First())[0]).Messages!.Skip(1).Select(m => $"{m.Role}: {m.Content}"));
        }
        const string Asked = "Is it, \"true\"?\nA. a,b\nB. c\nd\nC. e\nD. f\nAnswer:";
        const string First = "First?\nA. a\nB. b\nC. c\nD. d\nAnswer:", Second = "Second?\nA. e\nB. f\nC. g\nD. h\nAnswer:";
        foreach (var turns in (bool?[])[null, true]) Assert.That(Said(turns), Is.EqualTo($"user: {First}|assistant: C|user: {Second}|assistant: A|user: {Asked}"));
        Assert.That(Said(false), Is.EqualTo($"user: {First} C\n\n{Second} A\n\n{Asked}"));
    }

    // The harness refuses true alone: false is what stands there anyhow.
    [Test]
    public void Examples_as_turns_need_a_conversation()
    {
        Func<bool, IBenchmark>[] made =
        [
            turns => new MmluBenchmark(new MmluOptions { Path = folder, FewshotAsMultiturn = turns }),
            turns => new BbhBenchmark(new BbhOptions { Path = folder, FewshotAsMultiturn = turns }),
            turns => new TasksBenchmark(new TasksOptions { Path = folder, FewshotAsMultiturn = turns }),
        ];
        foreach (var make in made)
        {
            Assert.That(() => make(false), Throws.Nothing);
            Assert.That(() => make(true), Throws.TypeOf<UserErrorException>().With.Message.EqualTo("fewshot_as_multiturn: true needs chat: true; add it or leave this out."));
        }
    }

    [Test]
    public void Missing_subjects_and_broken_rows_are_named()
    {
        Subjects("sociology");
        Assert.That(() => new MmluBenchmark(new MmluOptions { Path = folder }).Items().ToList(), Throws.InstanceOf<UserErrorException>().With.Message.Contains("lacks 56 of 57 subjects").And.Message.Contains("abstract_algebra"));
        File.AppendAllText(Path.Combine(folder, "sociology_test.csv"), "q,a,b,c,d,E\n");
        Assert.That(() => new MmluBenchmark(new MmluOptions { Path = folder, Subjects = ["sociology"] }).Items().ToList(), Throws.InstanceOf<UserErrorException>().With.Message.Contains("sociology_test.csv, line 3").And.Message.Contains("'E'"));
        File.WriteAllText(Path.Combine(folder, "sociology_test.csv"), "\"open,a,b,c,d,A\n");
        Assert.That(() => new MmluBenchmark(new MmluOptions { Path = folder, Subjects = ["sociology"] }).Items().ToList(), Throws.InstanceOf<UserErrorException>().With.Message.Contains("a quote is not closed"));
        Assert.That(() => new MmluBenchmark(new MmluOptions { Path = folder, Subjects = ["socialogy"] }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("sociology"));
    }

    [Test]
    public void Mmlu_averages_over_questions_and_over_subjects()
    {
        var benchmark = new MmluBenchmark(new MmluOptions { Path = "unused", Subjects = ["anatomy", "virology"] });
        ItemScore[] Of(string subject, params int[] right) => [.. right.Select((r, k) => new ItemScore($"{k}", new Dictionary<string, double> { ["acc"] = r }) { Task = $"mmlu_{subject}" })];
        var results = benchmark.Aggregate([.. Of("anatomy", 1, 1, 0, 1), .. Of("virology", 0, 0)]);
        MetricResult One(string task, string metric) => results.Single(r => r.Task == task && r.Metric == metric);
        Assert.That(One("", "acc").Value, Is.EqualTo(0.5));
        Assert.That(One("", "acc_macro").Value, Is.EqualTo(0.375));
        Assert.That(One("mmlu_stem", "acc").Value, Is.EqualTo(0.75));
        Assert.That(One("mmlu_other", "acc").Count, Is.EqualTo(2));
        // se 0.25 and 0: sqrt((3 * 0.0625 * 4) / (6 - 2) / 6)
        Assert.That(One("", "acc").StandardError, Is.EqualTo(Math.Sqrt(0.75 / 4 / 6)).Within(1e-12));
        Assert.That(One("", "acc_macro").StandardError, Is.EqualTo(0.125).Within(1e-12));
    }

    [Test]
    public void Bbh_reads_27_files_and_scores_the_published_codex_answers_as_published()
    {
        var benchmark = new BbhBenchmark(new BbhOptions { Path = Places.Shared("data/bbh") });
        var items = benchmark.Items().ToList();
        Assert.That((items.Count, items.Select(i => i.Task).Distinct().Count()), Is.EqualTo((6511, 27)));
        var golden = Places.Json(Places.Shared("golden/metrics/bbh.json"))["tasks"]!.AsObject();
        Assert.That(golden, Has.Count.EqualTo(6));
        foreach (var (name, task) in golden)
        {
            var (reasons, file) = (name.StartsWith("cot/", StringComparison.Ordinal), name[(name.IndexOf('/') + 1)..]);
            var outputs = Codex(reasons ? "cot" : "direct", file);
            var right = outputs.Count(o => BbhScoring.IsRight("official", reasons, (string)o["prediction"]!, (string)o["target"]!));
            Assert.That(100.0 * right / outputs.Count, Is.EqualTo((double)task!["published_accuracy"]!).Within(1e-9), name);
        }
    }

    [TestCase("direct")]
    [TestCase("cot")]
    public void Bbh_asks_what_the_authors_asked(string template)
    {
        var benchmark = new BbhBenchmark(new BbhOptions { Path = Places.Shared("data/bbh"), Template = template });
        foreach (var file in (string[])["boolean_expressions", "date_understanding", "snarks"])
        {
            var asked = benchmark.Items().Where(i => i.Task == $"bbh_{file}").Select(i => ((EvalRequest.Generate)benchmark.Requests(i)[0]).Prompt).ToList();
            var theirs = Codex(template, file).Select(o => (string)o["input"]!).ToList();
            Assert.That(asked, Has.Count.EqualTo(theirs.Count));
            // The published snarks.json lost the end of its 89th question after the answers were collected.
            for (var k = 0; k < asked.Count; k++)
                if ((file, k) is not ("snarks", 88)) Assert.That(asked[k], Is.EqualTo(theirs[k]), $"{file}, {k}");
        }
    }

    [Test]
    public void Bare_examples_are_made_from_those_with_reasoning_where_the_authors_own_are_not_at_hand()
    {
        File.WriteAllText(Path.Combine(folder, "navigate.json"), """{"examples": [{"input": "i", "target": "Yes"}]}""");
        File.WriteAllText(Path.Combine(folder, "navigate.txt"), "canary\n-----\nFollow.\n\nQ: a?\nA: Let's think step by step.\nWe go. So the answer is no way.\nSo the answer is Yes.\n\nQ: b?\nA: Let's think step by step.\nHm.\nSo the answer is (B).\n");
        var benchmark = new BbhBenchmark(new BbhOptions { Path = folder, Tasks = ["navigate"] });
        Assert.That(((EvalRequest.Generate)benchmark.Requests(benchmark.Items().Single())[0]).Prompt, Is.EqualTo("Follow.\n\nQ: a?\nA: Yes\n\nQ: b?\nA: (B)\n\nQ: i\nA:"));
        Assert.That((string)benchmark.Info.Settings!["prompts"]!, Does.StartWith("made from"));
    }

    [Test]
    public void The_harness_s_reading_of_answers_keeps_its_faults_and_is_named_apart()
    {
        Assert.That(BbhScoring.Answer("lm_eval", true, "so the answer is True"), Is.EqualTo("Tru"));
        Assert.That(BbhScoring.Answer("official", true, "so the answer is True"), Is.EqualTo("True"));
        Assert.That(BbhScoring.Answer("lm_eval", false, " True"), Is.EqualTo(" True"));
        Assert.That(BbhScoring.Answer("strip", false, " True"), Is.EqualTo("True"));
        Assert.That(BbhScoring.Answer("lm_eval", false, "a Question"), Is.EqualTo("a "));
    }

    [Test]
    public void Sonnets_have_the_published_chrf_and_the_floor_of_their_prompts()
    {
        var golden = Places.Json(Places.Shared("golden/chrf/golden.json"));
        var benchmark = new SonnetBenchmark(new SonnetOptions { Path = Places.Shared("data/sonnets") });
        var items = benchmark.Items().ToList();
        Assert.That(items, Has.Count.EqualTo(12));
        foreach (var (name, numbers) in golden.AsObject().Where(e => e.Key.StartsWith("predictions/", StringComparison.Ordinal)))
        {
            var written = SonnetBenchmark.Parted(File.ReadAllText(Places.Shared($"data/sonnets/{name}")));
            var scores = items.SelectMany((item, k) => benchmark.Score(item, [new EvalResponse(0, 1, false) { Texts = [written[k][((string)item.Document["prompt"]!).Length..]] }, new EvalResponse(-30 * (k + 1), 10 + k, false)])).ToList();
            var results = benchmark.Aggregate(scores);
            Assert.That(results[0].Value, Is.EqualTo((double)numbers!["corpus_chrf2"]!).Within(0.2), "the course's files write the prompt anew, blanks apart");
            Assert.That(results[1].Value, Is.EqualTo(24.765731214858697).Within(1e-9), "the floor of the prompts alone");
            Assert.That(results[2].Value, Is.InRange(40.9, 41.9), "the floor of copied lines");
            Assert.That((results[3].Metric, results[3].Value), Is.EqualTo(("nll", 30.0 * 78 / (120 + 66))), "of all sonnets' tokens together");
            Assert.That(((EvalRequest.LogLikelihood)benchmark.Requests(items[0])[1]) is var asked && asked.Context + asked.Continuation == (string?)items[0].Document["sonnet"], Is.True, "the whole sonnet");
        }
    }

    [Test]
    public void Sonnets_of_a_file_with_carriage_returns_are_those_of_one_without()
    {
        const string text = "THE SONNETS\n\n1\n\nFrom fairest\nThat thereby\n\n2\n\nWhen forty\n";
        Assert.That(SonnetBenchmark.Parted(text.Replace("\n", "\r\n", StringComparison.Ordinal)), Is.EqualTo(SonnetBenchmark.Parted(text)).And.EqualTo(new[] { "From fairest\nThat thereby", "When forty" }));
    }

    [TestCase("cs224n-train", "Question 1: \"is it ?\"\nQuestion 2: \"it 's a , b .\nAre these questions asking the same thing?\n")]
    [TestCase("closed", "Question 1: \"is it ?\"\nQuestion 2: \"it 's a , b .\"\nAre these questions asking the same thing?\n")]
    [TestCase("cs224n-test", "Is \"is it ?\" a paraphrase of \"it 's a , b .\"? Answer \"yes\" or \"no\": ")]
    public void Paraphrases_are_asked_in_the_prompt_that_is_named(string template, string prompt)
    {
        var file = Path.Combine(folder, "pairs.tsv");
        File.WriteAllText(file, "id\tsentence1\tsentence2\tis_duplicate\n1\tIs it?\t\"It's  a, b.\"\t1.0\n");
        var benchmark = new ParaphraseBenchmark(new ParaphraseOptions { Path = file, Template = template });
        var asked = benchmark.Requests(benchmark.Items().Single()).Cast<EvalRequest.LogLikelihood>().ToList();
        Assert.That((asked[0].Context, asked[0].Continuation, asked[1].Continuation), Is.EqualTo((prompt, "no", "yes")));
        Assert.That(asked.Select(a => a.KeepsContext), Is.All.True, "the prompt's newline is not scored");
        File.AppendAllText(file, "2\tx\ty\tmaybe\n");
        Assert.That(() => benchmark.Items().ToList(), Throws.InstanceOf<UserErrorException>().With.Message.Contains("line 3").And.Message.Contains("maybe"));
    }

    [Test]
    public void Paraphrases_have_accuracy_and_macro_f1()
    {
        var benchmark = new ParaphraseBenchmark(new ParaphraseOptions { BootstrapIters = 0 });
        ItemScore One(int gold, double no, double yes) => benchmark.Score(new EvalItem("1", new JsonObject { ["label"] = gold }), [new EvalResponse(no, 1, no > yes), new EvalResponse(yes, 1, false)])[0];
        var results = benchmark.Aggregate([One(0, -1, -2), One(0, -3, -2), One(1, -3, -2), One(1, -1, -2)]);
        Assert.That(results.Select(r => r.Value), Is.EqualTo(new[] { 0.5, 0.5, 0.25 }));
        Assert.That(benchmark.Aggregate([One(0, -1, -2), One(0, -1, -2), One(1, -1, -2)])[1].Value, Is.EqualTo(0.4).Within(1e-12), "F1 0.8 of no and 0 of yes");
    }

    [Test]
    public void A_name_that_stands_twice_is_refused()
    {
        Assert.That(() => new MmluBenchmark(new MmluOptions { Path = folder, Subjects = ["anatomy", "virology", "anatomy"] }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'anatomy' stands there 2 times"));
        Assert.That(() => new BbhBenchmark(new BbhOptions { Path = folder, Tasks = ["snarks", "snarks"] }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'snarks' stands there 2 times"));
    }

    private static List<JsonNode> Codex(string template, string file)
    {
        using var packed = new GZipStream(File.OpenRead(Places.Shared("data/bbh/codex_outputs_subset.tar.gz")), CompressionMode.Decompress);
        using var archive = new TarReader(packed);
        while (archive.GetNextEntry() is { } entry)
            if (entry.Name.EndsWith($"code-davinci-002-{template}/{file}_few_shot_template_0-255000.json", StringComparison.Ordinal)) return [.. JsonNode.Parse(entry.DataStream!)!["outputs"]!.AsArray().Select(o => o!)];
        throw new FileNotFoundException(file);
    }

    private string Subjects(string subject)
    {
        File.WriteAllText(Path.Combine(folder, $"{subject}_test.csv"), "\"Is it, \"\"true\"\"?\",\"a,b\",\"c\nd\",e,f,B\n");
        return folder;
    }
}
