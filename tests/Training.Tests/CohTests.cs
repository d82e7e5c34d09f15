// Chain of Hindsight: which tokens of a chain are trained, in rows of texts and of tokens; the mean over rows; what is refused.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Methods.Coh;
using PeftAlign.Models.Text;
using PeftAlign.Torch;

namespace PeftAlign.Training.Tests;

public sealed class CohTests : TrainingTest
{
    private static IAlignmentMethod Coh(CohOptions options) => Fixtures.Method<CohPlugin, CohOptions>("coh", options);

    private static DataRecord Row(string json) => new(JsonNode.Parse(json)!.AsObject(), "rows", 1);

    [TestCase("p", "Why?\nA helpful answer: ", "So.</s>")]
    [TestCase("n", "Why?\nAn unhelpful answer: ", "No.</s>")]
    [TestCase("pn", "Why?\nA helpful answer: ", "So.</s>", "\nAn unhelpful answer: ", "No.</s>")]
    [TestCase("np", "Why?\nAn unhelpful answer: ", "No.</s>", "\nA helpful answer: ", "So.</s>")]
    public void Answers_and_their_ends_are_trained_and_nothing_else(string kind, params string[] parts)
    {
        var tokenizer = TokenizerLoader.Load(Fixtures.Path("trl-data", "tokenizer"));
        var ledger = new MaskLedger();
        var group = Coh(new CohOptions { RowKinds = [kind] }).Prepare([Row("""{"prompt": "Why?", "chosen": "So.", "rejected": " No."}""")], new PrepareContext(tokenizer, 1024, ledger)).Single();
        var completion = group.Completions.Single();
        Assert.That(tokenizer.Decode([.. group.Prompt, .. completion.Tokens]), Is.EqualTo(string.Concat(parts)));
        Assert.That(tokenizer.Decode(group.Prompt), Is.EqualTo(parts[0]));
        // Runs of trained and of hidden tokens, one after the other, are the parts.
        var runs = new List<string>();
        for (int from = 0, to; from < completion.Tokens.Length; from = to)
        {
            for (to = from; to < completion.Tokens.Length && completion.Weights[to] == completion.Weights[from];) to++;
            Assert.That(completion.Weights[from], Is.EqualTo(runs.Count % 2 == 0 ? 1f : 0f));
            runs.Add(tokenizer.Decode(completion.Tokens[from..to]));
        }
        Assert.That(runs, Is.EqualTo(parts[1..]));
        Assert.That((ledger.Rows, ledger.TokensTrained, ledger.AnswersWithTrainedEnd), Is.EqualTo((1, (long)completion.Weights.Sum(), 1)));
    }

    // Decoding writes its U+2581 as a blank, which is not the token any more.
    [Test]
    public void An_end_that_decodes_to_another_text_is_one_trained_token()
    {
        const string end = "<｜end▁of▁sentence｜>";
        var folder = Directory.CreateTempSubdirectory("peftalign-coh-").FullName;
        var json = Fixtures.Json(System.IO.Path.Combine(Checkout.Root, "tests", "Models.Tests", "Fixtures", "golden", "tokenizers", "trained", "llama2_legacy", "tokenizer.json"));
        json["added_tokens"]!.AsArray().Add(new JsonObject { ["id"] = 700, ["content"] = end, ["special"] = true, ["normalized"] = false });
        File.WriteAllText(System.IO.Path.Combine(folder, "tokenizer.json"), json.ToJsonString());
        File.WriteAllText(System.IO.Path.Combine(folder, "tokenizer_config.json"), new JsonObject { ["eos_token"] = end }.ToJsonString());
        var (tokenizer, ledger) = (TokenizerLoader.Load(folder), new MaskLedger());
        Directory.Delete(folder, true);
        var group = Coh(new CohOptions { RowKinds = ["pn"] }).Prepare([Row("""{"prompt": "Why?", "chosen": "So.", "rejected": "No."}""")], new PrepareContext(tokenizer, 1024, ledger)).Single();
        Assert.That(group.Completions[0].Tokens.Zip(group.Completions[0].Weights).Where(t => t.First == 700).Select(t => t.Second), Is.EqualTo(new[] { 1f, 1f }));
        Assert.That((group.Completions[0].Tokens[^1], ledger.AnswersWithTrainedEnd), Is.EqualTo((700, 1L)));
    }

