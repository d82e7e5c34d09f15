// An adapter knows the tokenizer and the chat template that it was trained with: over a base whose ids are other words it is refused
// by every command that takes the two, and conversations are rendered with its own template.

using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Models.Adapters;
using PeftAlign.Models.Text;

namespace PeftAlign.Host.Tests;

public sealed class TrainedWithTests
{
    private const string Chat = "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}{% if add_generation_prompt %} ->{% endif %}";

    private static readonly string Stories = Path.Combine(SmallAdapter.Root, "tests", "fixtures", "stories260K");

    private string folder = "";

    [SetUp]
    public void Make()
    {
        folder = Directory.CreateTempSubdirectory("peftalign-trained-").FullName;
        File.WriteAllText(At("rows.jsonl"), """{"prompt": "Once upon", "completion": " a time"}""" + "\n");
        SmallAdapter.Write(At("adapter"));
        TrainedWith.Write(At("adapter"), TokenizerLoader.Load(Stories), 512, template: null);
    }

    [TearDown]
    public void Drop() => Directory.Delete(folder, recursive: true);

    private string At(string name) => Path.Combine(folder, name);

    // The base with another tokenizer.json.
    private string Base(string name, Func<JsonObject, string> change)
    {
        var target = Directory.CreateDirectory(At(name)).FullName;
        foreach (var file in (string[])["config.json", "model.safetensors", "tokenizer_config.json"]) File.Copy(Path.Combine(Stories, file), Path.Combine(target, file));
        File.WriteAllText(Path.Combine(target, "tokenizer.json"), change(JsonNode.Parse(File.ReadAllText(Path.Combine(Stories, "tokenizer.json")))!.AsObject()));
        return target;
    }

    // Two words of the vocabulary change places.
    private string Other() => Base("other", json =>
    {
        var vocabulary = json["model"]!["vocab"]!.AsObject();
        var (a, b) = (vocabulary.First(t => (int)t.Value! == 300).Key, vocabulary.First(t => (int)t.Value! == 301).Key);
        (vocabulary[a], vocabulary[b]) = (301, 300);
        return json.ToJsonString();
    });

    private static string Plugins => Path.Combine(Path.GetDirectoryName(Product.Host)!, "plugins");

    private static (int Code, string Out, string Err) Run(params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync([.. args, "--threads", "1", "--plugins", Plugins]).GetAwaiter().GetResult();
        return (code, results.ToString(), remarks.ToString());
    }

    private static (int Code, string Out, string Err) Score(string model, string adapter, string rows) => Run("score", "--model", model, "--adapter", adapter, "--in", rows);

    [Test]
    public void Another_vocabulary_is_refused_by_every_command()
    {
        var other = Other();
        File.WriteAllText(At("merge.yaml"), $"merge_method: linear\nmodels:\n  - model: {other}+{At("adapter")}\n    parameters: {{ weight: 1.0 }}\ndtype: float32\n");
        File.WriteAllText(At("task.yaml"), $"task: t\ndataset_path: json\ndataset_kwargs: {{ data_files: {{ test: {At("rows.jsonl")} }} }}\ntest_split: test\noutput_type: loglikelihood\ndoc_to_text: '{{{{prompt}}}}'\ndoc_to_target: '{{{{completion}}}}'\n");
        foreach (var call in (string[][])[
            ["score", "--model", other, "--adapter", At("adapter"), "--in", At("rows.jsonl")],
            ["generate", "--model", other, "--adapter", At("adapter"), "--prompt", "Once"],
            ["eval", "--model", other, "--adapter", At("adapter"), "--task", At("task.yaml"), "--out", At("out")],
            ["adapter", "merge", "--model", other, "--adapter", At("adapter"), "--out", At("out")],
            ["merge", At("merge.yaml"), "--out", At("out")],
        ])
        {
            var (code, text, err) = Run(call);
            Assert.That((code, text), Is.EqualTo((2, "")), err);
            Assert.That(err, Does.Contain($"{At("adapter")} was trained with another tokenizer than that of {other}: the first 512 of the latter's 512 ids").And.Contain("trained over (the/base)"), call[0]);
            Assert.That(Directory.Exists(At("out")) && Directory.GetFiles(At("out"), "*.safetensors").Length > 0, Is.False, call[0]);
        }
        File.Delete(Path.Combine(At("adapter"), "trained_with.json"));
        Assert.That(Score(other, At("adapter"), At("rows.jsonl")).Code, Is.Zero, "PEFT's folders say nothing");
    }

