// `peftalign data audit --against`: rows of benchmarks among training rows, as lm-evaluation-harness's decontamination finds them.
// Fixtures/decontamination.json is by its own code (Fixtures/make/decontamination.py).

using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Tests;

public sealed class BenchmarkOverlapTests
{
    private const string Words = "one two three four five six seven eight nine ten eleven twelve thirteen";

    private string folder = "";

    [SetUp]
    public void Open() => folder = Directory.CreateTempSubdirectory("peftalign-overlap-").FullName;

    [TearDown]
    public void Close() => Directory.Delete(folder, recursive: true);

    private static string Stories => Checkout.Fixture("stories260K");

    private static (int Code, string Out, string Err) Audit(params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(["data", "audit", .. args, "--model", Stories]).GetAwaiter().GetResult();
        return (code, results.ToString(), remarks.ToString());
    }

    private static JsonNode Found(params string[] args)
    {
        var (code, text, err) = Audit([.. args, "--json"]);
        Assert.That(code, Is.Zero, err);
        return JsonNode.Parse(text)!["against"]!;
    }

    private string Write(string name, params string[] lines)
    {
        var path = Path.Combine(folder, name);
        File.WriteAllText(path, string.Concat(lines.Select(line => line + "\n")));
        return path;
    }

    private string Rows(string name, string key, IEnumerable<string> texts) => Write(name, [.. texts.Select(text => new JsonObject { [key] = text }.ToJsonString())]);

    private static string[] Texts(JsonNode? list) => [.. list!.AsArray().Select(text => (string)text!)];

    [TestCase(13)]
    [TestCase(5)]
    [TestCase(1)]
    public void Rows_are_found_that_the_harness_finds(int words)
    {
        var golden = JsonNode.Parse(File.ReadAllText(Path.Combine(Checkout.Root, "tests", "Host.Tests", "Fixtures", "decontamination.json")))!;
        var (rows, benchmark) = (Rows("rows.jsonl", "text", Texts(golden["training"])), Rows("task.jsonl", "question", Texts(golden["benchmark"])));
        var found = Found(rows, "--against", benchmark, "--ngram", $"{words}", "--examples", "100", "--max-length", "4096");
        Assert.That((int)found["common_runs"]!, Is.Zero);
        var theirs = golden["found"]![$"{words}"]!.AsArray().Select(row => $"line {(int)row! + 1}");
        Assert.That(found["files"]![0]!["examples"]!.AsArray().Select(e => (string)e!["row"]!), Is.EquivalentTo(theirs));
    }

    [Test]
    public void Every_format_has_the_same_rows()
    {
        var rows = Rows("rows.jsonl", "text", ["She counted: " + Words + ", and went to bed."]);
        string[] texts = ["Nothing to be found here, though it has as many words as are looked for.", Words.Replace("two", "two,", StringComparison.Ordinal)];
        string[] objects = [.. texts.Select(text => new JsonObject { ["id"] = 3, ["input"] = text, ["choices"] = new JsonArray("a", "b") }.ToJsonString())];
        string[] files =
        [
            Write("a.jsonl", objects), Write("lines.json", objects), Write("list.json", $"[{string.Join(",\n", objects)}]"), Write("b.json", $$"""{"canary": "x",""", $$""" "examples": [{{string.Join(',', objects)}}]}"""),
            Write("t.csv", [.. texts.Select(text => $"3,\"{text}\",a")]), Write("t.tsv", [.. texts.Select(text => $"3\t{text}\ta")]), Path.Combine(folder, "a.jsonl.gz"),
        ];
        using (var packed = new GZipStream(File.Create(files[^1]), CompressionMode.Compress)) packed.Write(Encoding.UTF8.GetBytes(string.Join('\n', objects)));
        foreach (var file in files)
        {
            var found = Found(rows, "--against", file)["files"]![0]!;
            Assert.That(((int)found["rows"]!, (int)found["found"]!, (int)found["not_compared"]!), Is.EqualTo((2, 1, 0)), file);
            Assert.That(found["examples"]![0]!.ToJsonString(), Is.EqualTo($$"""{"row":"{{(file.Contains("list", StringComparison.Ordinal) || file.EndsWith("b.json", StringComparison.Ordinal) ? "item" : "line")}} 2","in":"rows.jsonl, line 1","words":"{{Words}}"}"""), file);
        }
    }

