// `peftalign data audit`: what it finds in rows that were written to be found, and on real preference data.

using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Tests;

public sealed class DataAuditTests
{
    private string folder = "";

    [SetUp]
    public void Open() => folder = Directory.CreateTempSubdirectory("peftalign-audit-").FullName;

    [TearDown]
    public void Close() => Directory.Delete(folder, recursive: true);

    private static (int Code, string Out, string Err) Audit(params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(["data", "audit", .. args]).GetAwaiter().GetResult();
        return (code, results.ToString(), remarks.ToString());
    }

    private static JsonNode Document(params string[] args)
    {
        var (code, text, err) = Audit([.. args, "--json"]);
        Assert.That(code, Is.Zero, err);
        return JsonNode.Parse(text)!;
    }

    private string Write(params string[] rows)
    {
        var path = Path.Combine(folder, "rows.jsonl");
        File.WriteAllLines(path, rows);
        return path;
    }

    private static string Stories => Checkout.Fixture("stories260K");

    // Whole dialogues: the prompt is what both begin with, so that an answer is told from what stands before it.
    [Test]
    public void Rows_without_a_prompt_are_parted_as_training_parts_them()
    {
        var found = Document(Write("""{"chosen": "Once upon a time", "rejected": "Once upon no"}""", """{"chosen": "Tom ran", "rejected": "Tom saw"}""",
            """{"chosen": "Tom saw", "rejected": "Tom ran"}"""), "--model", Stories);
        Assert.That(((int)found["prompts"]!, (int)found["contradictory_pairs"]!["count"]!, (int)found["answers_chosen_and_rejected"]!["count"]!), Is.EqualTo((2, 1, 1)));
    }

    // Line 2 is line 1 again; line 3 turns it round, so that each of its answers was judged the other way; line 4 shares an answer with line 5.
    [Test]
    public void What_is_wrong_with_rows_is_counted_and_named()
    {
        const string row = """{"prompt": "Once upon", "chosen": " a time there was", "rejected": " no"}""";
        var file = Write(row, row, """{"prompt": "Once upon", "chosen": " no", "rejected": " a time there was"}""",
            """{"prompt": "Tom", "chosen": " ran", "rejected": " sat down and ate"}""", """{"prompt": "Tom", "chosen": " saw the big dog", "rejected": " ran"}""",
            """{"prompt": "Tom", "chosen": " is", "rejected": " is"}""", """{"prompt": "Tom lik", "chosen": "es cake", "rejected": "ed it"}""");
        var found = Document(file, "--model", Stories, "--examples", "1");
        (int, string) Of(string name) => ((int)found[name]!["count"]!, string.Join(' ', found[name]!["examples"]!.AsArray().Select(e => (string)e!)));
        Assert.That(Of("duplicate_rows"), Is.EqualTo((1, "rows.jsonl, line 2")));
        Assert.That(Of("contradictory_pairs"), Is.EqualTo((1, "rows.jsonl, line 3")));
        Assert.That(Of("answers_chosen_and_rejected"), Is.EqualTo((2, "rows.jsonl, line 3")));
        Assert.That(Of("boundary_shifts"), Is.EqualTo((1, "rows.jsonl, line 7")));
        Assert.That(((int)found["rows"]!, (int)found["prompts"]!, (int)found["ledger"]!["rows_with_equal_answers"]!), Is.EqualTo((7, 3, 1)));
        Assert.That((int)found["length_bias"]!["equal_lengths"]!, Is.EqualTo(1));
        var ledger = found["ledger"]!;
        var shorter = Document(file, "--model", Stories, "--max-length", "6")["ledger"]!;
        Assert.That((int)shorter["tokens_kept"]! + (int)shorter["tokens_cut"]! + (int)shorter["tokens_refused"]!, Is.EqualTo((int)ledger["tokens_kept"]!));
        Assert.That((int)shorter["tokens_cut"]!, Is.GreaterThan(0));
    }