    // What a training over a quantised base noted is told over a full one, and the numbers are the same.
    [Test]
    public void An_adapter_of_a_quantised_base_says_so_over_a_full_one()
    {
        var plain = Score(Stories, At("adapter"), At("rows.jsonl"));
        TrainedWith.Write(At("adapter"), TokenizerLoader.Load(Stories), 512, template: null, overQuantized: true);
        var told = Score(Stories, At("adapter"), At("rows.jsonl"));
        Assert.That((told.Code, told.Out), Is.EqualTo((0, plain.Out)));
        Assert.That(told.Err, Does.Contain($"{At("adapter")} was trained over a quantised base, whose errors it corrects too, and {Stories} is in full precision"));
        var merged = Run("adapter", "merge", "--model", Stories, "--adapter", At("adapter"), "--out", At("out"));
        Assert.That((merged.Code, merged.Err), Is.EqualTo((0, told.Err)));
        var decoded = Run("adapter", "merge", "--model", Stories, "--adapter", At("adapter"), "--out", At("decoded"), "--quantization", "nf4");
        Assert.That(decoded.Code, Is.Zero, decoded.Err);
        Assert.That(decoded.Err, Does.Not.Contain("in full precision"));
    }

    [Test]
    public void The_same_tokens_pass_however_they_are_written_and_whatever_stands_behind_them()
    {
        var own = Score(Stories, At("adapter"), At("rows.jsonl"));
        Assert.That((own.Code, own.Err), Is.EqualTo((0, "")));
        var spelled = Base("spelled", json => json.ToJsonString(new() { WriteIndented = true }));
        Assert.That(Score(spelled, At("adapter"), At("rows.jsonl")), Is.EqualTo(own));
        var config = At("smaller");
        SmallAdapter.Write(config); // trained when the base had fewer tokens
        var less = Base("less", json => json.ToJsonString());
        TrainedWith.Write(config, TokenizerLoader.Load(less), 512, null);
        var more = Base("more", json =>
        {
            json["added_tokens"]!.AsArray().Add(JsonNode.Parse("""{"id": 512, "content": "<pad>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}"""));
            return json.ToJsonString();
        });
        Assert.That(Score(more, config, At("rows.jsonl")), Is.EqualTo(own));
    }

    [Test]
    public void Texts_that_are_split_in_another_way_are_a_warning()
    {
        var bare = Base("bare", json =>
        {
            json["post_processor"] = null; // no begin token
            return json.ToJsonString();
        });
        var (code, _, err) = Score(bare, At("adapter"), At("rows.jsonl"));
        Assert.That(code, Is.Zero, err);
        Assert.That(err, Does.StartWith($"warning: {At("adapter")} was trained with a tokenizer of the same tokens").And.Contain("splits some texts in another way"));
    }

    [Test]
    public void Of_another_tools_folder_the_tokenizers_files_count()
    {
        var theirs = At("theirs");
        SmallAdapter.Write(theirs);
        File.Copy(Path.Combine(Other(), "tokenizer.json"), Path.Combine(theirs, "tokenizer.json"));
        var (code, _, err) = Score(Stories, theirs, At("rows.jsonl"));
        Assert.That(code, Is.EqualTo(2));
        Assert.That(err, Does.Contain("was trained with another tokenizer").And.Contain("remove its tokenizer files"));
        Assert.That(Score(At("other"), theirs, At("rows.jsonl")).Code, Is.Zero);
    }