    [TestCase(null, true, "1 2 3 4 7", "Why is it?\nA helpful answer: ")]
    [TestCase(2, false, "1 2 7", "Why is\nA helpful answer: ")]
    [TestCase(2, true, "3 4 7", " it?\nA helpful answer: ")]
    public void A_prompts_limit_cuts_the_prompt_and_not_what_stands_behind_it(int? most, bool keepEnd, string ids, string text)
    {
        var ofIds = Coh(new CohOptions { RowKinds = ["p"], GoodMarkerIds = [7], BadMarkerIds = [8] }).Prepare([Row("""{"prompt_ids": [1, 2, 3, 4], "chosen_ids": [5, 2], "rejected_ids": [6, 2]}""")],
            new PrepareContext(null, 64, new MaskLedger()) { MaxPromptLength = most, KeepEnd = keepEnd }).Single();
        Assert.That((string.Join(' ', ofIds.Prompt), string.Join(' ', ofIds.Completions[0].Tokens)), Is.EqualTo((ids, "5 2")));
        var (tokenizer, ledger) = (TokenizerLoader.Load(Fixtures.Path("trl-data", "tokenizer")), new MaskLedger());
        var prompt = tokenizer.EncodeToIds("Why is it?").Count;
        // So many tokens less of the four words, as of the four ids.
        var limit = most is null ? (int?)null : tokenizer.EncodeToIds(keepEnd ? " it?" : "Why is").Count;
        var ofTexts = Coh(new CohOptions { RowKinds = ["p"] }).Prepare([Row("""{"prompt": "Why is it?", "chosen": "So.", "rejected": "No."}""")], new PrepareContext(tokenizer, 1024, ledger) { MaxPromptLength = limit, KeepEnd = keepEnd }).Single();
        Assert.That((tokenizer.Decode(ofTexts.Prompt), ledger.TokensCut), Is.EqualTo((text, (long)(prompt - (limit ?? prompt)))));
        Assert.That(tokenizer.Decode(ofTexts.Completions[0].Tokens), Is.EqualTo("So.</s>"));
    }

    // A chain of ten trained tokens weighs as much as one of two.
    [Test]
    public void The_loss_is_the_mean_over_rows_of_their_means()
    {
        var method = Coh(new CohOptions { RowKinds = ["pn", "n"], GoodMarkerIds = [7], BadMarkerIds = [8, 9] });
        var groups = method.Prepare([Row("""{"prompt_ids": [1], "chosen_ids": [3, 4, 5], "rejected_ids": [6, 2]}""")], new PrepareContext(null, 64, new MaskLedger()));
        Assert.That(groups.Select(g => (string.Join(' ', g.Prompt), string.Join(' ', g.Completions[0].Tokens), string.Join(' ', g.Completions[0].Weights))),
            Is.EqualTo(new[] { ("1 7", "3 4 5 8 9 6 2", "1 1 1 0 0 1 1"), ("1 8 9", "6 2", "1 1") }));
        var values = torch.tensor(new[] { -1f, -2f, -3f, 0f, 0f, -4f, -5f, -7f, -9f });
        var loss = method.Loss(new ScoredBatch(groups, values, torch.tensor(groups.SelectMany(g => g.Completions[0].Weights).ToArray())) { Statistics = new Dictionary<string, Tensor> { ["entropy"] = values, ["argmax_hit"] = values } });
        Assert.That(loss.Numerator.item<double>() / loss.Denominator, Is.EqualTo(((1 + 2 + 3 + 4 + 5) / 5.0 + 8) / 2).Within(1e-12));
    }

    [TestCase("a good conversation is {pos}", "Why?\na good conversation is ", "So.</s>")]
    [TestCase("a bad one is {neg}, a better one is {pos}", "Why?\na bad one is ", "No.</s>", ", a better one is ", "So.</s>")]
    public void Templates_stand_in_the_place_of_kinds_and_markers(string template, params string[] parts)
    {
        var tokenizer = TokenizerLoader.Load(Fixtures.Path("trl-data", "tokenizer"));
        var group = Coh(new CohOptions { Templates = [template] }).Prepare([Row("""{"prompt": "Why?", "chosen": "So.", "rejected": "No."}""")], new PrepareContext(tokenizer, 1024, new MaskLedger())).Single();
        Assert.That(tokenizer.Decode([.. group.Prompt, .. group.Completions[0].Tokens]), Is.EqualTo(string.Concat(parts)));
        Assert.That(tokenizer.Decode([.. group.Completions[0].Tokens.Where((_, k) => group.Completions[0].Weights[k] > 0)]), Is.EqualTo(string.Concat(parts.Where((_, k) => k % 2 == 1))));
    }

