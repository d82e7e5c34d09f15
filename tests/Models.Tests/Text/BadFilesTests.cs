// golden/badfiles, groups tokenizer and sentencepiece: each broken file is refused with a message that names it, or accepted, as
// the case says, in bounded time and memory. And a fuzz of the good files: whatever is done to them, only that one error comes.
using System.Text;
using System.Text.Json;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Text;

public class BadFilesTests
{
    private const long MemoryLimit = 512L << 20;

    private static readonly string[] Names =
    [
        "tokenizer/no-vocab", "tokenizer/merge-of-unknown-tokens", "tokenizer/merge-result-unknown",
        "tokenizer/merge-with-three-parts",
        "tokenizer/no-model", "tokenizer/unknown-model-type", "tokenizer/two-tokens-one-id", "tokenizer/negative-id",
        "tokenizer/unk-not-in-vocab", "tokenizer/bad-regex", "tokenizer/exploding-regex", "tokenizer/deep-sequence",
        "sentencepiece/cut-in-half", "sentencepiece/empty", "sentencepiece/length-beyond-file", "sentencepiece/endless-varint",
        "sentencepiece/no-unk", "sentencepiece/json-by-name",
    ];

    [Test]
    public void All_cases_are_listed()
    {
        var ids = Cases().Select(row => row.GetProperty("id").GetString()!)
            .Where(id => id.StartsWith("tokenizer/") || id.StartsWith("sentencepiece/"));
        Assert.That(Names, Is.EquivalentTo(ids));
    }

    [TestCaseSource(nameof(Names))]
    public void A_broken_file_is_handled_as_it_must_be(string id)
    {
        var row = Cases().Single(row => row.GetProperty("id").GetString() == id);
        using var folder = new TemporaryFolder();
        Prepare(row, folder.Path);
        var clock = ThreadTime.Start();
        var before = GC.GetTotalAllocatedBytes();
        TokenizerException? error = null;
        try
        {
            Use(folder.Path, id.StartsWith("tokenizer/", StringComparison.Ordinal));
        }
        catch (TokenizerException e)
        {
            error = e;
        }
        Assert.That(clock.Elapsed, Is.LessThan(TimeSpan.FromSeconds(10)));
        Assert.That(GC.GetTotalAllocatedBytes() - before, Is.LessThan(MemoryLimit));
        var must = row.GetProperty("must").GetString()!;
        if (must == "accept") Assert.That(error, Is.Null);
        if (must is "refuse" or "refuse or warn") Assert.That(error, Is.Not.Null);
        if (error is null) return;
        Assert.That(error.Message, Does.Contain(folder.Path).And.Not.Contain("\n"));
        if (!row.TryGetProperty("message_names", out var names)) return;
        foreach (var name in names.EnumerateArray()) Assert.That(error.Message, Does.Contain(name.GetString()!));
    }

    [TestCase("tokenizer")]
    [TestCase("sentencepiece")]
    public void The_good_files_load(string group) => Use(SharedFolder.Path($"golden/badfiles/good/{group}"),
        group == "tokenizer");

    [TestCase("tokenizer", "tokenizer.json", 600)]
    [TestCase("sentencepiece", "tokenizer.model", 1000)]
    public void Damage_never_does_more_than_that_one_error(string group, string file, int usual)
    {
        var rounds = Damage.Rounds(usual, usual);
        var good = File.ReadAllBytes(Path.Combine(SharedFolder.Path($"golden/badfiles/good/{group}"), file));
        var random = Damage.Random(8);
        using var folder = new TemporaryFolder();
        var path = Path.Combine(folder.Path, file);
        var refused = 0;
        for (var round = 0; round < rounds; round++)
        {
            File.WriteAllBytes(path, Damage.Bytes(good, random));
            try
            {
                Use(folder.Path, group == "tokenizer");
            }
            catch (TokenizerException)
            {
                refused++;
            }
        }
        Assert.That(refused, Is.InRange(rounds / 10, rounds), "most damage must be seen");
    }

    private static void Use(string folder, bool isJson)
    {
        var tokenizer = TokenizerLoader.Load(folder);
        var text = isJson ? "abcab " + new string('a', 28) + "!" : "the cat";
        tokenizer.Decode(tokenizer.EncodeToIds(text));
        GoldenRows.Details(tokenizer).Encode(text);
    }

    private static IEnumerable<JsonElement> Cases() =>
        File.ReadLines(SharedFolder.Path("golden/badfiles/cases.jsonl")).Select(line => JsonDocument.Parse(line).RootElement);

    private static void Prepare(JsonElement row, string folder)
    {
        // Cases whose files are all generated have no folder.
        var source = Path.Combine(SharedFolder.Path("golden/badfiles"), row.GetProperty("folder").GetString()!);
        if (Directory.Exists(source))
            foreach (var file in Directory.GetFiles(source))
                File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
        if (!row.TryGetProperty("generate", out var files)) return;
        foreach (var file in files.EnumerateObject())
        {
            var text = new StringBuilder(Part(file.Value, "prefix"));
            var count = file.Value.GetProperty("count").GetInt32();
            for (var i = 0; i < count; i++) text.Append(Part(file.Value, "unit"));
            for (var i = 0; i < count; i++) text.Append(Part(file.Value, "close"));
            File.WriteAllText(Path.Combine(folder, file.Name), text.Append(Part(file.Value, "suffix")).ToString());
        }
    }

    private static string Part(JsonElement value, string name) => value.TryGetProperty(name, out var part) ? part.GetString()!
        : "";
}

internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("peftalign").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
