// Every option of the readers that docs/data.md names and the other tests of readers leave at its default: each changes what is read.

using System.IO.Compression;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Data.Sonnets;
using static PeftAlign.Data.Tests.Readers;

namespace PeftAlign.Data.Tests;

public sealed class OptionTests
{
    private string folder = "";

    [SetUp]
    public void Open() => folder = Directory.CreateTempSubdirectory("peftalign-data-").FullName;

    [TearDown]
    public void Close() => Directory.Delete(folder, recursive: true);

    [TestCase("comma", ",")]
    [TestCase("semicolon", ";")]
    [TestCase("tab", "\t")]
    public void Values_are_parted_by_the_separator(string name, string separator)
    {
        var file = Write("t.csv", $"prompt{separator}completion\n\"a{separator}b\"{separator}c\n");
        Assert.That(Read("csv", new CsvOptions { Path = file, Separator = name }).Select(r => (r.Text("prompt"), r.Text("completion"))), Is.EqualTo(new[] { ($"a{separator}b", "c") }));
    }

    [Test]
    public void Quotes_are_characters_where_nothing_is_quoted()
    {
        var file = Write("t.csv.gz", "prompt\tcompletion\n\"a\tb \"\"c\n");
        Assert.That(Read("csv", new CsvOptions { Path = file, Separator = "tab", Quoting = "none" }).Select(r => (r.Text("prompt"), r.Text("completion"))), Is.EqualTo(new[] { ("\"a", "b \"\"c") }));
        Assert.That(() => Read("csv", new CsvOptions { Path = file, Separator = "tab" }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("not closed"));
        var quora = Write("q.tsv", "sentence1\tsentence2\tis_duplicate\n\"A?\tB?\t1\n");
        Assert.That(Read("qqp", new QqpOptions { Path = quora, Quoting = "none" }).Single().Text("chosen"), Is.EqualTo("yes"));
    }

    [Test]
    public void Lines_may_be_compressed_and_limited()
    {
        var file = Write("rows.jsonl.gz", """{"text": "a"}""" + "\n" + """{"text": "b"}""" + "\n");
        Assert.That(Read("jsonl", new JsonlOptions { Path = file }).Select(r => (r.Line, r.Text("text"))), Is.EqualTo(new[] { ((long?)1, "a"), (2, "b") }));
        Assert.That(Read("jsonl", new JsonlOptions { Path = file, Limit = 1 }), Has.Count.EqualTo(1));
    }

    [Test]
    public void Folders_have_a_file_for_each_split()
    {
        const string pair = """{"prompt": "p", "response_0": "a", "response_1": "b", "is_response_0_safe": true, "is_response_1_safe": false, "better_response_id": 1, "safer_response_id": 0}""" + "\n";
        Write("train.jsonl.gz", pair + pair);
        Write("test.jsonl", pair);
        var options = new BeaverTailsOptions { Path = folder, Rule = "harmless" };
        Assert.That((Read("beavertails", options).Count, Read("beavertails", options, "train").Count, Read("beavertails", options, "test").Count), Is.EqualTo((2, 2, 1)));
        Assert.That((string)Read("beavertails", options)[0].Fields["chosen"]![0]!["content"]!, Is.EqualTo("a"), "messages unless text is asked for");
        Assert.That(() => Read("beavertails", options, "dev"), Throws.InstanceOf<UserErrorException>().With.Message.Contains("dev.jsonl"));
        Assert.That(() => Read("beavertails", new BeaverTailsOptions { Path = Path.Combine(folder, "test.jsonl") }, "test"), Throws.InstanceOf<UserErrorException>().With.Message.Contains("has no splits"));
        var farm = Directory.CreateDirectory(Path.Combine(folder, "farm")).FullName;
        Write("farm/validation.json", """[{"instruction": "a", "output_1": "b", "output_2": "c", "preference": 2}]""");
        Assert.That(Read("alpaca-farm", new AlpacaFarmOptions { Path = farm }, "validation"), Has.Count.EqualTo(1));
    }

    [Test]
    public void Of_dialogues_a_rule_takes_one_subset_and_a_file_is_all_of_it()
    {
        const string row = """{"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"}""" + "\n";
        foreach (var subset in (string[])["harmless", "helpful"]) Directory.CreateDirectory(Path.Combine(folder, subset + "-base"));
        Write("harmless-base/train.jsonl", row);
        Write("helpful-base/train.jsonl", row + row);
        int Count(string rule) => Read("hh-rlhf", new HhRlhfOptions { Path = folder, Rule = rule }, "train").Count;
        Assert.That((Count("harmless"), Count("helpful"), Count("base")), Is.EqualTo((1, 2, 3)));
        Assert.That(Read("hh-rlhf", new HhRlhfOptions { Path = Path.Combine(folder, "helpful-base", "train.jsonl") }), Has.Count.EqualTo(2));
    }

    [Test]
    public void Questions_become_tokens_with_a_tokenizer()
    {
        var file = Write("q.tsv", "sentence1\tsentence2\tis_duplicate\nA cat?\tA dog?\t0\n");
        var row = Read("qqp", new QqpOptions { Path = file, Tokenizer = Path.Combine(AppContext.BaseDirectory, "Fixtures", "tokenizer"), Template = "closed" }).Single();
        Assert.That(row.Ids("chosen_ids"), Is.Not.EqualTo(row.Ids("rejected_ids")));
        Assert.That(row.Has("prompt"), Is.False);
        Assert.That(row.Ids("chosen_ids").Length, Is.GreaterThan(0));
    }

    // Of a sonnet, two lines are given and two samples taken; max_chrf decides whether one that is much like the original is left out.
    [TestCase(100, 2)]
    [TestCase(5, 0)]
    public void Continuations_of_sonnets_follow_their_options(double maxChrf, int kept)
    {
        var file = Write("s.txt", "1\n\n" + string.Join('\n', Enumerable.Range(0, 14).Select(k => $"The {k}th line of them ends here")) + "\n");
        var writer = new Writer();
        var options = new SonnetOptions { Path = file, Pairs = "v1", Model = new ModelReference([]), Lines = 2, Samples = 2, MaxChrf = maxChrf, Sampling = { Temperature = 0.7, TopP = 0.5, MaxNewTokens = 9 }, Seed = 4 };
        var rows = Read("sonnets", options, context: writer);
        Assert.That(rows, Has.Count.EqualTo(kept));
        Assert.That(rows.Select(r => r.Text("prompt").Split('\n').Length), Is.All.EqualTo(2));
        var ask = writer.Asked.Single();
        Assert.That((ask.Samples, ask.Temperature, ask.TopP, ask.MaxNewTokens, ask.Seed), Is.EqualTo((2, 0.7, 0.5, 9, 4UL)));
    }

    [Test]
    public void Samples_of_a_model_follow_their_options()
    {
        var writer = new Writer();
        var options = new Sampling.SampledPairsOptions { Prompts = new DatasetReference([]), Model = new ModelReference([]), Samples = 3, Sampling = { Temperature = 0.5, TopP = 0.8, MaxNewTokens = 7 }, Until = ["\n"], Seed = 6 };
        var rows = Read("sampled-pairs", options, context: writer);
        Assert.That(rows.Select(r => (r.Text("chosen"), r.Text("rejected"))), Is.EqualTo(new[] { ("own", "\nThe 2th line of them sits here 0"), ("own", "\nThe 2th line of them sits here 1"), ("own", "\nThe 2th line of them sits here 2") }));
        var ask = writer.Asked.Single();
        Assert.That((ask.Samples, ask.Temperature, ask.TopP, ask.MaxNewTokens, ask.Until.Single(), ask.Seed), Is.EqualTo((3, 0.5, 0.8, 7, "\n", 6UL)));
    }

    [Test]
    public void Worlds_made_by_code_have_their_rows_and_their_seed()
    {
        string Rows(long seed, string? split) => string.Join('\n', Read("synthetic", new SyntheticOptions { Rows = 20, Seed = seed }, split).Select(r => r.Fields.ToJsonString()));
        Assert.That(Read("synthetic", new SyntheticOptions { Rows = 20 }, "train"), Has.Count.EqualTo(20));
        Assert.That(Rows(1, "train"), Is.EqualTo(Rows(1, "train")));
        Assert.That(Rows(1, "train"), Is.Not.EqualTo(Rows(2, "train")).And.Not.EqualTo(Rows(1, "test")));
    }

    private string Write(string name, string text)
    {
        var path = Path.Combine(folder, name);
        using var file = File.Create(path);
        using var writer = new StreamWriter(name.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Compress) : file);
        writer.Write(text);
        return path;
    }

    // A model that writes much the same each time, and a data set of one row.
    private sealed class Writer : IPluginContext, IModels, IDatasets, ILanguageModel
    {
        internal List<EvalRequest.Generate> Asked { get; } = [];

        public ILogger Logger => NullLogger.Instance;

        public string Folder => "";

        public object? GetService(Type type) => type == typeof(IModels) || type == typeof(IDatasets) ? this : null;

        public ILanguageModel Open(ModelReference model) => this;

        public IEnumerable<DataRecord> Open(DatasetReference dataset) => [new DataRecord(new System.Text.Json.Nodes.JsonObject { ["prompt"] = "p", ["completion"] = "own" }, "rows", 1)];

        public IReadOnlyList<EvalResponse> Answer(IReadOnlyList<EvalRequest> requests)
        {
            Asked.AddRange(requests.Cast<EvalRequest.Generate>());
            return [.. requests.Cast<EvalRequest.Generate>().Select(ask => new EvalResponse(0, 1, false) { Texts = [.. Enumerable.Range(0, ask.Samples).Select(k => $"\nThe 2th line of them sits here {k}")] })];
        }
    }
}