    // Named in the base's configuration, and [PAD] of TRL's file: both are 512, behind the model's last row.
    [Test]
    public void Tokens_without_a_row_play_no_part()
    {
        var padded = Base("padded", json => json.ToJsonString());
        var config = Path.Combine(padded, "tokenizer_config.json");
        File.WriteAllText(config, File.ReadAllText(config).Replace("\"pad_token\": null", "\"pad_token\": \"<pad>\"", StringComparison.Ordinal));
        var named = TokenizerLoader.Load(padded);
        Assert.That(named.VocabularySize, Is.EqualTo(513));
        TrainedWith.Write(At("adapter"), named, 512, template: null);
        var own = Score(Stories, At("adapter"), At("rows.jsonl"));
        Assert.That((own.Code, own.Err), Is.EqualTo((0, "")), "the same weights, and no token is named");
        var theirs = At("theirs");
        SmallAdapter.Write(theirs);
        var json = JsonNode.Parse(File.ReadAllText(Path.Combine(Stories, "tokenizer.json")))!;
        json["added_tokens"]!.AsArray().Add(JsonNode.Parse("""{"id": 512, "content": "[PAD]", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}"""));
        File.WriteAllText(Path.Combine(theirs, "tokenizer.json"), json.ToJsonString());
        var trl = Score(padded, theirs, At("rows.jsonl"));
        Assert.That((trl.Code, trl.Out), Is.EqualTo((0, own.Out)), trl.Err);
    }

    // Trained over a base that was resized for a token more: 513, of which the record can tell the first 256 and 512.
    [Test]
    public void Over_fewer_rows_the_record_counts_as_far_as_they_reach()
    {
        var more = Base("more", json =>
        {
            json["added_tokens"]!.AsArray().Add(JsonNode.Parse("""{"id": 512, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}"""));
            return json.ToJsonString();
        });
        var own = Score(Stories, At("adapter"), At("rows.jsonl"));
        TrainedWith.Write(At("adapter"), TokenizerLoader.Load(more), 520, template: null);
        Assert.That(Score(Stories, At("adapter"), At("rows.jsonl")), Is.EqualTo(own));
        Assert.That(Score(Other(), At("adapter"), At("rows.jsonl")).Code, Is.EqualTo(2));
        var file = Path.Combine(At("adapter"), "trained_with.json");
        var record = JsonNode.Parse(File.ReadAllText(file))!;
        record["tokenizer"]!.AsObject().Remove("beginnings_sha256");
        File.WriteAllText(file, record.ToJsonString());
        Assert.That(Score(Stories, At("adapter"), At("rows.jsonl")).Code, Is.EqualTo(2), "an earlier version's record tells all or nothing");
    }

    [TestCase("""{"tokenizer": {"tokens": 512, "vocabulary_sha256": "", "beginnings_sha256": 7, "probe_sha256": ""}}""", "does not say what the adapter was trained with")]
    [TestCase("{", "does not say what the adapter was trained with")]
    [TestCase("[]", "does not say what the adapter was trained with")]
    [TestCase("""{"tokenizer": {"tokens": "many"}}""", "does not say what the adapter was trained with")]
    [TestCase("""{"tokenizer": {"tokens": 1e99, "vocabulary_sha256": "", "probe_sha256": ""}}""", "does not say what the adapter was trained with")]
    [TestCase("""{"tokenizer": {"tokens": -1, "vocabulary_sha256": "", "probe_sha256": ""}}""", "another tokenizer")]
    public void A_broken_record_is_refused(string text, string said)
    {
        File.WriteAllText(Path.Combine(At("adapter"), "trained_with.json"), text);
        var (code, _, err) = Score(Stories, At("adapter"), At("rows.jsonl"));
        Assert.That(code, Is.EqualTo(2), err);
        Assert.That(err, Does.Contain(said));
    }

