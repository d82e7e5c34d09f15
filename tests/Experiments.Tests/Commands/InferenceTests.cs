// score, generate and chat as users call them, on a real small model, against the reference's numbers.

using System.Diagnostics;
using System.Text.Json.Nodes;

namespace PeftAlign.Experiments.Tests;

public sealed class InferenceTests
{
    private static string Stories => Peftalign.Stories;

    [Test]
    public void Score_gives_the_reference_log_probs_of_continuations_and_of_whole_texts()
    {
        using var user = new Peftalign();
        var golden = Golden("loglikelihood.json");
        var pairs = golden["conditional"]!.AsArray();
        var rows = Rows(user, "score", pairs.Select(p => new JsonObject { ["prompt"] = (string)p!["context"]!, ["completion"] = (string)p["continuation"]! }));
        Assert.That(rows, Has.Count.EqualTo(pairs.Count));
        foreach (var (row, pair) in rows.Zip(pairs))
        {
            Assert.That((double)row["logprob"]!, Is.EqualTo((double)pair!["sum"]!).Within(1e-4));
            Assert.That((int)row["tokens"]!, Is.EqualTo(pair["continuation_ids"]!.AsArray().Count));
            Assert.That((bool)row["is_greedy"]!, Is.EqualTo((bool)pair["is_greedy"]!));
        }
        var texts = golden["rows"]!.AsArray();
        rows = Rows(user, "score", texts.Select(t => new JsonObject { ["text"] = (string)t!["text"]! }), "--rolling", "--per-token", "--top", "1");
        foreach (var (row, text) in rows.Zip(texts))
        {
            Assert.That(Numbers(row["logprobs"]!), Is.EqualTo(Numbers(text!["token_logprobs"]!)).Within(5e-5));
            var best = row["top"]!.AsArray().Select(t => (int)t![0]!["id"]!).ToList();
            Assert.That(best.Zip(Ints(row["ids"]!), (a, b) => a == b ? 1 : 0), Is.EqualTo(Ints(text["argmax_matches"]!)));
        }
    }

    // A tokenizer that writes no begin token has no ids for an empty prompt; a begin token then stands before all of the completion.
    [Test]
    public void A_completion_without_a_prompt_is_scored_whole()
    {
        using var user = new Peftalign();
        var plain = Directory.CreateDirectory(user.File("plain")).FullName;
        foreach (var file in (string[])["config.json", "model.safetensors"]) File.Copy(Path.Combine(Stories, file), Path.Combine(plain, file));
        var tokenizer = JsonNode.Parse(File.ReadAllText(Path.Combine(Stories, "tokenizer.json")))!;
        tokenizer["post_processor"] = null;
        File.WriteAllText(Path.Combine(plain, "tokenizer.json"), tokenizer.ToJsonString());
        File.WriteAllText(Path.Combine(plain, "tokenizer_config.json"), """{"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}""");
        var text = new JsonObject { ["prompt"] = "", ["completion"] = "Once upon a time" };
        var wanted = Rows(user, "score", [text], "--per-token")[0]; // under a tokenizer that writes it
        Assert.That((int)wanted["tokens"]!, Is.GreaterThan(2));
        var outcome = Peftalign.Call("score", "--model", plain, "--in", user.Write("rows.jsonl", text.ToJsonString() + "\n{\"prompt\": \"\", \"completion\": \"\"}\n"), "--threads", "1", "--per-token");
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        Assert.That(outcome.Out.Split('\n')[..2].Select(line => JsonNode.Parse(line)!.ToJsonString()), Is.EqualTo(new[] { wanted.ToJsonString(), """{"logprob":0,"tokens":0,"is_greedy":true,"ids":[],"logprobs":[],"greedy":[]}""" }));
    }