    // The two answers are read, "the first one." and its end are learnt; an answer's own braces are no hole.
    [TestCase("of {pos} and {neg}, which one is better? The answer is {1st}", "Why?\nof So {neg}. and No., which one is better? The answer is ", "the first one.</s>")]
    [TestCase("{neg} or {pos}: the better one is {2nd}", "Why?\nNo. or So {neg}.: the better one is ", "the second one.</s>")]
    public void Of_a_ranking_question_the_verdict_is_trained(string template, string asked, string verdict)
    {
        var tokenizer = TokenizerLoader.Load(Fixtures.Path("trl-data", "tokenizer"));
        var ledger = new MaskLedger();
        var group = Coh(new CohOptions { Templates = [template] }).Prepare([Row("""{"prompt": "Why?", "chosen": " So {neg}.", "rejected": "No.</s>"}""")], new PrepareContext(tokenizer, 1024, ledger)).Single();
        // A blank may be one token with the word behind it.
        Assert.That((tokenizer.Decode([.. group.Prompt, .. group.Completions[0].Tokens]), tokenizer.Decode(group.Completions[0].Tokens).TrimStart()), Is.EqualTo((asked + verdict, verdict)));
        Assert.That(group.Completions[0].Weights, Is.All.EqualTo(1f));
        Assert.That((ledger.Rows, ledger.TokensTrained, ledger.AnswersWithTrainedEnd), Is.EqualTo((1, (long)group.Completions[0].Tokens.Length, 1)));
    }

    [Test]
    public void One_template_of_several_is_taken_by_the_rows_number()
    {
        var method = Coh(new CohOptions { TemplateChoice = "one", GoodMarkerIds = [7], BadMarkerIds = [8] });
        string Of(long row) => string.Join(' ', method.Prepare([Row("""{"prompt_ids": [1], "chosen_ids": [3], "rejected_ids": [6]}""") with { Row = row }], new PrepareContext(null, 64, new MaskLedger())).Single().Completions[0].Tokens);
        var made = Enumerable.Range(1, 100).Select(k => Of(k)).ToList();
        Assert.That(made.Distinct(), Is.EquivalentTo(new[] { "3", "6", "3 8 6", "6 7 3" }));
        Assert.That(Enumerable.Range(1, 100).Select(k => Of(k)), Is.EqualTo(made));
    }

    [Test]
    public void A_policy_is_asked_by_what_stands_before_a_first_answer()
    {
        IReadOnlyDictionary<string, TextControl> Of(CohOptions options) => ((IHasTextControls)Coh(options)).TextControls;
        Assert.That(Of(new()), Is.EqualTo(new Dictionary<string, TextControl> { ["good"] = new("", "\nA helpful answer:"), ["bad"] = new("", "\nAn unhelpful answer:") }));
        Assert.That(Of(new() { Templates = ["not {neg} but {pos}"] }), Is.EqualTo(new Dictionary<string, TextControl> { ["bad"] = new("", "\nnot") }));
        Assert.That(Of(new() { Templates = ["{pos} or {neg}? {1st}", "good: {pos}"] }), Is.EqualTo(new Dictionary<string, TextControl> { ["good"] = new("", "\ngood:") }), "a question asks for no answer");
        Assert.That(Of(new() { GoodMarkerIds = [7], BadMarkerIds = [8] }), Is.Empty);
    }

