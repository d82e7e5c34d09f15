// Sonnets as rows and as pairs of the three variants; the model is a list of texts here, a real one writes in the tests of whole runs.

using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Data.Sonnets;
using static PeftAlign.Data.Tests.Readers;

namespace PeftAlign.Data.Tests;

public sealed class SonnetTests
{
    private string folder = "";

    [SetUp]
    public void Open() => folder = Directory.CreateTempSubdirectory("peftalign-data-").FullName;

    [TearDown]
    public void Close() => Directory.Delete(folder, recursive: true);

    private static string Line(int k) => $"The {Subjects[k % 4]} number {k} is made of {Ends[k % 4]}";

    private static readonly string[] Subjects = ["river", "mountain", "garden", "window"], Ends = ["stone", "light", "bone", "night"];

    private string Two()
    {
        var file = Path.Combine(folder, "sonnets.txt");
        File.WriteAllText(file, "Front matter\r\nby code\r\n\r\n1\r\n\r\n" + string.Join("\r\n", Enumerable.Range(0, 14).Select(Line)) + "\r\n\r\n2\r\n\r\n" + string.Join("\r\n", Enumerable.Range(20, 14).Select(Line)) + "\r\n");
        return file;
    }

    private sealed class Writer(Func<EvalRequest.Generate, int, string> write) : IPluginContext, IModels, ILanguageModel
    {
        internal List<EvalRequest.Generate> Asked { get; } = [];

        public ILogger Logger => NullLogger.Instance;

        public string Folder => "";

        public object? GetService(Type type) => type == typeof(IModels) ? this : null;

        public ILanguageModel Open(ModelReference model) => this;

        public IReadOnlyList<EvalResponse> Answer(IReadOnlyList<EvalRequest> requests)
        {
            Asked.AddRange(requests.Cast<EvalRequest.Generate>());
            return [.. requests.Cast<EvalRequest.Generate>().Select(ask => new EvalResponse(0, 1, false) { Texts = [.. Enumerable.Range(0, ask.Samples).Select(k => write(ask, k))] })];
        }
    }