    [Test]
    public void Generate_gives_the_reference_ids_greedy_with_beams_and_with_stop_strings()
    {
        using var user = new Peftalign();
        var golden = Golden("greedy.json")["rows"]!.AsArray().Where(r => (bool)r!["same_in_float64"]!).ToList();
        var rows = Rows(user, "generate", golden.Select(r => new JsonObject { ["prompt"] = (string)r!["prompt"]! }), "--ignore-eos", "--max-new-tokens", "200");
        Assert.That(rows.Select(r => Ints(r["ids"]!)), Is.EqualTo(golden.Select(r => Ints(r!["ids"]!))));
        Assert.That(rows.Select(r => (string)r["finish"]!), Is.All.EqualTo("length"));

        var beams = Golden("beam.json")["rows"]!.AsArray().Where(r => (string?)r!["settings"]!["early_stopping"]?.ToString() == "true").ToList();
        rows = Rows(user, "generate", beams.Select(r => new JsonObject { ["prompt_ids"] = r!["prompt_ids"]!.DeepClone() }),
            "--num-beams", "4", "--n", "4", "--early-stopping", "true", "--eos", "426", "--max-new-tokens", "40");
        Assert.That(rows.Select(r => Ints(r["ids"]!)), Is.EqualTo(beams.SelectMany(r => r!["sequences"]!.AsArray()).Select(s => Ints(s!))));
        Assert.That(rows.Select(r => (double)r["score"]!), Is.EqualTo(beams.SelectMany(r => Numbers(r!["scores"]!))).Within(2e-5));

        var stop = Golden("stop_strings.json")["rows"]!.AsArray().First(r => Texts(r!["stop_strings"]!).SequenceEqual([" to play", "park"]))!;
        var stopped = Rows(user, "generate", [new JsonObject { ["prompt"] = (string)stop["prompt"]! }], "--ignore-eos", "--max-new-tokens", "80", "--stop", " to play", "--stop", "park")[0];
        Assert.That(Ints(stopped["ids"]!), Is.EqualTo(Ints(stop["ids"]!)));
        Assert.That(((string)stopped["text"]!, (string)stopped["finish"]!), Is.EqualTo(((string)stop["text_of_new"]!, "stop")));
    }

    [Test]
    public void A_sample_depends_on_seed_and_row_and_not_on_the_batch()
    {
        using var user = new Peftalign();
        var prompts = Golden("greedy.json")["rows"]!.AsArray().Take(3).Select(r => new JsonObject { ["prompt"] = (string)r!["prompt"]! }).ToList();
        string[] options = ["--temperature", "1.5", "--top-k", "100", "--max-new-tokens", "10", "--n", "2", "--ignore-eos"];
        var together = Rows(user, "generate", prompts, [.. options, "--seed", "5"]);
        Assert.That(together.Select(r => ((int)r["row"]!, (int)r["sample"]!)), Is.EqualTo(new[] { (0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1) }));
        Assert.That(Rows(user, "generate", prompts, [.. options, "--seed", "5", "--batch-size", "1"]).Select(r => r.ToJsonString()), Is.EqualTo(together.Select(r => r.ToJsonString())));
        Assert.That(Rows(user, "generate", prompts, [.. options, "--seed", "6"]).Select(r => r.ToJsonString()), Is.Not.EqualTo(together.Select(r => r.ToJsonString())));
    }