    // Two chains and a text: mean over the chains + weight * mean over the texts.
    [Test]
    public void A_corpus_stands_beside_the_pairs_with_its_weight()
    {
        var corpus = new[] { """{"input_ids": [1, 11, 12], "labels": [1, 11, 12]}""", """{"input_ids": [1, 13], "labels": [1, 13]}""" }.Select(Row).ToList();
        var options = new CohOptions { RowKinds = ["p", "n"], GoodMarkerIds = [7], BadMarkerIds = [8], Corpus = new DatasetReference([]), CorpusWeight = 3, HiddenPast = 0 };
        var method = new CohMethod(options, new Lent(corpus));
        var pairs = Enumerable.Range(1, 3).Select(k => Row("""{"prompt_ids": [1], "chosen_ids": [3, 4], "rejected_ids": [6]}""") with { Row = k }).ToList();
        var (context, ledger) = (new PrepareContext(null, 64, new MaskLedger()), new MaskLedger());
        var arranged = method.Arrange(pairs, context with { Ledger = ledger });
        var groups = method.Prepare([arranged[0]], context);
        Assert.That(groups.Select(g => string.Join(' ', g.Prompt) + " | " + string.Join(' ', g.Completions[0].Tokens)), Is.EqualTo(new[] { "1 7 | 3 4", "1 8 | 6", "1 | 11 12" }));
        Assert.That(method.Prepare([arranged[2]], context)[^1].Completions[0].Tokens, Is.EqualTo(new[] { 11, 12 }), "the texts begin anew where there are fewer than pairs");
        Assert.That(ledger.Rows, Is.Zero, "the ledger counts pairs");
        var values = torch.tensor(new[] { -1f, -3f, -4f, -5f, -7f });
        var loss = method.Loss(new ScoredBatch(groups, values, torch.ones(5)) { Statistics = new Dictionary<string, Tensor> { ["entropy"] = values, ["argmax_hit"] = values } });
        Assert.That(loss.Numerator.item<double>() / loss.Denominator, Is.EqualTo((2.0 + 4) / 2 + 3 * 6.0));
        Assert.That((loss.Metrics["loss/chains"], loss.Metrics["loss/corpus"]), Is.EqualTo((3.0, 6.0)));
        Assert.That(() => new CohMethod(options, new Lent([])).Arrange(pairs, context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("corpus"));
    }

    private sealed class Lent(IReadOnlyList<DataRecord> rows) : IPluginContext, IDatasets
    {
        public Microsoft.Extensions.Logging.ILogger Logger => Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;

        public string Folder => "";

        public object? GetService(Type type) => type == typeof(IDatasets) ? this : null;

        public IEnumerable<DataRecord> Open(DatasetReference dataset) => rows;
    }

    [Test]
    public void Rows_and_markers_that_say_nothing_are_refused()
    {
        var context = new PrepareContext(TokenizerLoader.Load(Fixtures.Path("trl-data", "tokenizer")), 64, new MaskLedger());
        Assert.That(() => Coh(new CohOptions { GoodMarker = "An unhelpful answer:" }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("two texts"));
        Assert.That(() => Coh(new CohOptions { Templates = ["well: {pos} {pos}"] }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("each once"));
        Assert.That(() => Coh(new CohOptions { Templates = ["{pos} is good"] }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("goes on behind"));
        foreach (var question in new[] { "{pos} or {neg}? {1st} or {2nd}", "{1st} of {pos} and {neg}", "{pos}? {1st}" })
            Assert.That(() => Coh(new CohOptions { Templates = [question] }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("ranking question"));
        Assert.That(() => Coh(new CohOptions { Templates = ["{pos}"], RowKinds = ["p"] }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("one or the other"));
        Assert.That(() => Coh(new CohOptions { CorpusWeight = 2 }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("there is none"));
        Assert.That(() => Coh(new CohOptions { RowKinds = ["p", "p"] }), Throws.InstanceOf<UserErrorException>().With.Message.Contains("twice"));
        Assert.That(() => Coh(new CohOptions()).Prepare([Row("""{"prompt_ids": [1], "chosen_ids": [3], "rejected_ids": [6]}""")], context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("good_marker_ids"));
        Assert.That(() => Coh(new CohOptions()).Prepare([Row("""{"prompt": "a", "chosen": [{"role": "assistant", "content": "b"}], "rejected": "c"}""")], context), Throws.InstanceOf<UserErrorException>().With.Message.Contains("'chosen' holds messages"));
        // Cut before any answer begins.
        var ledger = new MaskLedger();
        Assert.That(Coh(new CohOptions()).Prepare([Row("""{"prompt": "Why?", "chosen": "So.", "rejected": "No."}""")], context with { MaxLength = 4, Ledger = ledger }), Is.Empty);
        Assert.That((ledger.Rows, ledger.RowsWithoutTrainedToken), Is.EqualTo((1, 1)));
    }
}