    [Test]
    public void A_file_is_parted_at_its_numbers()
    {
        var rows = Read("sonnets", new SonnetOptions { Path = Two() });
        Assert.That(rows.Select(r => (r.Line, r.Text("text"))), Is.EqualTo(new[] { ((long?)4, string.Join('\n', Enumerable.Range(0, 14).Select(Line))), (21, string.Join('\n', Enumerable.Range(20, 14).Select(Line))) }));
        var none = Path.Combine(folder, "none.txt");
        File.WriteAllText(none, "no numbers\n");
        Assert.That(() => Read("sonnets", new SonnetOptions { Path = none }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("holds no sonnets"));
    }

    // Four samples of each: the original is no sample, one is too like it, two alike are one pair.
    // A page's number, then the sonnet's own; a last one with nothing behind it.
    [Test]
    public void A_number_with_nothing_behind_it_is_no_sonnet()
    {
        var file = Path.Combine(folder, "pages.txt");
        File.WriteAllText(file, "12\n\n1\n\nA rose\na day\n\n13\n \n2\nA thorn\n\n14\n\n");
        Assert.That(Read("sonnets", new SonnetOptions { Path = file }).Select(r => (r.Line, r.Text("text"))), Is.EqualTo(new[] { ((long?)3, "A rose\na day"), (10, "A thorn") }));
    }

    [Test]
    public void V1_rejects_what_the_model_writes()
    {
        string Gold(string prompt) => string.Concat(Enumerable.Range(prompt.StartsWith(Line(0), StringComparison.Ordinal) ? 3 : 23, 11).Select(k => "\n" + Line(k)));
        var writer = new Writer((ask, k) => k switch { 0 => Gold(ask.Prompt), 1 => Gold(ask.Prompt)[..^1], _ => "\nThus I write some other thing." });
        var rows = Read("sonnets", new SonnetOptions { Path = Two(), Pairs = "v1", Model = new ModelReference([]) }, context: writer);
        Assert.That(rows.Select(r => (r.Text("prompt"), r.Text("chosen"), r.Text("rejected"))), Is.EqualTo(new[] { 0, 20 }.Select(first => (string.Join('\n', Enumerable.Range(first, 3).Select(Line)), Gold(Line(first)), "\nThus I write some other thing."))));
        Assert.That(writer.Asked.Select(a => (a.Samples, a.Temperature, a.TopP, a.MaxNewTokens)), Is.All.EqualTo((4, 1.2, 0.9, 180)));
    }

    [Test]
    public void V2_corrupts_the_original_and_says_the_same_again()
    {
        var options = new SonnetOptions { Path = Two(), Pairs = "v2", Samples = 30, Seed = 5 };
        var rows = Read("sonnets", options);
        Assert.That(rows, Has.Count.EqualTo(60));
        Assert.That(rows.All(r => r.Text("chosen") != r.Text("rejected") && r.Text("rejected").Split('\n').Length == 12));
        // All four ways are taken: other order, other last words, the first lines again, other words.
        string Kind(DataRecord row)
        {
            string[] good = row.Text("chosen").Split('\n'), bad = row.Text("rejected").Split('\n');
            if (bad.Order(StringComparer.Ordinal).SequenceEqual(good.Order(StringComparer.Ordinal))) return "order";
            if (bad[1..6].SequenceEqual(good[1..6]) && bad[6] == good[1]) return "again";
            return good.Zip(bad).Skip(1).All(p => p.First[..p.First.LastIndexOf(' ')] == p.Second[..p.Second.LastIndexOf(' ')]) ? "ends" : "words";
        }
        Assert.That(rows.Select(Kind).Distinct(), Is.EquivalentTo(new[] { "order", "again", "ends", "words" }));
        Assert.That(Read("sonnets", options).Select(r => r.Text("rejected")), Is.EqualTo(rows.Select(r => r.Text("rejected"))));
        Assert.That(Read("sonnets", new SonnetOptions { Path = Two(), Pairs = "v2", Samples = 30, Seed = 6 }).Select(r => r.Text("rejected")), Is.Not.EqualTo(rows.Select(r => r.Text("rejected"))));
    }

    // The score is chrF against the original, 5 for 14 lines, 5 times the share of rhymes.
    [Test]
    public void V3_takes_the_best_and_the_worst()
    {
        string[] samples = ["\nNothing.", string.Concat(Enumerable.Range(0, 11).Select(k => "\n" + Line(k + 40))), "\nThe river", "\nNothing."];
        var writer = new Writer((_, k) => samples[k]);
        var rows = Read("sonnets", new SonnetOptions { Path = Two(), Pairs = "v3", Samples = 4, Model = new ModelReference([]) }, context: writer);
        Assert.That(rows.Select(r => (r.Text("chosen"), r.Text("rejected"))), Is.All.EqualTo((samples[1], samples[0])));
        Assert.That(Chrf.Sentence(samples[1], rows[0].Text("prompt")), Is.GreaterThan(Chrf.Sentence(samples[0], rows[0].Text("prompt"))));
        Assert.That(() => Read("sonnets", new SonnetOptions { Path = Two(), Pairs = "v3" }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("name one with 'model'"));
    }

    [TestCase("increase,", "decease,", true)]
    [TestCase("thy glass.", "pass", true)]
    [TestCase("light", "night", true)]
    [TestCase("light", "light", false)]
    [TestCase("die,", "memory.", false)]
    [TestCase("", "?!", false)]
    public void Rhymes_are_told_by_spelling(string a, string b, bool rhyme) => Assert.That(Verse.Rhyme("some " + a, "other " + b), Is.EqualTo(rhyme));

    // 131 sonnets of training; 16 of every sonnet's 14 lines; most of Shakespeare's rhymes are seen.
    [Test]
    public void Real_sonnets_are_read()
    {
        var rows = Read("sonnets", new SonnetOptions { Path = Shared("sonnets", "sonnets.txt") });
        Assert.That(rows, Has.Count.EqualTo(131));
        Assert.That(rows.Count(r => r.Text("text").Split('\n').Length == 14), Is.GreaterThanOrEqualTo(129));
        Assert.That(rows.Average(r => Verse.Form(r.Text("text"))), Is.InRange(8, 10));
        Assert.That(Read("sonnets", new SonnetOptions { Path = Shared("sonnets", "TRUE_sonnets_held_out_dev.txt") }), Has.Count.EqualTo(12));
    }
}
