// Two answers before a judge: AlpacaEval's numbers from given judgements (real leaderboards where they are at hand), both orders,
// failures that are counted, and files of answers that are joined.

using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Comparisons;

namespace PeftAlign.Eval.Tests;

public sealed class ComparisonTests
{
    private static readonly JudgeReference Judge = new(new JsonObject { ["name"] = "eval/classifier", ["options"] = new JsonObject { ["path"] = "models/fair" } });
    private string folder = "";

    // The host as it lends a dataset.
    private sealed class Lent(params string[] rows) : IPluginContext, IDatasets
    {
        public ILogger Logger => NullLogger.Instance;

        public string Folder => "";

        public object? GetService(Type type) => type == typeof(IDatasets) ? this : null;

        public IEnumerable<DataRecord> Open(DatasetReference dataset) => rows.Select((row, k) => new DataRecord(JsonNode.Parse(row)!.AsObject(), "rows.jsonl", k + 1));
    }

    [SetUp]
    public void Make() => folder = Directory.CreateTempSubdirectory("peftalign-pairs-").FullName;

    [TearDown]
    public void Drop() => Directory.Delete(folder, recursive: true);

    [TestCase("alpaca_eval_gpt4", "data_AlpacaEval__alpaca_eval_gpt4", 28)]
    [TestCase("alpaca_eval_gpt4_turbo_fn", "data_AlpacaEval_2__alpaca_eval_gpt4_turbo_fn", 2)]
    [TestCase("alpaca_eval_cot_gpt4_turbo_fn", "data_AlpacaEval_2__alpaca_eval_cot_gpt4_turbo_fn", 6)]
    [TestCase("weighted_alpaca_eval_gpt4_turbo", "data_AlpacaEval_2__weighted_alpaca_eval_gpt4_turbo", 29)]
    public void Real_leaderboards_come_out(string annotator, string board, int models)
    {
        var data = Places.Shared("data/alpaca_eval");
        var published = annotator.StartsWith("weighted", StringComparison.Ordinal);
        var (results, benchmark) = Run(new WinrateOptions { Annotations = Path.Combine(data, "preferences_compact", annotator + ".csv.gz"), Path = data, LengthControlled = published ? "published" : "none" });
        var lines = File.ReadAllLines(Path.Combine(data, "leaderboards", board + "_leaderboard.csv"));
        var head = lines[0].Split(',');
        var official = lines.Skip(1).Select(l => l.Split(',')).ToDictionary(l => l[0], l => head.Zip(l).ToDictionary(p => p.First, p => p.Second));
        var (checkedModels, controlled) = (0, 0);
        foreach (var model in results.GroupBy(r => r.Task).Where(g => official.ContainsKey(g.Key)))
        {
            var own = model.ToDictionary(r => r.Metric);
            foreach (var metric in (string[])["win_rate", "discrete_win_rate", "n_wins", "n_wins_base", "n_draws", "n_total"])
                if (official[model.Key].GetValueOrDefault(metric, "") is { Length: > 0 } text) Assert.That(own[metric].Value, Is.EqualTo(double.Parse(text, CultureInfo.InvariantCulture)).Within(1e-6), $"{model.Key} {metric}");
            Assert.That(own["win_rate"].StandardError, Is.EqualTo(double.Parse(official[model.Key]["standard_error"], CultureInfo.InvariantCulture)).Within(1e-6), model.Key);
            checkedModels++;
            // Files that lack rows took the difficulties of others there (by row number); ours go by instruction.
            if (!published || own["n_total"].Value + own["failed"].Value < 805) continue;
            Assert.That(own["length_controlled_winrate"].Value, Is.EqualTo(double.Parse(official[model.Key]["length_controlled_winrate"], CultureInfo.InvariantCulture)).Within(1e-6), model.Key);
            controlled++;
        }
        Assert.That((checkedModels, controlled), Is.EqualTo((models, published ? 27 : 0)));
        Assert.That((string?)benchmark.Info.Settings!["annotator"], Is.EqualTo(annotator));
        Assert.That(benchmark.Info.Tasks, Has.Count.GreaterThanOrEqualTo(models));
    }