    // Of every shape that training reads; a run does not go on from one text to the next.
    [TestCase($$"""{"prompt": "Tom", "completion": "{{Words}}"}""", 1)]
    [TestCase($$"""{"prompt": "{{Words}}", "chosen": "a", "rejected": "b"}""", 1)]
    [TestCase($$"""{"prompt": "Tom", "chosen": "a", "rejected": "{{Words}}"}""", 1)]
    [TestCase($$"""{"messages": [{"role": "user", "content": "{{Words}}"}, {"role": "assistant", "content": "a"}]}""", 1)]
    [TestCase("""{"prompt": "one two three four five six", "completion": " seven eight nine ten eleven twelve thirteen"}""", 0)]
    public void Every_text_of_a_row_is_looked_at(string row, int found) =>
        Assert.That((int)Found(Write("rows.jsonl", row), "--chat-template", "chatml", "--against", Rows("b.jsonl", "q", [Words]))["overlapping_rows"]!["count"]!, Is.EqualTo(found));

    [Test]
    public void Tokens_count_as_the_text_that_they_stand_for()
    {
        var ids = PeftAlign.Models.Text.TokenizerLoader.Load(Stories).EncodeToIds(Words);
        var rows = Write("rows.jsonl", $$"""{"prompt_ids": [5], "completion_ids": [{{string.Join(',', ids)}}]}""");
        Assert.That((int)Found(rows, "--against", Rows("b.jsonl", "q", [Words]))["files"]![0]!["found"]!, Is.EqualTo(1));
    }

    // Eleven questions that begin alike, and ten.
    [TestCase(11, 0, 1)]
    [TestCase(10, 10, 0)]
    public void How_a_benchmark_asks_is_nothing_that_was_learned_of_it(int questions, int found, int common)
    {
        var against = Found(Rows("rows.jsonl", "text", [Words]), "--against", Rows("b.jsonl", "q", Enumerable.Range(0, questions).Select(k => $"{Words} {k}")));
        Assert.That(((int)against["files"]![0]!["found"]!, (int)against["common_runs"]!), Is.EqualTo((found, common)));
    }

    [Test]
    public void Several_files_are_told_apart_and_threads_change_nothing()
    {
        string Text(int k) => $"{k} " + string.Concat(Enumerable.Range(0, 14).Select(w => $" w{k * w % 1009}"));
        var rows = Rows("rows.jsonl", "text", Enumerable.Range(0, 300).Select(Text));
        string[] args = [rows, "--against", Rows("a.jsonl", "q", Enumerable.Range(290, 20).Select(Text)), "--against", Rows("b.jsonl", "q", [.. Enumerable.Range(295, 3).Select(Text), "short"])];
        var one = Found([.. args, "--threads", "1"]);
        Assert.That(one["files"]!.AsArray().Select(f => ((int)f!["rows"]!, (int)f["found"]!, (int)f["not_compared"]!)), Is.EqualTo(((int, int, int)[])[(20, 10, 0), (4, 3, 1)]));
        Assert.That((int)one["overlapping_rows"]!["count"]!, Is.EqualTo(10));
        Assert.That(Found([.. args, "--threads", "3"]).ToJsonString(), Is.EqualTo(one.ToJsonString()));
    }

    [Test]
    public void Lines_say_what_was_found()
    {
        var against = Rows("b.jsonl", "q", [Words, "short", "and " + Words + " more words"]);
        var (_, text, _) = Audit(Rows("rows.jsonl", "text", ["Tom ran", Words]), "--against", against, "--examples", "1");
        Assert.That(text, Does.Contain($"       1 rows share 13 words in a row with a benchmark's (rows.jsonl, line 2)\n       2 of the 3 rows of {against} are among them (line 1 in rows.jsonl, line 2: {Words}; ...); of 1 nothing can be told, since they have no such run\n"));
        Assert.That(Audit(Rows("rows.jsonl", "text", ["Tom ran"])).Out, Does.Not.Contain("in a row with"));
    }

    [Test]
    public void What_cannot_be_compared_is_refused()
    {
        var rows = Rows("rows.jsonl", "text", ["Tom ran"]);
        void Refused(string said, params string[] args)
        {
            var (code, text, err) = Audit([rows, .. args]);
            Assert.That((code, text), Is.EqualTo((2, "")), err);
            Assert.That(err, Does.Contain(said));
        }
        Refused("nowhere.jsonl: there is no such file", "--against", Path.Combine(folder, "nowhere.jsonl"));
        Refused("empty.csv: holds no rows; give", "--against", Write("empty.csv"));
        Refused("torn.jsonl, line 2: not valid JSON (", "--against", Write("torn.jsonl", "{}", "{"));
        Refused("torn.json: not valid JSON (", "--against", Write("torn.json", "[1,"));
        Refused("--ngram 0: is less than 1", "--against", rows, "--ngram", "0");
        Refused("--ngram 8: goes with --against", "--ngram", "8");
    }
}
