// The readers of the studies' data: TL;DR and AlpacaFarm comparisons, Quora questions as a cloze; on small files of the published schemas,
// and on real rows where those are at hand.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval;
using PeftAlign.Eval.Benchmarks;
using static PeftAlign.Data.Tests.Readers;

namespace PeftAlign.Data.Tests;

public sealed class StudyReaderTests
{
    private string folder = "";

    [SetUp]
    public void Open() => folder = Directory.CreateTempSubdirectory("peftalign-data-").FullName;

    [TearDown]
    public void Close() => Directory.Delete(folder, recursive: true);

    // The fields and the layout of comparisons/batch*.json as published (JSON lines), with made-up texts; one row is of news articles.
    [Test]
    public void Summaries_of_posts_are_compared()
    {
        static string Row(string split, int choice, string first = " Cat stuck.", string second = " A tale.", string? post = "My cat climbed up.") => new JsonObject
        {
            ["info"] = new JsonObject { ["id"] = "t3_1", ["post"] = post, ["title"] = "Cat", ["subreddit"] = "pets", ["site"] = null, ["article"] = post is null ? "News." : null },
            ["split"] = split,
            ["summaries"] = new JsonArray(new JsonObject { ["text"] = first, ["policy"] = "ref", ["note"] = null }, new JsonObject { ["text"] = second, ["policy"] = "sup1", ["note"] = null }),
            ["choice"] = choice,
            ["worker"] = "w",
            ["batch"] = "batch3",
            ["extra"] = new JsonObject(),
        }.ToJsonString();
        File.WriteAllLines(Path.Combine(folder, "batch3.json"), [Row("train", 1), Row("valid1", 0), Row("train", 0, post: null), Row("train", 0, first: " ")]);
        File.WriteAllLines(Path.Combine(folder, "batch4.json"), [Row("train", 0), Row("valid2", 0)]);
        List<DataRecord> Of(string? split, string format = "text") => Read("tldr", new TldrOptions { Path = folder, Format = format }, split);

        Assert.That(Of(null).Select(r => (r.Place, r.Text("prompt"), r.Text("chosen"), r.Text("rejected"))), Is.EqualTo(new[]
        {
            ("batch3.json, line 1", "SUBREDDIT: r/pets\n\nTITLE: Cat\n\nPOST: My cat climbed up.\n\nTL;DR:", " A tale.", " Cat stuck."),
            ("batch4.json, line 1", "SUBREDDIT: r/pets\n\nTITLE: Cat\n\nPOST: My cat climbed up.\n\nTL;DR:", " Cat stuck.", " A tale."),
        }));
        Assert.That((Of("validation").Count, Of("valid1").Count, Of("valid2").Count), Is.EqualTo((2, 1, 1)));
        // The same post in both files: as prompts for a policy they are one, each time that they are read.
        var once = PluginParts.Make<IDatasetReader, TldrOptions>(new DataPlugin(), "tldr", new TldrOptions { Path = folder, Format = "text", OnePerPost = true });
        Assert.That((once.Read("train").Single().Text("chosen"), once.Read("validation").Count(), once.Read("validation").Count()), Is.EqualTo((" A tale.", 1, 1)));
        Assert.That((string)Of("train", "messages")[0].Fields["chosen"]![0]!["content"]!, Is.EqualTo("A tale."));
        Assert.That(() => Of("test"), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'test'"));
        File.WriteAllLines(Path.Combine(folder, "batch5.json"), [Row("train", 2)]);
        Assert.That(() => Of(null), Throws.InstanceOf<UserErrorException>().With.Message.Contains("batch5.json, line 1").And.Message.Contains("'choice' must be 0 or 1"));
    }

    [Test]
    public void Outputs_of_instructions_are_compared()
    {
        var file = Path.Combine(folder, "pairs.json");
        File.WriteAllText(file, """
            [{"instruction": "Add.", "input": "1 2", "output_1": "3", "output_2": "4", "preference": 1},
             {"instruction": "Greet.", "input": "", "output_1": "Go.", "output_2": "Hello.", "preference": 1.93},
             {"instruction": "Tie.", "output_1": "a", "output_2": "b", "preference": 1.5},
             {"instruction": "None.", "output_1": "a", "output_2": "b", "preference": null},
             {"instruction": "Same.", "output_1": "a", "output_2": "a", "preference": 1}]
            """);
        var rows = Read("alpaca-farm", new AlpacaFarmOptions { Path = file });
        Assert.That(rows.Select(r => ((string)r.Fields["prompt"]![0]!["content"]!, (string)r.Fields["chosen"]![0]!["content"]!)), Is.EqualTo(new[] { ("Add.\n\n1 2", "3"), ("Greet.", "Hello.") }));
        var text = Read("alpaca-farm", new AlpacaFarmOptions { Path = file, Format = "text" });
        Assert.That(text[0].Text("prompt"), Does.EndWith("### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:\n"));
        File.WriteAllText(file, """[{"instruction": "a", "output_1": "b", "output_2": "c", "preference": 1}, {"instruction": "a", "output_1": "b", "output_2": "c", "preference": 3}]""");
        Assert.That(() => Read("alpaca-farm", new AlpacaFarmOptions { Path = file }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("pairs.json, row 2").And.Message.Contains("'preference'"));
    }

    // Of AlpacaEval's 805 judgements of one model, those that are decided.
    [Test]
    public void Real_annotations_are_pairs()
    {
        var file = Shared("alpaca_eval", "annotations", "alpaca-7b.alpaca_eval_gpt4.json.gz");
        var rows = Read("alpaca-farm", new AlpacaFarmOptions { Path = file });
        Assert.That(rows, Has.Count.EqualTo(584 + 205));
        Assert.That(rows.Select(r => r.Row), Is.Ordered.And.Unique);
    }

    [Test]
    public void Questions_become_a_cloze_with_the_benchmarks_prompts()
    {
        var file = Path.Combine(folder, "quora.csv");
        File.WriteAllText(file, "id\tsentence1\tsentence2\tis_duplicate\nx\tWhat's red?\tIs it, red?\t1.0\ny\tA?\t\"B, \"\"c\"\"?\"\t0.0\n");
        var rows = Read("qqp", new QqpOptions { Path = file });
        Assert.That(rows.Select(r => (r.Text("prompt"), r.Text("chosen"), r.Text("rejected"))), Is.EqualTo(new[]
        {
            ("Question 1: \"what 's red ?\"\nQuestion 2: \"is it , red ?\nAre these questions asking the same thing?\n", "yes", "no"),
            ("Question 1: \"a ?\"\nQuestion 2: \"b , \"c\" ?\nAre these questions asking the same thing?\n", "no", "yes"),
        }));
        foreach (var template in (string[])["cs224n-train", "cs224n-test", "closed"])
            foreach (var (blank, preprocess) in new[] { (false, true), (true, false) })
            {
                var benchmark = PluginParts.Make<IBenchmark, ParaphraseOptions>(new EvalPlugin(), "paraphrase", new ParaphraseOptions { Path = file, Template = template, Blank = blank, Preprocess = preprocess });
                var asked = benchmark.Items().Select(item => benchmark.Requests(item).Cast<EvalRequest.LogLikelihood>().ToList());
                var read = Read("qqp", new QqpOptions { Path = file, Template = template, Blank = blank, Preprocess = preprocess });
                Assert.That(read.Zip(asked, (row, ask) => row.Text("prompt") == ask[0].Context && ask.Select(a => a.Continuation).ToHashSet().SetEquals([row.Text("chosen"), row.Text("rejected")])), Is.All.True, template);
            }
        File.AppendAllText(file, "z\ta\tb\tmaybe\n");
        Assert.That(() => Read("qqp", new QqpOptions { Path = file }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("line 4").And.Message.Contains("'maybe'"));
    }

    // The course's tokens: 8505 is yes, 3919 no; and nothing behind them.
    [Test]
    public void Real_questions_are_one_token_answers()
    {
        var rows = Read("qqp", new QqpOptions { Path = Shared("qqp", "quora-train-10000.tsv.gz"), Quoting = "none", Tokenizer = Shared("tokenizers", "gpt2") });
        Assert.That(rows, Has.Count.EqualTo(10_000));
        Assert.That(rows.Count(r => r.Ids("chosen_ids") is [8505] && r.Ids("rejected_ids") is [3919]), Is.EqualTo(5_000));
        Assert.That(rows.Count(r => r.Ids("chosen_ids") is [3919] && r.Ids("rejected_ids") is [8505]), Is.EqualTo(5_000));
        Assert.That(Read("qqp", new QqpOptions { Path = Shared("qqp", "cs224n_format", "quora-dev-30.csv") }), Has.Count.EqualTo(30));
    }

    // The rules on the 32 published rows, counted by another program; 5,135 pairs of the harmless rule and the prompts that they share.
    [Test]
    public void Real_pairs_with_a_column_map_of_their_own_are_read_as_lines()
    {
        var rows = Read("jsonl", new JsonlOptions { Path = Shared("beavertails", "pku_saferlhf_pairs_5135.jsonl.gz") });
        Assert.That((rows.Count, rows.Select(r => r.Text("prompt")).Distinct().Count()), Is.EqualTo((5135, 930)));
        var counts = new[] { ("helpful", "one_safe"), ("harmless", "one_safe"), ("harmless", "better_safe"), ("harmless", "first_safe") }
            .Select(rule => Read("beavertails", new BeaverTailsOptions { Path = Shared("beavertails", "pku_saferlhf_32rows.json"), Rule = rule.Item1, SafePairs = rule.Item2 }).Count);
        Assert.That(counts, Is.EqualTo(new[] { 32, 5, 1, 3 }));
    }
}
