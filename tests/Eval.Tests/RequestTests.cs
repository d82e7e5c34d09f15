// Requests against lm-evaluation-harness: token ids exactly, log-likelihoods within the tolerance of golden/lmeval/README.md.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;
using PeftAlign.Models.Templates;

namespace PeftAlign.Eval.Tests;

public sealed class RequestTests
{
    private const double Tolerance = 1e-4;

    [TestCase("stories260K")]
    [TestCase("bytebpe")]
    public void Pairs_have_the_harness_ids_and_log_likelihoods(string name)
    {
        var golden = Places.Json(Places.Shared($"golden/lmeval/{name}/requests.json"));
        var model = name == "bytebpe" ? Models.Of(Places.Shared("golden/lmeval/model-bytebpe")) : Models.Stories;
        Assert.That(model.MaxLength, Is.EqualTo((int)golden["max_length"]!));
        foreach (var row in golden["requests"]!.AsArray().Select(r => r!))
        {
            bool? special = (string)row["variant"]! == "default" ? null : false;
            var encoder = new RequestEncoder(model.Tokenizer, null, model.MaxLength, model.TakesLeadingBlank, special);
            var ask = new EvalRequest.LogLikelihood((string)row["context"]!, (string)row["continuation"]!);
            var what = row.ToJsonString();
            if (row["error"] is not null)
            {
                Assert.That(() => encoder.Pair(ask), Throws.InstanceOf<UserErrorException>(), what);
                continue;
            }
            var pair = encoder.Pair(ask);
            Assert.That(pair.Continuation, Is.EqualTo(Ids(row["continuation_ids"]!)), what);
            Assert.That(pair.Cut, Is.EqualTo((int)row["tokens_cut_from_left"]!), what);
            Assert.That(pair.Context, Is.EqualTo(Ids(row["context_ids"]!)[pair.Cut..]), what);
            Assert.That(pair.Context.Length + pair.Continuation.Length - 1, Is.EqualTo((int)row["tokens_fed"]!), what);
            using var runner = new RequestRunner(() => model, null, new BenchmarkInfo("requests", 1) { AsHarness = true, AddSpecialTokens = special }, CancellationToken.None);
            var answer = runner.Answer([runner.Encode(new Asked(new EvalItem("1", []), 0, [ask]))])[0][0];
            Assert.That(answer.LogProb, Is.EqualTo((double)row["loglikelihood"]!).Within(Tolerance), what);
            Assert.That(answer.IsGreedy, Is.EqualTo((bool)row["is_greedy"]!), what);
        }
    }