    [Test]
    public void Conversations_get_the_adapters_template()
    {
        TrainedWith.Write(At("adapter"), TokenizerLoader.Load(Stories), 512, Chat);
        var chats = Base("chats", json => json.ToJsonString());
        File.WriteAllText(Path.Combine(chats, "chat_template.jinja"), "{% for m in messages %}{{ m.content }}{% endfor %}");
        (int Code, string Out, string Err) Ask(string model, params string[] more) => Run(["generate", "--model", model, "--adapter", At("adapter"), "--chat", "--prompt", "Lily", "--max-new-tokens", "4", .. more]);
        File.WriteAllText(At("same.jinja"), Chat);
        var own = Ask(chats);
        Assert.That(own.Code, Is.Zero, own.Err);
        Assert.That(own.Err, Does.Contain($"conversations are rendered with the chat template in {At("adapter")}, which it was trained with, not with that of {chats}"));
        Assert.That(Ask(chats, "--chat-template", At("same.jinja")), Is.EqualTo((0, own.Out, "")));
        Assert.That(Ask(Stories), Is.EqualTo((0, own.Out, "")), "a base without one");
        var vicuna = Ask(chats, "--chat-template", "vicuna");
        Assert.That(vicuna.Out, Is.Not.EqualTo(own.Out));
        Assert.That(vicuna.Err, Does.StartWith($"warning: --chat-template vicuna is another than {At("adapter")} was trained with"));
        var plain = Run("generate", "--model", chats, "--adapter", At("adapter"), "--prompt", "Lily", "--max-new-tokens", "4");
        Assert.That((plain.Code, plain.Err), Is.EqualTo((0, "")), "no conversation, no remark");
    }

    [Test]
    public void What_is_made_of_adapters_keeps_what_they_have_in_common()
    {
        TrainedWith.Write(At("adapter"), TokenizerLoader.Load(Stories), 512, Chat);
        var same = At("same");
        SmallAdapter.Write(same);
        TrainedWith.Write(same, TokenizerLoader.Load(Stories), 512, Chat);
        string[] Combine(string second, string target) => ["adapter", "combine", "--adapter", At("adapter"), "--adapter", second, "--type", "cat", "--out", At(target)];
        Assert.That(Run(Combine(same, "both")).Code, Is.Zero);
        foreach (var name in (string[])["trained_with.json", "chat_template.jinja"])
            Assert.That(File.ReadAllText(Path.Combine(At("both"), name)), Is.EqualTo(File.ReadAllText(Path.Combine(same, name))));
        TrainedWith.Write(same, TokenizerLoader.Load(Other()), 512, "{{ messages }}");
        var (code, _, err) = Run(Combine(same, "none"));
        Assert.That((code, Directory.Exists(At("none"))), Is.EqualTo((2, false)));
        Assert.That(err, Does.Contain("trained with different tokenizers"));
        Assert.That(Run("adapter", "merge", "--model", Stories, "--adapter", At("adapter"), "--out", At("merged")).Code, Is.Zero);
        Assert.That(File.ReadAllText(Path.Combine(At("merged"), "chat_template.jinja")), Is.EqualTo(Chat));
    }

    // Earlier versions wrote no beginnings; of the same tokenizer such a record is as good as another.
    [TestCase(false)]
    [TestCase(true)]
    public void Records_with_and_without_beginnings_are_of_one_tokenizer(bool olderFirst)
    {
        TrainedWith.Write(At("adapter"), TokenizerLoader.Load(Stories), 512, template: null);
        var (newer, older) = (At("adapter"), At("older"));
        SmallAdapter.Write(older);
        var record = JsonNode.Parse(File.ReadAllText(Path.Combine(newer, "trained_with.json")))!;
        Assert.That(record["tokenizer"]!.AsObject().Remove("beginnings_sha256"), Is.True);
        void Put() => File.WriteAllText(Path.Combine(older, "trained_with.json"), record.ToJsonString());
        (int, string, string) Combine(string target) => Run("adapter", "combine", "--adapter", olderFirst ? older : newer, "--adapter", olderFirst ? newer : older, "--type", "cat", "--out", At(target));
        Put();
        var (code, _, err) = Combine("both");
        Assert.That(code, Is.Zero, err);
        Assert.That(File.ReadAllText(Path.Combine(At("both"), "trained_with.json")), Is.EqualTo(File.ReadAllText(Path.Combine(newer, "trained_with.json"))));
        record["tokenizer"]!["probe_sha256"] = new string('0', 64);
        Put();
        (code, _, err) = Combine("other");
        Assert.That((code, File.Exists(Path.Combine(At("other"), "trained_with.json"))), Is.EqualTo((0, false)), err);
    }
}