    [Test]
    public void Chat_through_a_pipe_says_what_generate_says_on_the_conversation()
    {
        using var user = new Peftalign();
        string[] options = ["--model", Stories, "--chat-template", "vicuna", "--max-new-tokens", "12", "--threads", "1"];
        var answers = Piped("Hello there\n\nHow are you?\n/reset\nHello there\n/exit\nnever read\n", ["chat", .. options, "--json"]).Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonNode.Parse(l)!).ToList();
        Assert.That(answers, Has.Count.EqualTo(3));
        Assert.That(answers[2].ToJsonString(), Is.EqualTo(answers[0].ToJsonString()));
        var first = ((string)answers[0]["text"]!).Trim();
        JsonObject Message(string role, string text) => new() { ["role"] = role, ["content"] = text };
        var messages = new JsonArray(Message("user", "Hello there"), Message("assistant", first), Message("user", "How are you?"));
        var asked = Rows(user, "generate", [new JsonObject { ["messages"] = messages }], "--chat-template", "vicuna", "--max-new-tokens", "12")[0];
        Assert.That(Ints(asked["ids"]!), Is.EqualTo(Ints(answers[1]["ids"]!)));
        Assert.That(Piped("Hello there\n", ["chat", .. options]).Out, Is.EqualTo((string)answers[0]["text"]! + "\n"));
    }

    [Test]
    public void An_adapter_counts_in_score_and_generate()
    {
        using var user = new Peftalign();
        var fixtures = Path.Combine(Peftalign.Repository, "tests", "fixtures", "trajectories");
        var file = user.Write("rows.jsonl", "{\"prompt_ids\": [1, 5, 9], \"completion_ids\": [7, 3]}");
        JsonNode Asked(string command, params string[] adapter)
        {
            var outcome = Peftalign.Call([command, "--model", Path.Combine(fixtures, "base-model"), "--in", file, "--threads", "1", .. adapter]);
            Assert.That(outcome.Code, Is.Zero, outcome.All);
            return JsonNode.Parse(outcome.Out)!;
        }
        string[] Adapter(string name) => ["--adapter", Path.Combine(fixtures, "sft-lora", name)];
        var plain = (double)Asked("score")["logprob"]!;
        Assert.That((double)Asked("score", Adapter("adapter_init"))["logprob"]!, Is.EqualTo(plain).Within(1e-6), "B is 0");
        Assert.That((double)Asked("score", Adapter("adapter_final"))["logprob"]!, Is.Not.EqualTo(plain).Within(0.01));
        var made = Ints(Asked("generate", ["--max-new-tokens", "4", "--ignore-eos", .. Adapter("adapter_final")])["ids"]!);
        // The first new token is the most likely one under score, which computes without the cache.
        file = user.Write("best.jsonl", new JsonObject { ["prompt_ids"] = new JsonArray(1, 5, 9), ["completion_ids"] = new JsonArray([.. made.Select(id => (JsonNode)id)]) }.ToJsonString());
        Assert.That((bool)Asked("score", Adapter("adapter_final"))["is_greedy"]!, Is.True);
    }

    // bfloat16 keeps 8 bits: a log-prob of about -1 a token is off by some hundredths.
    [Test]
    public void Dtype_changes_the_arithmetic_by_its_roundings_and_no_more()
    {
        using var user = new Peftalign();
        var pairs = Golden("loglikelihood.json")["conditional"]!.AsArray();
        var asked = pairs.Select(p => new JsonObject { ["prompt"] = (string)p!["context"]!, ["completion"] = (string)p["continuation"]! }).ToList();
        var (wide, narrow) = (Rows(user, "score", asked, "--dtype", "float32"), Rows(user, "score", asked, "--dtype", "bfloat16"));
        var apart = wide.Zip(narrow, (w, n) => Math.Abs((double)w["logprob"]! - (double)n["logprob"]!) / Math.Max(1, (int)w["tokens"]!)).ToList();
        Assert.That(apart, Is.All.LessThan(0.1));
        Assert.That(apart.Max(), Is.GreaterThan(1e-4), "it is another arithmetic");
        var prompt = new JsonObject { ["prompt"] = "Once upon a time" };
        Assert.That((string)Rows(user, "generate", [prompt], "--max-new-tokens", "20", "--dtype", "bfloat16")[0]["text"]!, Is.EqualTo((string)Rows(user, "generate", [prompt], "--max-new-tokens", "20")[0]["text"]!));
        Assert.That(Piped("Hello\n", ["chat", "--model", Stories, "--chat-template", "vicuna", "--max-new-tokens", "4", "--threads", "1", "--dtype", "bfloat16"]).Out, Is.Not.Empty);
    }

    [Test]
    public void Streamed_text_is_the_rows_text()
    {
        using var user = new Peftalign();
        var row = Rows(user, "generate", [new JsonObject { ["prompt"] = "Once upon a time" }], "--max-new-tokens", "20")[0];
        var outcome = Peftalign.Call("generate", "--model", Stories, "--prompt", "Once upon a time", "--max-new-tokens", "20", "--stream", "--threads", "1");
        Assert.That(outcome.Out, Is.EqualTo((string)row["text"]! + "\n"), outcome.All);
    }

    [TestCase("score", """{"prompt_ids": [1], "completion_ids": [512]}""", "512")]
    [TestCase("score", """{"text": "a"}""", "--rolling")]
    [TestCase("generate", """{"prompt_ids": [9999]}""", "9999")]
    [TestCase("generate", """{"messages": [{"role": "user", "content": "a"}]}""", "--chat-template")]
    public void A_row_at_fault_is_named_with_its_file_and_line(string command, string row, string named)
    {
        using var user = new Peftalign();
        var good = command == "score" ? """{"prompt": "a", "completion": "b"}""" : """{"prompt": "a"}""";
        var file = user.Write("rows.jsonl", good + "\n" + row + "\n");
        var outcome = Peftalign.Call(command, "--model", Stories, "--in", file, "--threads", "1");
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Contain(named));
        if (!row.Contains("messages")) Assert.That(outcome.Err, Does.Contain("rows.jsonl, line 2"));
    }

    private const string Turns = "{% for m in messages if m.content %}[{{ m.role }}]\n{{ m.content }}\n{% endfor %}", Start = "{% if add_generation_prompt %}[assistant]\n";
    private const string Plain = Turns + Start + "{% endif %}", Thinking = Turns + Start + "<think>\n{% endif %}";

    // The ids that stand before the last message, and with it, are those of texts written by hand.
    [TestCase(Plain, "Tom had a dog.|He ran away.", "[user]\nTom had a dog.\n[assistant]\n", "He ran away.\n")]
    [TestCase(Thinking, "Tom had a dog.|He ran away.", "[user]\nTom had a dog.\n[assistant]\n", "He ran away.\n")]
    [TestCase(Plain, "Tom had a dog.|He ran away.|Where is the dog?", "[user]\nTom had a dog.\n[assistant]\nHe ran away.\n", "[user]\nWhere is the dog?\n")]
    [TestCase(Thinking, "Tom had a dog.|He ran away.|Where", "[user]\nTom had a dog.\n[assistant]\nHe ran away.\n", "[user]\nWhere\n")]
    [TestCase(Plain, "Tom had a dog.", null, "[user]\nTom had a dog.\n")]
    public void Score_takes_the_last_message_from_where_it_departs_from_what_stands_before(string template, string contents, string? before, string last)
    {
        using var user = new Peftalign();
        var file = user.Write("t.jinja", template);
        JsonArray messages = [.. contents.Split('|').Select((text, k) => new JsonObject { ["role"] = k % 2 == 0 ? "user" : "assistant", ["content"] = text })];
        int[] Ids(string text) => Ints(JsonNode.Parse(Peftalign.Call("tokenize", "--model", Stories, "--text", text, "--no-special", "--json").Out)!["ids"]!);
        var whole = Ids(before + last);
        var cut = before is null ? 1 : Ids(before).Length;
        if (before is not null) Assert.That(whole[..cut], Is.EqualTo(Ids(before)), "the texts join between two tokens");
        var expected = Rows(user, "score", [new JsonObject { ["prompt_ids"] = List(whole[..cut]), ["completion_ids"] = List(whole[cut..]) }])[0];
        var row = Rows(user, "score", [new JsonObject { ["messages"] = messages }], "--chat-template", file)[0];
        Assert.That((int)row["tokens"]!, Is.EqualTo(whole.Length - cut));
        Assert.That((double)row["logprob"]!, Is.EqualTo((double)expected["logprob"]!).Within(1e-5));

        static JsonArray List(int[] ids) => [.. ids.Select(id => (JsonNode)id)];
    }

    // Conversational rows of a data set: {prompt: messages, completion: messages} is the conversation of both.
    [Test]
    public void A_prompt_of_messages_is_the_conversation_that_it_is()
    {
        using var user = new Peftalign();
        string[] template = ["--chat-template", user.Write("t.jinja", Plain)];
        static JsonObject Message(string role, string text) => new() { ["role"] = role, ["content"] = text };
        static JsonArray Asked() => [Message("user", "Tom had a dog.")];
        static JsonArray Begun() => [.. Asked().Select(m => m!.DeepClone()), Message("assistant", "He ran")];
        JsonNode Of(string command, JsonObject row, params string[] options) => Rows(user, command, [row], [.. template, .. options])[0];

        var whole = Of("score", new JsonObject { ["messages"] = Begun() });
        Assert.That(Of("score", new JsonObject { ["prompt"] = Asked(), ["completion"] = new JsonArray(Message("assistant", "He ran")) }).ToJsonString(), Is.EqualTo(whole.ToJsonString()));

        string[] brief = ["--max-new-tokens", "8"];
        var said = Of("generate", new JsonObject { ["messages"] = Asked() }, brief);
        Assert.That(Of("generate", new JsonObject { ["prompt"] = Asked(), ["chosen"] = new JsonArray(Message("assistant", "yes")), ["rejected"] = new JsonArray(Message("assistant", "no")) }, brief).ToJsonString(), Is.EqualTo(said.ToJsonString()));
        var on = Of("generate", new JsonObject { ["messages"] = Begun(), ["continue_final_message"] = true, ["add_generation_prompt"] = false }, brief);
        Assert.That(Of("generate", new JsonObject { ["prompt"] = Begun() }, brief).ToJsonString(), Is.EqualTo(on.ToJsonString()));
        Assert.That(on.ToJsonString(), Is.Not.EqualTo(said.ToJsonString()));
    }

    [TestCase("""{"prompt": [{"role": "user", "content": "a"}], "completion": "b"}""")]
    [TestCase("""{"prompt": [{"role": "user", "content": "a"}]}""")]
    [TestCase("""{"prompt": [{"role": "user", "content": "a"}], "completion": []}""")]
    public void A_prompt_of_messages_without_one_message_behind_it_is_not_scored(string row)
    {
        using var user = new Peftalign();
        var outcome = Peftalign.Call("score", "--model", Stories, "--in", user.Write("rows.jsonl", row + "\n"), "--threads", "1", "--chat-template", user.Write("t.jinja", Plain));
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Contain("rows.jsonl, line 1").And.Contain("no \"completion\" of one message"));
    }

    [Test]
    public void A_last_message_that_the_template_leaves_out_is_refused_with_its_line()
    {
        using var user = new Peftalign();
        var file = user.Write("rows.jsonl", """{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}]}""" + "\n");
        var outcome = Peftalign.Call("score", "--model", Stories, "--in", file, "--threads", "1", "--chat-template", user.Write("t.jinja", Plain));
        Assert.That(outcome.Code, Is.EqualTo(2), outcome.All);
        Assert.That(outcome.Err, Does.Contain("rows.jsonl, line 1").And.Contain("no token of the last message"));
    }

    private static JsonNode Golden(string name) => Peftalign.Json(Path.Combine(Stories, name));

    private static List<JsonNode> Rows(Peftalign user, string command, IEnumerable<JsonObject> rows, params string[] args)
    {
        var file = user.Write("rows.jsonl", string.Join('\n', rows.Select(r => r.ToJsonString())));
        var outcome = Peftalign.Call([command, "--model", Stories, "--in", file, "--threads", "1", .. args]);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        return [.. outcome.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonNode.Parse(l)!)];
    }

    private static Outcome Piped(string input, string[] args)
    {
        using var process = Process.Start(new ProcessStartInfo(Path.Combine(Peftalign.Repository, "peftalign"), args) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
        var (text, err) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        process.WaitForExit();
        var outcome = new Outcome(process.ExitCode, text.Result, err.Result);
        Assert.That(outcome.Code, Is.Zero, outcome.All);
        return outcome;
    }

    private static int[] Ints(JsonNode list) => [.. list.AsArray().Select(i => (int)i!)];

    private static double[] Numbers(JsonNode list) => [.. list.AsArray().Select(i => (double)i!)];

    private static string[] Texts(JsonNode list) => [.. list.AsArray().Select(i => (string)i!)];
}