    // The harness feeds the model all but the last token, which only asks: 17 tokens are 16 to it, as long as the model was trained.
    [TestCase(17, true, true)]
    [TestCase(17, false, false)]
    [TestCase(18, true, false)]
    [TestCase(16, false, true)]
    public void Frequencies_that_depend_on_the_length_count_what_the_model_is_fed(int tokens, bool asHarness, bool isShort)
    {
        double LogProb(double factor)
        {
            var folder = Directory.CreateTempSubdirectory("peftalign-long-").FullName;
            try
            {
                foreach (var file in Directory.GetFiles(Places.Fixture("stories260K"))) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)));
                var config = Places.Json(Path.Combine(folder, "config.json")).AsObject();
                JsonArray All(double value) => [value, value, value, value];
                config["rope_scaling"] = new JsonObject { ["rope_type"] = "longrope", ["factor"] = 4, ["original_max_position_embeddings"] = 16, ["short_factor"] = All(1), ["long_factor"] = All(factor) };
                File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJsonString());
                var model = EvalModel.Of(folder, PeftAlign.Models.ModelFolder.Load(folder), PeftAlign.Models.Decoders.ForwardMode.Plain, null, null);
                using var runner = new RequestRunner(() => model, null, new BenchmarkInfo("requests", 1) { AsHarness = asHarness }, CancellationToken.None);
                var ask = new EvalRequest.LogLikelihood("", "") { ContextIds = [.. Enumerable.Range(40, tokens - 2)], ContinuationIds = [300, 301] };
                return runner.Answer([runner.Encode(new Asked(new EvalItem("1", []), 0, [ask]))])[0][0].LogProb;
            }
            finally
            {
                Directory.Delete(folder, recursive: true);
            }
        }
        Assert.That(Math.Abs(LogProb(3) - LogProb(1)), isShort ? Is.Zero : Is.GreaterThan(1e-3));
    }

    // As the starter of CS224N asks: the newline is the prompt's last token, and only the word is scored. A tokenizer that joins the
    // prompt's last blank with the word has the joined token as the answer.
    [TestCase("stories260K")]
    [TestCase("bytebpe")]
    public void A_context_that_keeps_its_end_is_parted_where_its_tokens_end(string name)
    {
        var model = name == "bytebpe" ? Models.Of(Places.Shared("golden/lmeval/model-bytebpe")) : Models.Stories;
        var encoder = new RequestEncoder(model.Tokenizer, null, model.MaxLength, model.TakesLeadingBlank, null);
        int[] Of(string text) => encoder.Prompt(new EvalRequest.Generate(text) { MaxNewTokens = 1 }).Ids;
        EvalRequest.LogLikelihood Ask(string context, bool keeps) => new(context, "yes") { KeepsContext = keeps };
        foreach (var context in (string[])["Is it?\n", "Is it: ", "Is it:"])
        {
            var (kept, moved) = (encoder.Pair(Ask(context, true)), encoder.Pair(Ask(context, false)));
            Assert.That((int[])[.. kept.Context, .. kept.Continuation], Is.EqualTo(Of(context + "yes")), context);
            Assert.That(Of(context).Take(kept.Context.Length), Is.EqualTo(kept.Context), context);
            Assert.That(kept.Continuation[0], Is.Not.EqualTo(Of(context).ElementAtOrDefault(kept.Context.Length)), context);
            if (context[^1] == '\n') Assert.That((kept.Context, moved.Continuation), Is.EqualTo((Of(context), (int[])[Of(context)[^1], .. kept.Continuation])), context);
        }
        Assert.That(encoder.Pair(Ask("", true)).Continuation, Is.EqualTo(encoder.Pair(Ask("", false)).Continuation));
        Assert.That(RequestJson.Key([Ask("a\n", true)], null), Is.Not.EqualTo(RequestJson.Key([Ask("a\n", false)], null)), "answers of before are asked again");
    }

    // It stands where a text is cut: without it the model would be asked under no control.
    [Test]
    public void A_control_before_a_prompt_is_not_cut_off()
    {
        var model = Models.Stories;
        RequestEncoder Room(int tokens, bool controlled = true) => new(model.Tokenizer, null, tokens, false, null, controlled ? new TextControl("Good:\n", "") : null);
        int[] Prompt(int room, string text, bool controlled = true) => Room(room + 1, controlled).Prompt(new EvalRequest.Generate(text) { MaxNewTokens = 1 }).Ids;
        const string text = "Tom had a big dog and the dog was red.";
        var (whole, control) = (Prompt(500, text), Prompt(500, "Good:\n", controlled: false)[1..]);
        Assert.That((whole[0], whole[1..(control.Length + 1)]), Is.EqualTo((model.Tokenizer!.SpecialTokens.Bos!.Value, control)));
        Assert.That(Prompt(whole.Length, text), Is.EqualTo(whole));
        foreach (var room in (int[])[control.Length + 4, whole.Length - 1])
        {
            int[] expected = [.. control, .. whole[^(room - control.Length)..]];
            Assert.That(Prompt(room, text), Is.EqualTo(expected));
            var pair = Room(room + 1).Pair(new EvalRequest.LogLikelihood(text, " It"));
            Assert.That((pair.Context, pair.Cut), Is.EqualTo(((int[])[.. control, .. whole[^(room + 2 - pair.Continuation.Length - control.Length)..]], whole.Length - (room + 2 - pair.Continuation.Length))));
        }
        Assert.That(Prompt(1, text), Is.EqualTo(control[^1..]));
        Assert.That(Prompt(5, text, controlled: false), Is.EqualTo(Prompt(500, text, controlled: false)[^5..]), "the harness's cut");
    }

    // Ids from transformers 5.23: its rebuilt tokenizer says 403 to " Once", tokenizer.json 410 403. Other classes are taken as written.
    [TestCase("LlamaTokenizer", true)]
    [TestCase("LlamaTokenizerFast", true)]
    [TestCase("CodeLlamaTokenizer", true)]
    [TestCase("PreTrainedTokenizerFast", false)]
    [TestCase("MistralTokenizer", false)]
    public void A_blank_at_the_start_is_doubled_as_transformers_does_it(string tokenizerClass, bool takes)
    {
        var folder = Directory.CreateTempSubdirectory("peftalign-blank-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, "config.json"), File.ReadAllText(Path.Combine(Places.Fixture("stories260K"), "config.json")));
            File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), new JsonObject { ["tokenizer_class"] = tokenizerClass }.ToJsonString());
            var model = EvalModel.Of(folder, Models.Stories.Decoder, Models.Stories.Mode, Models.Stories.Tokenizer, null);
            Assert.That(model.TakesLeadingBlank, Is.EqualTo(takes));
            int[] Of(string text) => new RequestEncoder(model.Tokenizer, null, model.MaxLength, model.TakesLeadingBlank, false).Prompt(new EvalRequest.Generate(text) { MaxNewTokens = 1 }).Ids;
            Assert.That((Of(" Once"), Of("  Once"), Of("\u2581a"), Of("Once")), takes ? Is.EqualTo(((int[])[403], (int[])[410, 403], (int[])[261], (int[])[403])) : Is.EqualTo(((int[])[410, 403], (int[])[410, 410, 403], (int[])[410, 261], (int[])[403])));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // Gemma's and the first Mistral's templates raise; the harness then leaves the system's turn out, and says so.
    [TestCase("{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}", "System role not supported")]
    [TestCase("{{ messages[0].user.name if messages[0].role == 'system' }}", "has no attribute 'user'")]
    public void A_template_without_a_system_renders_the_rest(string head, string reason)
    {
        var template = new ChatTemplate("t", head + "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}");
        var warnings = new List<string>();
        var encoder = new RequestEncoder(Models.Stories.Tokenizer, template, 512, false, null) { Warn = warnings.Add };
        int[] Of(params ChatTurn[] turns) => encoder.Prompt(new EvalRequest.Generate("") { Messages = turns, MaxNewTokens = 1 }).Ids;
        var alone = Of(new ChatTurn("user", "Once"));
        Assert.That(warnings, Is.Empty);
        Assert.That((Of(new("system", "Be kind."), new("user", "Once")), Of(new("system", "Be."), new("user", "Once"))), Is.EqualTo((alone, alone)));
        Assert.That(warnings, Has.Count.EqualTo(1).And.All.Contains(reason).And.All.EndsWith("prompts go without their system message"));
    }

    [Test]
    public void A_template_that_raises_without_a_system_too_stops()
    {
        var encoder = new RequestEncoder(Models.Stories.Tokenizer, new ChatTemplate("t", "{{ raise_exception('never') }}"), 512, false, null);
        foreach (var role in (string[])["system", "user"])
            Assert.That(() => encoder.Prompt(new EvalRequest.Generate("") { Messages = [new ChatTurn(role, "a")], MaxNewTokens = 1 }), Throws.TypeOf<ChatTemplateException>().With.Message.Contains("never"));
    }

    [Test]
    public void What_all_items_begin_with_is_computed_once_and_changes_nothing()
    {
        var model = Models.Stories;
        const string Header = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park with her friends. ";
        string[] middles = ["One day, she", "Her mom said that", "The dog", "They saw a big, red ball and then the"];
        Asked[] items = [.. middles.Select((m, k) => new Asked(new EvalItem($"{k}", []), k, [new EvalRequest.LogLikelihood(Header + m, " went home."), new EvalRequest.LogLikelihood(Header + m, " was"), new EvalRequest.LogLikelihood("", " was")]))];
        using var apart = new RequestRunner(() => model, null, null, CancellationToken.None);
        using var together = new RequestRunner(() => model, null, null, CancellationToken.None);
        var encoded = items.Select(together.Encode).ToList();
        together.Share(encoded);
        Assert.That(together.Shared, Is.GreaterThan(30), "the header's tokens");
        var (shared, alone) = (together.Answer(encoded), apart.Answer([.. items.Select(apart.Encode)]));
        for (var i = 0; i < items.Length; i++)
            for (var r = 0; r < 3; r++)
            {
                Assert.That(shared[i][r].LogProb, Is.EqualTo(alone[i][r].LogProb).Within(2e-5), $"item {i}, request {r}");
                Assert.That(shared[i][r] with { LogProb = 0, Texts = alone[i][r].Texts }, Is.EqualTo(alone[i][r] with { LogProb = 0 }));
            }
    }

    private static int[] Ids(JsonNode list) => [.. list.AsArray().Select(id => (int)id!)];
}