    [Test]
    public void A_refitted_rate_says_what_it_is()
    {
        var data = Places.Shared("data/alpaca_eval");
        var golden = Places.Json(Places.Shared("golden/alpaca_eval/length_controlled.json"));
        var annotations = Path.Combine(data, "annotations/alpaca-7b.weighted_alpaca_eval_gpt4_turbo.json.gz");
        foreach (var (form, metric) in ((string, string)[])[("minimal", "length_controlled_winrate_minimal"), ("noreg", "length_controlled_winrate_noreg"), ("v1", "length_controlled_winrate")])
        {
            var (results, benchmark) = Run(new WinrateOptions { Annotations = annotations, Path = data, LengthControlled = form, Gamed = form == "v1" ? Places.Shared("golden/alpaca_eval/gamed_standin.csv.gz") : null });
            var fits = golden["models"]!["alpaca-7b"]!["fits"]!.AsObject().Single(f => f.Key.EndsWith(form, StringComparison.Ordinal)).Value!;
            Assert.That(results.Single(r => r.Metric == metric).Value, Is.EqualTo((double)fits["converged_selection"]!["lc_winrate"]!).Within(1e-6), form);
            Assert.That((string?)benchmark.Info.Settings!["length_controlled"], Does.Contain("fitted"));
        }
        Assert.That(() => Run(new WinrateOptions { Annotations = annotations, LengthControlled = "v1" }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("difficulties"));
    }

    [TestCase("instruction", "5", ", row 1: instruction is 5, no text")]
    [TestCase("generator_1", "5", ", row 1: generator_1 is 5, no text")]
    [TestCase("generator_2", "7", ", row 1: generator_2 is 7, no text")]
    [TestCase("annotator", "5", ", row 1: annotator is 5, no text")]
    [TestCase("instruction_index", "\"x\"", "row 1 of mine: instruction_index is 'x', no number")]
    [TestCase("instruction_index", "1.5", "row 1 of mine: instruction_index is '1.5', no whole number from 0 to 2147483647")]
    [TestCase("instruction_index", "99999999999", "row 1 of mine: instruction_index is '99999999999', no whole number")]
    [TestCase("preference", "[1]", "row 1 of mine: preference is '[1]', no number")]
    [TestCase("preference", "true", "row 1 of mine: preference is 'true', no number")]
    [TestCase("preference", "null", "none of the 1 annotations of mine has a preference")]
    [TestCase("preference", "\"nan\"", "none of the 1 annotations of mine has a preference")]
    [TestCase("preference", "3", "none of the 1 annotations of mine has a preference")]
    public void An_annotation_of_another_shape_is_named_with_its_row(string key, string value, string error)
    {
        var row = new JsonObject { ["instruction"] = "i", ["output_1"] = "abc", ["output_2"] = "a", ["generator_1"] = "base", ["generator_2"] = "mine", ["preference"] = 2 };
        row[key] = JsonNode.Parse(value);
        var file = Write("annotations.json", $"[{row.ToJsonString()}]");
        Assert.That(() => Run(new WinrateOptions { Annotations = file }), Throws.InstanceOf<UserErrorException>().With.Message.Contains(error).And.Message.Contains(file));
    }

    [TestCase("auto", "instruction_difficulty.csv", "index,instruction_difficulty\n0,1\n", "instruction_difficulty.csv, line 1: no column is named 'instruction_index'; give a file whose header has instruction_index, instruction_difficulty once each.")]
    [TestCase("auto", "instruction_difficulty.csv", "instruction_index,instruction_difficulty\n0.5,1\n", "line 2: instruction_index is '0.5', no whole number from 0 to 2147483647")]
    [TestCase("auto", "instruction_difficulty.csv", "instruction_index,instruction_difficulty\n0,1\n1,\n", "line 3: instruction_difficulty is '', no finite number")]
    [TestCase("auto", "df_gamed.csv", "preference,length,instruction_difficulty\n0,1,1\n", "df_gamed.csv, line 1: no column is named 'std_delta_len'")]
    [TestCase("auto", "df_gamed.csv", "preference,std_delta_len,instruction_difficulty\n0,1,1\n0,nan,1\n", "df_gamed.csv, line 3: std_delta_len is 'nan', no finite number")]
    [TestCase("auto", "df_gamed.csv", "preference,std_delta_len,instruction_difficulty\n1.5,1,1\n", "line 2: preference is '1.5', which lies outside of 0 to 1")]
    [TestCase("published", "lc_weights.csv", ",l,d,m\nmine\n", "lc_weights.csv, line 2 has 1 fields; the header has 4")]
    [TestCase("published", "lc_weights.csv", ",l,m\nmine,1,2\n", "lc_weights.csv, line 1: the header has 3 columns; give a file with 4, a name and 3 numbers.")]
    [TestCase("published", "lc_weights.csv", ",l,d,m\nmine,1,2,inf\n", "line 2: m is 'inf', no finite number")]
    [TestCase("published", "lc_weights.csv", ",l,d,m\nmine,1,2,3\nmine,1,2,4\n", "line 3: 'mine' stands there a second time")]
    public void A_file_of_the_length_control_of_another_shape_is_named(string form, string name, string text, string error)
    {
        var file = Write("annotations.json", """[{"instruction":"i","output_1":"abc","output_2":"a","generator_1":"base","generator_2":"mine","preference":2}]""");
        Write(name, text);
        Assert.That(() => Run(new WinrateOptions { Annotations = file, Path = folder, LengthControlled = form }), Throws.InstanceOf<UserErrorException>().With.Message.Contains(error).And.Message.StartsWith(Path.Combine(folder, name)));
    }

    [Test]
    public void Three_published_weights_and_a_whole_index_written_as_a_fraction_are_read()
    {
        var rows = ((string[])["i", "j"]).Select(asked => $$"""{"instruction":"{{asked}}","instruction_index":0,"output_1":"abc","output_2":"a","generator_1":"base","generator_2":"mine","preference":2}""");
        var file = Write("annotations.json", $"[{string.Join(",", rows)}]");
        Write("instruction_difficulty.csv", "instruction_index,instruction_difficulty\n0.0,2\n");
        Write("lc_weights.csv", ",l,d,m\nmine,5,0.5,-1\n");
        var (results, _) = Run(new WinrateOptions { Annotations = file, Path = folder, LengthControlled = "published" });
        Assert.That(results.Single(r => r.Metric == "length_controlled_winrate").Value, Is.EqualTo(50).Within(1e-12), "sigmoid(-1 + 0.5 x 2)");
    }

    [Test]
    public void Given_judgements_are_counted_as_the_tool_counts_them()
    {
        // 2 wins, a draw in each of its codes, a loss, none, and one out of range that the discrete rate rounds into it.
        var file = Write("annotations.json", "[" + string.Join(",", ((string[])["2", "1.75", "0", "1.5", "1", "null", "0.9"]).Select((p, k) => $$"""{"instruction":"i{{k}}","output_1":"abc","output_2":"a😀","generator_1":"base","generator_2":"mine","annotator":"someone","preference":{{p}}}""")) + "]");
        var (results, benchmark) = Run(new WinrateOptions { Annotations = file });
        var by = results.ToDictionary(r => r.Metric, r => r.Value);
        Assert.That((by["n_wins"], by["n_wins_base"], by["n_draws"], by["n_total"], by["failed"]), Is.EqualTo((2.0, 1.0, 2.0, 5.0, 2.0)));
        Assert.That(by["win_rate"], Is.EqualTo(100 * (1 + 0.75 + 0.5 + 0.5 + 0) / 5).Within(1e-12));
        Assert.That(by["discrete_win_rate"], Is.EqualTo(100 * (1 + 1 + 0.5 + 0.5 + 0 + 0) / 6).Within(1e-12));
        Assert.That((by["avg_length"], by["avg_length_base"]), Is.EqualTo((2.0, 3.0)), "code points");
        Assert.That(((string?)benchmark.Info.Settings!["annotator"], (string?)benchmark.Info.Settings["baseline"]), Is.EqualTo(("someone", "base")));
        Assert.That((string?)benchmark.Info.Settings["length_controlled"], Does.Contain("rows"), "too few rows for a fit, and it says so");
        var none = Write("none.json", """[{"instruction":"i","output_1":"a","output_2":"b","preference":null}]""");
        Assert.That(() => Run(new WinrateOptions { Annotations = none }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("none of the 1 annotations"));
        Assert.That(() => Run(new WinrateOptions { Annotations = file, Judge = Judge }), Throws.InstanceOf<UserErrorException>());
    }

    [Test]
    public void Both_orders_are_asked_and_a_pair_without_a_verdict_is_counted()
    {
        var a = Write("a.jsonl", """{"prompt":"p1","response":"good"}""" + "\n" + """{"prompt":"p2","response":"fine"}""" + "\n" + """{"prompt":"p3","response":"odd"}""" + "\n");
        var b = Write("b.jsonl", """{"instruction":"p2","output":"B2","generator":"base"}""" + "\n" + """{"instruction":"p1","output":"B1","generator":"base"}""" + "\n" + """{"instruction":"p3","output":"B3","generator":"base"}""" + "\n");
        var benchmark = new WinrateOptions { Answers = a, Records = b, Judge = Judge }.Benchmark(null!);
        var items = benchmark.Items().ToList();
        var asked = benchmark.Requests(items[0]).Cast<EvalRequest.Judge>().Select(r => (JudgeQuestion.Compare)r.Question).ToList();
        Assert.That(asked.Select(q => (q.Prompt, q.First, q.Second)), Is.EqualTo(new[] { ("p1", "B1", "good"), ("p1", "good", "B1") }));
        EvalResponse Said(double? preference, params double[] scores) => new(0, 0, false) { Judgement = preference is { } p ? new JudgeAnswer { Preference = p, Scores = scores.Length > 0 ? scores : null } : JudgeAnswer.Failed("refused") };
        // It likes the first one twice (a bias, so a draw), the model's both times, and gives no verdict once.
        var scores = items.SelectMany((item, k) => benchmark.Score(item, k switch { 0 => [Said(1), Said(1)], 1 => [Said(0), Said(1)], _ => [Said(0), Said(null)] })).ToList();
        var by = benchmark.Aggregate(scores).ToDictionary(r => r.Metric, r => r.Value);
        Assert.That((by["win_rate"], by["n_wins"], by["n_draws"], by["n_total"], by["failed"]), Is.EqualTo((75.0, 1.0, 1.0, 2.0, 1.0)));
        Assert.That((by["first_place_share"], by["consistency"]), Is.EqualTo((0.75, 0.5)));
        // Shares that the orders do not mirror: 0.9 and 0.8 for what stands first, then a draw twice.
        var uneven = benchmark.Aggregate([.. items.Take(2).SelectMany((item, k) => benchmark.Score(item, k == 0 ? [Said(0.9), Said(0.8)] : [Said(0.5), Said(0.5)]))]).ToDictionary(r => r.Metric, r => r.Value);
        Assert.That((uneven["first_place_share"], uneven["consistency"]), Is.EqualTo((0.675, 0.5)).Using<(double, double)>((x, y) => Math.Abs(x.Item1 - y.Item1) < 1e-12 && x.Item2 == y.Item2));
        Assert.That((string?)scores[2].Details!["failure"], Is.EqualTo("refused"));
        Assert.That((string?)benchmark.Info.Settings!["annotator"], Is.EqualTo("classifier fair"));
        // A judge that rates gives a margin, the same whichever stands first.
        var rated = benchmark.Score(items[0], [Said(0, 1.5, 4), Said(1, 4, 1.5)]).Single();
        Assert.That((rated.Scores["margin"], rated.Scores["win_rate"]), Is.EqualTo((2.5, 100.0)));
        var once = new WinrateOptions { Answers = a, Records = b, Judge = Judge, Order = "model_first" }.Benchmark(null!);
        Assert.That(once.Requests(once.Items().First()).Cast<EvalRequest.Judge>().Select(r => ((JudgeQuestion.Compare)r.Question).First), Is.EqualTo(new[] { "good" }));
        Assert.That(once.Score(once.Items().First(), [Said(1)]).Single().Scores["preference"], Is.EqualTo(2));
    }

    [Test]
    public void Answers_are_joined_by_prompt_or_in_order_and_never_by_chance()
    {
        var bare = Write("bare.jsonl", """{"text":"x","ids":[1],"finish":"eos"}""" + "\n" + """{"text":"y","ids":[2],"finish":"eos"}""" + "\n");
        var samples = Write("samples_alpaca_eval.jsonl", """{"doc_id":0,"doc":{"instruction":"p1"},"filtered_resps":"s1"}""" + "\n" + """{"doc_id":1,"doc":{"instruction":"p2"},"filtered_resps":["s2"]}""" + "\n");
        var prompts = Write("prompts.jsonl", """{"messages":[{"role":"user","content":"q1"}]}""" + "\n" + """{"prompt":"q2"}""" + "\n");
        IReadOnlyList<EvalItem> Items(string answers, string records, string? with = null) => [.. new WinrateOptions { Answers = answers, Records = records, Prompts = with, Judge = Judge }.Benchmark(null!).Items()];
        Assert.That(Items(bare, samples).Select(i => ((string?)i.Document["instruction"], (string?)i.Document["output_2"], (string?)i.Document["output_1"])), Is.EqualTo(new[] { ("p1", "x", "s1"), ("p2", "y", "s2") }));
        Assert.That(Items(bare, bare, prompts).Select(i => (string?)i.Document["instruction"]), Is.EqualTo(new[] { "q1", "q2" }));
        Assert.That(() => Items(bare, bare), Throws.InstanceOf<UserErrorException>().With.Message.Contains("what was asked"));
        var other = Write("other.jsonl", """{"prompt":"p1","response":"o"}""" + "\n" + """{"prompt":"p9","response":"o"}""" + "\n");
        Assert.That(() => Items(samples, other), Throws.InstanceOf<UserErrorException>().With.Message.Contains("p2"));
        var one = Write("one.jsonl", """{"text":"x"}""" + "\n");
        Assert.That(() => Items(one, samples), Throws.InstanceOf<UserErrorException>().With.Message.Contains("1 rows").And.Message.Contains("2"));
        Assert.That(() => Items(Write("no.jsonl", """{"prompt":"p"}""" + "\n"), one), Throws.InstanceOf<UserErrorException>().With.Message.Contains("row 1 has no answer"));
    }

    [Test]
    public void A_list_without_rows_is_refused_by_its_name()
    {
        var (empty, rows) = (Write("empty.json", "[]"), Write("rows.jsonl", """{"prompt":"p","response":"r"}""" + "\n"));
        void Refused(Func<IBenchmark> benchmark) => Assert.That(() => benchmark().Items().ToList(), Throws.InstanceOf<UserErrorException>().With.Message.Contains($"{empty} holds no rows"));
        Refused(() => new WinrateOptions { Answers = empty, Records = rows, Judge = Judge }.Benchmark(null!));
        Refused(() => new WinrateOptions { Answers = rows, Records = empty, Judge = Judge }.Benchmark(null!));
        Refused(() => new AlpacaEvalBenchmark(new AlpacaEvalOptions { Path = empty, Judge = Judge }));
    }

    [Test]
    public void AlpacaEval_asks_its_instructions_and_knows_its_baselines()
    {
        var data = Places.Shared("data/alpaca_eval");
        var benchmark = new AlpacaEvalBenchmark(new AlpacaEvalOptions { Path = data, Judge = Judge, Chat = true });
        var items = benchmark.Items().ToList();
        Assert.That(items, Has.Count.EqualTo(805));
        Assert.That((string?)items[0].Document["generator_1"], Is.EqualTo("gpt4_1106_preview"));
        Assert.That(items.Count(i => i.Document["instruction_difficulty"] is not null), Is.EqualTo(805));
        var asked = (EvalRequest.Generate)benchmark.Requests(items[0]).Single();
        Assert.That(asked.Messages!.Single().Content, Is.EqualTo((string?)items[0].Document["instruction"]));
        var again = benchmark.FollowUps(items[0], [new EvalResponse(0, 3, false) { Texts = [" an answer "] }]).Cast<EvalRequest.Judge>().Select(r => (JudgeQuestion.Compare)r.Question).ToList();
        Assert.That(again.Select(q => q.First == "an answer"), Is.EqualTo(new[] { false, true }));
        Assert.That(() => new AlpacaEvalBenchmark(new AlpacaEvalOptions { Path = data, Judge = Judge, Baseline = "nobody" }).Items().ToList(), Throws.InstanceOf<UserErrorException>().With.Message.Contains("text_davinci_003"));
        Assert.That(() => new AlpacaEvalBenchmark(new AlpacaEvalOptions { Path = data }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("judge"));
    }

    [Test]
    public void A_datasets_prompts_have_the_difficulties_of_their_instructions()
    {
        Write("instructions.json", """[{"instruction":"i"},{"instruction":"j"}]""");
        Write("instruction_difficulty.csv", "instruction_index,instruction_difficulty\n0,2\n1,-0.5\n");
        var benchmark = new WinrateOptions { Dataset = new DatasetReference([]), Judge = Judge, Path = folder }.Benchmark(new Lent("""{"prompt":"j","chosen":"a"}""", """{"prompt":"k","chosen":"a"}""", """{"prompt":[{"role":"user","content":"i"}],"chosen":[{"role":"assistant","content":"a"}]}"""));
        Assert.That(benchmark.Items().Select(item => (double?)item.Document["instruction_difficulty"]), Is.EqualTo(new double?[] { -0.5, null, 2 }));
    }

    private string Write(string name, string text)
    {
        File.WriteAllText(Path.Combine(folder, name), text);
        return Path.Combine(folder, name);
    }

    private static (IReadOnlyList<MetricResult> Results, IBenchmark Benchmark) Run(WinrateOptions options)
    {
        var benchmark = options.Benchmark(null!);
        return (benchmark.Aggregate([.. benchmark.Items().SelectMany(item => benchmark.Score(item, []))]), benchmark);
    }
}