    // Rows enough for many batches, with findings and shapes in all of them.
    [Test]
    public void Threads_change_nothing()
    {
        var words = "Tom and Lily saw the big dog in a park and ran home".Split(' ');
        string Some(int from, int count) => string.Concat(Enumerable.Range(from, count).Select(k => " " + words[k * 7 % words.Length]));
        string Row(int k) => (k % 5) switch
        {
            0 => $$"""{"text": "Once{{Some(k, 3)}}"}""",
            1 => $$"""{"prompt": "Tom lik", "completion": "es{{Some(k % 50, 2)}}", "label": true}""",
            2 => $$"""{"prompt": "Tom", "chosen": "{{Some(k % 40, 2)}}", "rejected": "{{Some(k % 30, 3)}}"}""",
            3 => $$"""{"prompt": "Tom", "chosen": "{{Some(k % 30, 3)}}", "rejected": "{{Some(k % 40, 2)}}"}""",
            _ => $$"""{"chosen": "Tom lik{{Some(k, 1)}}", "rejected": "Tom likes {{k}}"}""",
        };
        var file = Write([.. Enumerable.Range(0, 700).Select(Row)]);
        var one = Document(file, "--model", Stories, "--threads", "1", "--max-length", "8").ToJsonString();
        Assert.That(Document(file, "--model", Stories, "--threads", "3", "--max-length", "8").ToJsonString(), Is.EqualTo(one));
        // The first row that is refused is named, though another thread meets a later one first.
        var broken = Write([.. Enumerable.Range(0, 700).Select(k => k is 400 or 650 ? "{}" : Row(k))]);
        var (code, _, err) = Audit(broken, "--model", Stories, "--threads", "3");
        Assert.That((code, err), Is.EqualTo((2, Audit(broken, "--model", Stories, "--threads", "1").Err)));
        Assert.That(err, Does.Contain("line 401"));
    }

    [Test]
    public void Rows_of_other_shapes_are_read_as_training_reads_them()
    {
        var file = Write("""{"text": "Once upon a time"}""", """{"prompt": "Tom", "completion": " ran"}""", """{"prompt": "Tom", "completion": " ran", "label": true}""", """{"prompt_ids": [1, 2], "chosen_ids": [3], "rejected_ids": [4, 5]}""");
        var found = Document(file, "--model", Stories);
        Assert.That(found["shapes"]!.ToJsonString(), Is.EqualTo("""{"answers with a label":1,"pairs":1,"sequences":2}"""));
        Assert.That((int)found["ledger"]!["rows"]!, Is.EqualTo(4));
    }

    [TestCase("{\"prompt\": \"a\", \"chosen\": \"b\"}", "line 1")]
    [TestCase("{\"prompt\": \"a\", \"chosen\": 3, \"rejected\": \"b\"}", "line 1", "'chosen'")]
    [TestCase("{", "line 1", "not valid JSON (byte 2: ")]
    [TestCase("{\"text\": \"a \\ud800 b\"}", "line 1", "half a character")]
    [TestCase("{\"messages\": [{\"role\": \"user\", \"role\": \"assistant\", \"content\": \"a\"}]}", "line 1", "not valid JSON")]
    [TestCase("{\"input_ids\": [5, 99999]}", "line 1", "token id 99999 is not in the model's vocabulary of 512")]
    [TestCase("{\"input_ids\": [5, -1]}", "line 1", "token id -1")]
    [TestCase("{\"prompt_ids\": [5], \"chosen_ids\": [6], \"rejected_ids\": [512]}", "line 1", "token id 512")]
    [TestCase("{\"prompt_ids\": [5], \"completion_ids\": [700], \"label\": true}", "line 1", "token id 700")]
    [TestCase("", "holds no rows")]
    public void What_training_would_refuse_is_refused(string row, params string[] says)
    {
        var (code, _, err) = Audit(Write(row), "--model", Stories);
        Assert.That(code, Is.EqualTo(2), err);
        foreach (var text in says) Assert.That(err, Does.Contain(text));
    }

    // Of gemma3's folders and of what training refuses: the tokenizer is all that is needed.
    [TestCase("{\"model_type\": \"gemma3\", \"text_config\": {\"vocab_size\": 400}}", 400)]
    [TestCase("{\"model_type\": \"gemma3\"}", null)]
    [TestCase("{\"vocab_size\": 400", null)]
    public void A_configuration_that_is_not_a_decoders_limits_what_it_can(string config, int? vocabulary)
    {
        var model = Directory.CreateDirectory(Path.Combine(Path.GetDirectoryName(Write("{}"))!, "other")).FullName;
        File.Copy(Path.Combine(Stories, "tokenizer.json"), Path.Combine(model, "tokenizer.json"), overwrite: true);
        File.WriteAllText(Path.Combine(model, "config.json"), config);
        Assert.That(Audit(Write("{\"input_ids\": [5, 399]}"), "--model", model).Code, Is.Zero);
        var (code, _, err) = Audit(Write("{\"input_ids\": [5, 400]}"), "--model", model);
        Assert.That((code, err.Contains($"vocabulary of {vocabulary}", StringComparison.Ordinal)), Is.EqualTo(vocabulary is null ? (0, false) : (2, true)), err);
    }

    // sft trains on the text, and another task's label means nothing to it.
    [Test]
    public void A_label_beside_a_text_is_not_an_answers()
    {
        var found = Document(Write("""{"text": "Once upon a time", "label": 1}""", """{"prompt_ids": [5], "completion_ids": [6], "label": true}"""), "--model", Stories);
        Assert.That(found["shapes"]!.ToJsonString(), Is.EqualTo("""{"answers with a label":1,"sequences":1}"""));
    }

