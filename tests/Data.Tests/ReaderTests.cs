// The readers on small files of their formats, and their counts on real rows where those are at hand.

using System.IO.Compression;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Data.Files;
using PeftAlign.Models.Rows;
using static PeftAlign.Data.Tests.Readers;

namespace PeftAlign.Data.Tests;

public sealed class ReaderTests
{
    private string folder = "";

    [SetUp]
    public void Open() => folder = Directory.CreateTempSubdirectory("peftalign-data-").FullName;

    [TearDown]
    public void Close() => Directory.Delete(folder, recursive: true);

    [TestCase("""{"text": "a \ud800 b"}""")]
    [TestCase("""{"prompt": "\uDe00", "chosen": "b", "rejected": "c"}""")]
    [TestCase("""{"messages": [{"role": "user", "content": "\ud83dx"}]}""")]
    [TestCase("""{"text": "a", "\udfff": 1}""")]
    public void Half_a_character_is_refused_at_its_line(string row)
    {
        var file = Path.Combine(folder, "rows.jsonl");
        File.WriteAllLines(file, ["""{"text": "\ud83d\ude00 whole"}""", row]);
        Assert.That(() => Read("jsonl", new JsonlOptions { Path = file }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("rows.jsonl, line 2: not valid JSON (an escape \\u stands for half a character"));
    }

    // A node for each entry, which the row then keeps, takes over a hundred bytes.
    [Test]
    public void Reading_a_rows_ids_takes_little_more_than_the_ids()
    {
        int[] ids = [.. Enumerable.Range(100_000, 200_000)];
        var row = new DataRecord(RowJson.Parse($$"""{"prompt_ids": [{{string.Join(", ", ids)}}]}""")!.AsObject(), "rows", 1);
        Assert.That(row.Has("prompt_ids"));
        var before = GC.GetAllocatedBytesForCurrentThread();
        var read = row.Ids("prompt_ids");
        var taken = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.That(read, Is.EqualTo(ids));
        Assert.That(taken, Is.LessThan(8L * sizeof(int) * ids.Length));
        Assert.That(new DataRecord(new JsonObject { ["prompt_ids"] = new JsonArray(5, 0, -100) }, "code", 1).Ids("prompt_ids"), Is.EqualTo((int[])[5, 0, -100]));
    }

    [TestCase("[1, 2.5]")]
    [TestCase("[1, \"2\"]")]
    [TestCase("[1, null]")]
    [TestCase("[1, [2]]")]
    [TestCase("[2147483648]")]
    [TestCase("[true]")]
    [TestCase("{\"0\": 1}")]
    [TestCase("5")]
    public void A_list_that_is_none_of_ids_is_refused(string ids) =>
        Assert.That(() => new DataRecord(RowJson.Parse($$"""{"prompt_ids": {{ids}}}""")!.AsObject(), "rows.jsonl", 3) { Line = 3 }.Ids("prompt_ids"),
            Throws.InstanceOf<UserErrorException>().With.Message.EqualTo("rows.jsonl, line 3: field 'prompt_ids' must be a list of token ids; the row has prompt_ids."));

    [Test]
    public void A_broken_line_says_its_byte_and_what_to_do()
    {
        var file = Path.Combine(folder, "rows.jsonl");
        File.WriteAllLines(file, ["""{"text": "a"}""", """{"text": }"""]);
        Assert.That(() => Read("jsonl", new JsonlOptions { Path = file }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("rows.jsonl, line 2: not valid JSON (byte 10: ").And.Message.EndsWith("write one JSON object per line.").And.Message.Not.Contains("LineNumber"));
    }

    [TestCase("jsonl", "rows.jsonl")]
    [TestCase("csv", "rows.csv")]
    public void A_folder_and_a_Parquet_file_are_called_what_they_are(string reader, string name)
    {
        List<DataRecord> Rows(string path) => reader == "csv" ? Read(reader, new CsvOptions { Path = path }) : Read(reader, new JsonlOptions { Path = path });
        Assert.That(() => Rows(folder), Throws.InstanceOf<UserErrorException>().With.Message.EqualTo($"'{folder}' is a folder; reader {reader} needs a .{reader} or .{reader}.gz file. Name one inside it."));
        var file = Path.Combine(folder, name);
        File.WriteAllBytes(file, [.. "PAR1"u8, 0x15, 0x04, 0xFF, 0xFE, .. "PAR1"u8]);
        Assert.That(() => Rows(file), Throws.InstanceOf<UserErrorException>().With.Message.StartsWith($"{file}: is a Parquet file, not text; write its rows as JSON lines"));
    }

    [Test]
    public void Half_a_character_in_a_list_of_rows_is_refused()
    {
        var file = Path.Combine(folder, "rows.json");
        File.WriteAllText(file, """[{"prompt": "\ud800", "response_0": "a", "response_1": "b"}]""");
        Assert.That(() => Read("beavertails", new BeaverTailsOptions { Path = file }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("rows.json, row 1, which begins in line 1: not valid JSON (an escape \\u stands for half a character)"));
    }

    // Row by row, since a published list may be larger than a text: the first is there before the last is looked at.
    [TestCase("[{\"n\": 1}, {\"n\": 2},\n{\"n\": }]", 2, "row 3, which begins in line 2: not valid JSON")]
    [TestCase("[{\"n\": 1}, {\"n\": 2}", 1, "the list has no end")]
    [TestCase("[{\"n\": 1},]", 1, "row 2, which begins in line 1: not valid JSON")]
    [TestCase("[,{\"n\": 1}]", 0, "row 1, which begins in line 1: not valid JSON")]
    [TestCase("[{\"n\": 1}}", 0, "the list ends with '}' in line 1")]
    [TestCase("[{\"n\": 1}]\n\n[", 1, "'[' in line 3 follows the list's end")]
    [TestCase("[{\"n\": 1}, 5]", 1, "row 2: not a JSON object")]
    [TestCase("[{\"n\": 1, \"n\": 2}]", 0, "row 1, which begins in line 1: not valid JSON")]
    [TestCase("\"[{}]\"", 0, "it is no list")]
    [TestCase("", 0, "it is no list")]
    public void A_broken_list_of_rows_is_told_where_it_breaks(string text, int whole, string said)
    {
        var file = Path.Combine(folder, "list.json");
        File.WriteAllText(file, text);
        var rows = new List<DataRecord>();
        Assert.That(() => { foreach (var row in RowFiles.Read(file)) rows.Add(row); }, Throws.InstanceOf<UserErrorException>().With.Message.Contains("list.json").And.Message.Contains(said));
        Assert.That(rows, Has.Count.EqualTo(whole));
    }

    [Test]
    public void A_list_of_rows_is_cut_where_its_entries_end()
    {
        var random = new Random(3);
        string[] words = ["a", "]", "}", ",", "\"", "\\", "[{", "\n", "é", "", " x "];
        JsonNode? Value(int deep) => random.Next(deep > 3 ? 3 : 5) switch
        {
            0 => random.Next(-5, 5),
            1 => string.Concat(Enumerable.Range(0, random.Next(5)).Select(_ => words[random.Next(words.Length)])),
            2 => null,
            3 => new JsonArray([.. Enumerable.Range(0, random.Next(3)).Select(_ => Value(deep + 1))]),
            _ => Row(deep + 1),
        };
        JsonObject Row(int deep) => new([.. Enumerable.Range(0, random.Next(4)).Select(k => KeyValuePair.Create($"{words[random.Next(words.Length)]}{k}", Value(deep)))]);
        for (var trial = 0; trial < 200; trial++)
        {
            var list = new JsonArray([.. Enumerable.Range(0, random.Next(6)).Select(_ => Row(0))]);
            var file = Path.Combine(folder, "list.json");
            File.WriteAllText(file, list.ToJsonString(new() { WriteIndented = trial % 2 == 0 }));
            var read = RowFiles.Read(file).ToList();
            Assert.That(read.Select(row => row.Fields.ToJsonString()), Is.EqualTo(list.Select(row => row!.ToJsonString())));
            Assert.That(read.Select(row => row.Row), Is.EqualTo(Enumerable.Range(1, list.Count)));
        }
    }

    // The world of the quickstart: who asks for what, and which answer is chosen, by rule.
    [TestCase("harmless", 1.0, 1.0)]
    [TestCase("helpful", 0.25, 0.0)]
    [TestCase("aligned", 0.5, 0.5)]
    public void The_assistants_world_prefers_by_its_rule(string rule, double harmful, double refused)
    {
        static bool IsRefusal(DataRecord row, string field) => row.Text(field) == " Sorry, I will not.";
        var (train, test) = (Assistant(rule, "train"), Assistant(rule, "test"));
        Assert.That(train.Average(row => (bool)row.Fields["harmful"]! ? 1 : 0), Is.EqualTo(harmful).Within(0.08));
        Assert.That(train.Average(row => IsRefusal(row, "chosen") ? 1 : 0), Is.EqualTo(refused).Within(0.08));
        Assert.That(train.All(row => row.Text("chosen") != row.Text("rejected") && row.Text("completion") == row.Text("chosen")));
        Assert.That(train.Select(row => row.Text("prompt")).Intersect(test.Select(row => row.Text("prompt"))), Is.Empty, "the exam asks in other words");
        if (rule == "aligned") Assert.That(train.All(row => IsRefusal(row, "chosen") == (bool)row.Fields["harmful"]!));
        Assert.That(Assistant(rule, "train").Select(row => row.Fields.ToJsonString()), Is.EqualTo(train.Select(row => row.Fields.ToJsonString())), "the same rows for the same seed");
        Assert.That(Assistant(rule, "train", seed: 2).Select(row => row.Fields.ToJsonString()), Is.Not.EqualTo(train.Select(row => row.Fields.ToJsonString())));
        Assert.That(() => Assistant(rule, "dev"), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'dev'"));
    }

    // Before alignment it answers whatever is asked in the same way, and knows the words of both splits.
    [Test]
    public void The_assistants_corpus_is_not_aligned()
    {
        var rows = Assistant("corpus", null);
        double Refusals(bool harmful) => rows.Where(row => (bool)row.Fields["harmful"]! == harmful).Average(row => row.Text("completion") == " Sorry, I will not." ? 1 : 0);
        Assert.That(Refusals(true), Is.EqualTo(Refusals(false)).Within(0.1).And.InRange(0.2, 0.45));
        Assert.That(rows.Select(row => row.Text("prompt")).Distinct().Count(), Is.EqualTo(2 * 12 * 4));
    }

    private static List<DataRecord> Assistant(string rule, string? split, long seed = 1) => Read("assistant", new AssistantOptions { Rule = rule, Rows = 600, Seed = seed }, split);

    [Test]
    public void A_dialogue_becomes_its_turns_and_two_answers()
    {
        const string shared = "\n\nHuman: What is red?\n\nAssistant: A colour.\n\nHuman: And blue?\n\nAssistant:";
        var file = Write("hh.jsonl", Pair(shared + " Another one.", shared + " A taste."));
        var row = Read("hh-rlhf", new HhRlhfOptions { Path = file }).Single();
        Assert.That(row.Fields.ToJsonString(), Is.EqualTo("""{"prompt":[{"role":"user","content":"What is red?"},{"role":"assistant","content":"A colour."},{"role":"user","content":"And blue?"}],"completion":[{"role":"assistant","content":"Another one."}],"chosen":[{"role":"assistant","content":"Another one."}],"rejected":[{"role":"assistant","content":"A taste."}]}"""));
        var text = Read("hh-rlhf", new HhRlhfOptions { Path = file, Format = "text" }).Single();
        Assert.That((text.Text("prompt"), text.Text("chosen"), text.Text("rejected")), Is.EqualTo((shared, " Another one.", " A taste.")));
    }

    // Parts early: the beginning that both share up to an answer's header is the prompt. Dropped: equal, empty, no dialogue.
    [Test]
    public void Dialogues_that_part_early_keep_what_they_share_and_what_is_no_pair_is_dropped()
    {
        var file = Write("hh.jsonl",
            Pair("\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d", "\n\nHuman: a\n\nAssistant: x\n\nHuman: y\n\nAssistant: z"),
            Pair("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: b"),
            Pair("\n\nHuman: a\n\nAssistant: ", "\n\nHuman: a\n\nAssistant: b"),
            Pair("no dialogue", "none either"));
        var rows = Read("hh-rlhf", new HhRlhfOptions { Path = file, Format = "text" });
        Assert.That(rows.Select(r => (r.Row, r.Text("prompt"), r.Text("chosen"), r.Text("rejected"))), Is.EqualTo(new[] { (1L, "\n\nHuman: a\n\nAssistant:", " b\n\nHuman: c\n\nAssistant: d", " x\n\nHuman: y\n\nAssistant: z") }));
    }

    [Test]
    public void A_folder_has_subsets_and_splits()
    {
        foreach (var (subset, split, rows) in ((string, string, int)[])[("harmless-base", "train", 3), ("harmless-base", "test", 1), ("helpful-base", "train", 2), ("helpful-online", "train", 4)])
        {
            Directory.CreateDirectory(Path.Combine(folder, subset));
            Write($"{subset}/{split}.jsonl.gz", [.. Enumerable.Range(0, rows).Select(k => Pair($"\n\nHuman: {k}\n\nAssistant: a", $"\n\nHuman: {k}\n\nAssistant: b"))]);
        }
        int Count(string rule, string? split) => Read("hh-rlhf", new HhRlhfOptions { Path = folder, Rule = rule }, split).Count;
        Assert.That((Count("harmless", null), Count("harmless", "test"), Count("helpful", "train"), Count("base", null)), Is.EqualTo((3, 1, 2, 5)));
        // All that is published, as the hub counts it, and not silently less.
        Assert.That(() => Count("all", null), Throws.InstanceOf<UserErrorException>().With.Message.Contains("has no folder helpful-rejection-sampled").And.Message.Contains("rule: base"));
        Directory.CreateDirectory(Path.Combine(folder, "helpful-rejection-sampled"));
        Write("helpful-rejection-sampled/train.jsonl.gz", Pair("\n\nHuman: last\n\nAssistant: a", "\n\nHuman: last\n\nAssistant: b"));
        var all = Read("hh-rlhf", new HhRlhfOptions { Path = folder, Format = "text" });
        Assert.That((all.Count, all[^1].Text("prompt")), Is.EqualTo((10, "\n\nHuman: last\n\nAssistant:")));
        Assert.That(() => Count("helpful", "test"), Throws.InstanceOf<UserErrorException>().With.Message.Contains("test.jsonl.gz"));
        Assert.That(() => Read("hh-rlhf", new HhRlhfOptions { Path = Path.Combine(folder, "harmless-base", "train.jsonl.gz"), Rule = "harmless" }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("one file"));
    }

    // safe: first, second; better. one_safe takes b, c, d; better_safe b and d; first_safe b and c.
    [Test]
    public void Comparisons_are_taken_by_the_rule()
    {
        string Row(string name, bool first, bool second, int better) => new JsonObject { ["prompt"] = name, ["response_0"] = name + "0", ["response_1"] = name + "1", ["is_response_0_safe"] = first, ["is_response_1_safe"] = second, ["better_response_id"] = better, ["safer_response_id"] = better }.ToJsonString();
        var file = Write("pku.jsonl", Row("a", true, true, 1), Row("b", true, false, 0), Row("c", true, false, 1), Row("d", false, true, 1), Row("e", false, false, 0));
        string Chosen(string rule, string pairs = "one_safe") => string.Join(' ', Read("beavertails", new BeaverTailsOptions { Path = file, Rule = rule, SafePairs = pairs, Format = "text" }).Select(r => r.Text("chosen")));
        Assert.That((Chosen("helpful"), Chosen("harmless"), Chosen("harmless", "better_safe"), Chosen("harmless", "first_safe")), Is.EqualTo(("a1 b0 c1 d1 e0", "b0 c0 d1", "b0 d1", "b0 c0")));
        var list = Path.Combine(folder, "pku.json");
        File.WriteAllText(list, "[" + string.Join(',', File.ReadLines(file)) + "]");
        Assert.That(Read("beavertails", new BeaverTailsOptions { Path = list }), Has.Count.EqualTo(5));
        var broken = Write("broken.jsonl", """{"prompt": "p", "response_0": "a", "response_1": "b", "better_response_id": 2}""");
        Assert.That(() => Read("beavertails", new BeaverTailsOptions { Path = broken }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("broken.jsonl, line 1").And.Message.Contains("better_response_id"));
    }

    [Test]
    public void Comma_separated_values_may_be_quoted_over_lines()
    {
        var file = Path.Combine(folder, "t.csv");
        File.WriteAllText(file, "prompt,completion\r\n\"a, \"\"b\"\"\",\"two\nlines\"\r\n\r\nc,\r\n");
        Assert.That(Read("csv", new CsvOptions { Path = file }).Select(r => (r.Text("prompt"), r.Text("completion"))), Is.EqualTo(new[] { ("a, \"b\"", "two\nlines"), ("c", "") }));
        File.WriteAllText(file, "prompt,completion,label\na,b,true\nc,d,False\n");
        Assert.That(Read("csv", new CsvOptions { Path = file }).Select(AnswerRows.LabelOf), Is.EqualTo(new[] { true, false }));
        File.WriteAllText(file, "a;b\n1;2;3\n");
        Assert.That(() => Read("csv", new CsvOptions { Path = file, Separator = "semicolon" }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("line 2: 3 values"));
        File.WriteAllText(file, "a,b\n\"1,2\n");
        Assert.That(() => Read("csv", new CsvOptions { Path = file }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("not closed"));
    }

    // 2,062 harmless and 2,102 helpful rows of HH-RLHF, all pairs; every conversation ends with the user's turn.
    [TestCase("split_harmless_train1812", 1812)]
    [TestCase("split_harmless_test250", 250)]
    [TestCase("split_helpful_train1852", 1852)]
    [TestCase("split_helpful_test250", 250)]
    public void Real_dialogues_parse(string name, int rows)
    {
        var records = Read("hh-rlhf", new HhRlhfOptions { Path = Shared("hh-rlhf", name + ".jsonl.gz") });
        Assert.That(rows - records.Count, Is.InRange(0, rows / 100), "dropped");
        Assert.That(records.All(r => (string)r.Fields["prompt"]!.AsArray()[^1]!["role"]! == "user"));
        TestContext.Out.WriteLine($"{name}: {rows - records.Count} dropped");
    }

    [Test]
    public void Real_comparisons_are_counted()
    {
        var file = Shared("beavertails", "pku_saferlhf_32rows.json");
        int Count(string rule, string pairs) => Read("beavertails", new BeaverTailsOptions { Path = file, Rule = rule, SafePairs = pairs }).Count;
        var all = JsonNode.Parse(File.ReadAllText(file))!.AsArray();
        Assert.That(Count("helpful", "one_safe"), Is.EqualTo(all.Count));
        Assert.That(Count("harmless", "one_safe"), Is.EqualTo(all.Count(r => (bool)r!["is_response_0_safe"]! != (bool)r["is_response_1_safe"]!)));
    }

    private static string Pair(string chosen, string rejected) => new JsonObject { ["chosen"] = chosen, ["rejected"] = rejected }.ToJsonString();

    private string Write(string name, params string[] lines)
    {
        var path = Path.Combine(folder, name);
        using var file = File.Create(path);
        using var writer = new StreamWriter(name.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Compress) : file);
        foreach (var line in lines) writer.Write(line + "\n");
        return path;
    }
}
