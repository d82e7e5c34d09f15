// golden/badfiles, groups tokenizer, sentencepiece and template, through the command: what must be refused ends with code 2, one
// line on stderr and nothing on stdout.

using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Host.Tests.Tokenize;

public class BadFileTests
{
    private static readonly string[] Ids =
    [
        "tokenizer/no-vocab", "tokenizer/merge-of-unknown-tokens", "tokenizer/merge-result-unknown", "tokenizer/merge-with-three-parts",
        "tokenizer/no-model", "tokenizer/unknown-model-type", "tokenizer/two-tokens-one-id", "tokenizer/negative-id",
        "tokenizer/unk-not-in-vocab", "tokenizer/bad-regex", "tokenizer/exploding-regex", "tokenizer/deep-sequence",
        "sentencepiece/cut-in-half", "sentencepiece/empty", "sentencepiece/length-beyond-file", "sentencepiece/endless-varint",
        "sentencepiece/no-unk", "sentencepiece/json-by-name",
        "template/endless-by-nesting", "template/recursive-macro", "template/memory-bomb", "template/undefined-variable",
        "template/undefined-attribute", "template/python-internals", "template/unclosed-block", "template/unknown-filter", "template/raises",
    ];

    private Cli cli = null!;

    [SetUp]
    public void MakeFolder() => cli = new Cli();

    [TearDown]
    public void RemoveFolder() => cli.Dispose();

    [Test]
    public void EveryCaseIsListed() => Assert.That(Cases().Keys, Is.EquivalentTo(Ids));

    [TestCaseSource(nameof(Ids))]
    public void ABrokenFileIsHandledAsItMustBe(string id)
    {
        var row = Cases()[id];
        var group = id.Split('/')[0];
        var model = Model(row, group);
        var watch = Stopwatch.StartNew();
        var outcome = Use(model, group);
        Assert.That(watch.Elapsed, Is.LessThan(TimeSpan.FromSeconds(10)));
        var must = row.GetProperty("must").GetString()!;
        Assert.That(outcome.Code, must switch
        {
            "refuse" or "refuse or warn" => Is.EqualTo(2),
            "accept" => Is.Zero,
            "accept or refuse" => Is.AnyOf(0, 2),
            _ => throw new InvalidOperationException($"the case {id} asks for '{must}', which this test does not know"),
        }, outcome.Err);
        if (outcome.Code == 0)
        {
            Assert.That(outcome.Rows, Has.Count.EqualTo(1));
            return;
        }
        Assert.That(outcome.Out, Is.Empty);
        Assert.That(outcome.Err, Does.StartWith("peftalign: ").And.EndsWith("\n").And.Not.Contain("   at ").And.Not.Contain("-v shows"));
        Assert.That(outcome.Err.Count(c => c == '\n'), Is.EqualTo(1), outcome.Err);
        if (!row.TryGetProperty("message_names", out var names)) return;
        foreach (var name in names.EnumerateArray()) Assert.That(outcome.Err, Does.Contain(name.GetString()!));
    }

    [TestCase("tokenizer")]
    [TestCase("sentencepiece")]
    public void TheGoodFilesAreRead(string group)
    {
        var outcome = Use(Golden.Path($"golden/badfiles/good/{group}"), group);
        Assert.That((outcome.Code, outcome.Err, outcome.Rows[0].GetProperty("ids").GetArrayLength()), Is.EqualTo((0, "", outcome.Rows[0].GetProperty("tokens").GetArrayLength())));
    }

    private Outcome Use(string model, string group)
    {
        if (group != "template") return Cli.Run("--model", model, "--text", group == "tokenizer" ? "abcab " + new string('a', 28) + "!" : "the cat");
        var row = new JsonObject { ["messages"] = new JsonArray(Message("user", "hi"), Message("assistant", "ho")) };
        return cli.OnRows(model, [row], "--chat");
    }

    private static JsonObject Message(string role, string content) => new() { ["role"] = role, ["content"] = content };

    private string Model(JsonElement row, string group)
    {
        (string, string)[] stored = [];
        if (group == "template") stored = [(Golden.Path("golden/badfiles/good/tokenizer/tokenizer.json"), "tokenizer.json")];
        // Cases whose files are all generated have no folder.
        if (!row.TryGetProperty("generate", out var generated))
            return cli.Model([.. stored, .. Directory.GetFiles(Golden.Path($"golden/badfiles/{row.GetProperty("folder").GetString()}")).Select(file => (file, System.IO.Path.GetFileName(file)))]);
        return cli.Model(stored, [.. generated.EnumerateObject().Select(file => (file.Name, Generated(file.Value)))]);
    }

    private static string Generated(JsonElement file)
    {
        var count = file.GetProperty("count").GetInt32();
        string Part(string name) => file.TryGetProperty(name, out var part) ? part.GetString()! : "";
        return new StringBuilder(Part("prefix")).Insert(Part("prefix").Length, Part("unit"), count).Append(new StringBuilder().Insert(0, Part("close"), count)).Append(Part("suffix")).ToString();
    }

    // The copies beside the tests of src/Models have the template group in a file of its own.
    private static Dictionary<string, JsonElement> Cases() =>
        Golden.Lines("golden/badfiles/cases.jsonl").Concat(Golden.Lines("golden/badfiles/files/template/cases.jsonl"))
            .DistinctBy(row => row.GetProperty("id").GetString()!)
            .Where(row => row.GetProperty("id").GetString()!.Split('/')[0] is "tokenizer" or "sentencepiece" or "template")
            .ToDictionary(row => row.GetProperty("id").GetString()!);
}