    // What is cut off is not trained, so that its ids do not matter.
    [Test]
    public void Ids_behind_the_limit_are_not_refused() =>
        Assert.That(Audit(Write("""{"input_ids": [5, 6, 7, 99999]}"""), "--model", Stories, "--max-length", "3").Code, Is.Zero);

    // As a training cuts them: no position that was not learned has a row, and rotary ones go on.
    [TestCase("gpt2", 4, "is more than the 4 positions that the model has learned")]
    [TestCase("llama", 7, "")]
    public void Rows_are_cut_at_learned_positions(string architecture, int kept, string said)
    {
        File.Copy(Path.Combine(Stories, "tokenizer.json"), Path.Combine(folder, "tokenizer.json"));
        File.WriteAllText(Path.Combine(folder, "config.json"), $$"""{"model_type": "{{architecture}}", "vocab_size": 512, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "max_position_embeddings": 4}""");
        var (code, text, err) = Audit(Write("""{"input_ids": [5, 6, 7, 8, 9, 10, 11]}"""), "--model", folder, "--json");
        Assert.That((code, (int)JsonNode.Parse(text)!["ledger"]!["tokens_kept"]!), Is.EqualTo((0, kept)), err);
        Assert.That(said.Length == 0 ? err.Length == 0 : err.Contains(said, StringComparison.Ordinal), err);
    }

    // The end token gets the id behind the last, as in transformers, and the embedding has no row for it.
    [Test]
    public void A_token_that_only_the_configuration_names_is_refused_where_the_model_has_no_row_for_it()
    {
        foreach (var name in (string[])["config.json", "tokenizer.json"]) File.Copy(Path.Combine(Stories, name), Path.Combine(folder, name));
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"eos_token": "<|endoftext|>"}""");
        var (code, _, err) = Audit(Write("""{"prompt": "Tom", "completion": " ran"}"""), "--model", folder);
        Assert.That((code, err.Contains("line 1: token id 512 is not in the model's vocabulary of 512", StringComparison.Ordinal)), Is.EqualTo((2, true)), err);
    }

    // Of a tokenizer alone nobody knows how many rows the model's embedding has; below 0 there are none.
    [TestCase(99999, 0)]
    [TestCase(-1, 2)]
    public void With_a_tokenizer_alone_only_impossible_ids_are_refused(int id, int code) =>
        Assert.That(Audit(Write($$"""{"input_ids": [5, {{id}}]}"""), "--model", Path.Combine(Stories, "tokenizer.json")).Code, Is.EqualTo(code));

    [TestCase("{\"prompt\": \"Tom\", \"completion\": \" ran\"}", 0, "standard input: 1 rows")]
    [TestCase("{", 2, "standard input, line 1")]
    [TestCase("", 2, "standard input: holds no rows")]
    public void Rows_come_from_standard_input_too(string row, int code, string said)
    {
        var start = new System.Diagnostics.ProcessStartInfo(Path.Combine(Checkout.Root, "peftalign"), ["data", "audit", "-", "--model", Stories])
        { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = System.Diagnostics.Process.Start(start)!;
        process.StandardInput.WriteLine(row);
        process.StandardInput.Close();
        var err = process.StandardError.ReadToEndAsync();
        var text = process.StandardOutput.ReadToEnd() + err.Result;
        process.WaitForExit();
        Assert.That((process.ExitCode, text.Contains(said, StringComparison.Ordinal)), Is.EqualTo((code, true)), text);
    }

    [Test]
    public void A_wrong_option_is_named()
    {
        Assert.That(Audit(Write("{}"), "--model", Stories, "--truncation", "middle") is (2, _, var err) ? err : "", Does.Contain("keep_start"));
        Assert.That(Audit(Write("{}"), "--model", Stories, "--max-length", "0") is (2, _, var low) ? low : "", Does.Contain("--max-length 0"));
    }

    // HH-RLHF's harmless dialogues: no row twice, shorter answers preferred no less often than longer ones by much.
    [Test]
    public void Real_pairs_are_audited()
    {
        var file = Checkout.Reference("data", "hh-rlhf", "split_harmless_train1812.jsonl.gz");
        var found = Document(file, "--model", Stories, "--max-length", "512");
        Assert.That((int)found["rows"]!, Is.EqualTo(1812));
        Assert.That((double)found["length_bias"]!["low"]!, Is.LessThan((double)found["length_bias"]!["high"]!).And.InRange(0.3, 0.7));
        Assert.That((long)found["ledger"]!["tokens_cut"]!, Is.GreaterThan(0));
    }
}
