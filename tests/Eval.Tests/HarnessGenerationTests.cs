// What a model's generation_config.json does to generated answers: in benchmarks that follow lm-evaluation-harness the same as in its
// 0.4.13 with transformers 5.23, elsewhere nothing.

using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Evaluation;

namespace PeftAlign.Eval.Tests;

public sealed class HarnessGenerationTests
{
    private const string Prompt = "Once upon a time, there was a little girl named Lily. She", Plain = "loved to play outside in the park. One day, she saw";

    // What HFLM.generate_until gave for until ["\n\n"] and max_gen_toks 20.
    [TestCase("{}", Plain)]
    [TestCase("{\"repetition_penalty\": 1.3}", "loved to play outside in the park with her friends. One")]
    [TestCase("{\"max_new_tokens\": 5}", "loved to play ")]
    [TestCase("{\"max_new_tokens\": 50}", Plain + " a big, red ball. She wanted to play with it, but it was too high.\nLily's")]
    [TestCase("{\"max_length\": 5}", Plain)]
    [TestCase("{\"num_beams\": 3}", "loved to play outside in the sunshine. One day")]
    [TestCase("{\"suppress_tokens\": [403, 410]}", "loved to play with her toys and her friends. One day, Lily's")]
    [TestCase("{\"do_sample\": true, \"temperature\": 0.6, \"top_p\": 0.9}", Plain)]
    public void The_file_counts_as_in_the_harness(string file, string text) => Assert.That(Answers(file, harness: true, Ask, Ask), Is.EqualTo(new[] { text, text }));

    [TestCase("{\"do_sample\": true, \"top_k\": 1}", null, true)]
    [TestCase("{\"do_sample\": true, \"top_k\": 1}", 0, false)]
    public void In_sampling_the_file_s_top_k_counts_where_the_task_has_none(string file, int? topK, bool greedy)
    {
        var ask = Ask with { Temperature = 1.5, TopK = topK, TopP = null };
        Assert.That(Answers(file, harness: true, ask).Single(), greedy ? Is.EqualTo(Plain) : Is.Not.EqualTo(Plain));
    }

    [Test]
    public void Other_benchmarks_say_it_themselves() => Assert.That(Answers("{\"repetition_penalty\": 1.3, \"max_new_tokens\": 5}", harness: false, Ask).Single(), Is.EqualTo(Plain));

    [Test]
    public void What_is_not_built_is_refused() =>
        Assert.That(() => Answers("{\"guidance_scale\": 1.5}", harness: true, Ask), Throws.InstanceOf<UserErrorException>().With.Message.Contains("guidance_scale").And.Message.Contains("take it out"));

    [Test]
    public void Answers_that_were_made_without_the_file_are_asked_again()
    {
        EvalRequest score = new EvalRequest.LogLikelihood("a", "b");
        Assert.That(RequestJson.Key([Ask], null, modelsDefaults: true), Is.Not.EqualTo(RequestJson.Key([Ask], null)));
        Assert.That(RequestJson.Key([score], null, modelsDefaults: true), Is.EqualTo(RequestJson.Key([score], null)), "scores do not depend on it");
        // So are those that an empty stop text did not end; the others' keys are what they were.
        string Before(EvalRequest ask) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"generation_config.json\nGenerate {RequestJson.Of(ask).ToJsonString()}")))[..32];
        foreach (var (ask, same) in ((EvalRequest, bool)[])[(Ask, true), (Ask with { Until = ["a", ""] }, false)])
            Assert.That(RequestJson.Key([ask], null, modelsDefaults: true) == Before(ask), Is.EqualTo(same));
    }

    // transformers only warns there: the end token is kept out of all that is made.
    [TestCase("{\"min_new_tokens\": 9}", 7, "min_new_tokens is 9, and an answer may have 7 new tokens; 7 counts, as in transformers. Lower it, or raise the task's max_gen_toks.")]
    [TestCase("{\"min_new_tokens\": 9, \"max_new_tokens\": 4}", 4, "min_new_tokens is 9, and an answer may have 4 new tokens; 4 counts, as in transformers. Lower it, or raise max_new_tokens.")]
    public void A_least_length_beyond_the_longest_is_told_once(string file, int most, string warning)
    {
        var warnings = new List<string>();
        var ask = Ask with { MaxNewTokens = 7 };
        var answers = Responses(file, harness: true, warnings, ask, ask with { Seed = 1 });
        Assert.That(answers.Select(a => (a.Texts[0], a.Tokens)), Is.All.EqualTo((Answers("{}", harness: true, Ask with { MaxNewTokens = most }).Single(), most)));
        Assert.That(warnings.Single(), Does.EndWith("generation_config.json: " + warning));
    }

    [TestCase("{}", null, null)]
    [TestCase("{\"max_new_tokens\": 20}", null, null)]
    [TestCase("{\"max_new_tokens\": 50}", 50, null)]
    [TestCase("{\"max_new_tokens\": 5}", 5, null)]
    [TestCase("{\"max_new_tokens\": 600}", 600, "max_new_tokens 600 goes before the task's number, and with a prompt of 17 tokens is more than the model's 512 positions; lower it, or take it out.")]
    public void What_the_file_puts_in_the_place_of_the_task_s_length_is_recorded(string file, int? most, string? warning)
    {
        var warnings = new List<string>();
        var answers = Responses(file, harness: true, warnings, Ask, Ask with { Seed = 1 });
        Assert.That(answers.Select(a => a.MaxNewTokens), Is.All.EqualTo(most));
        Assert.That(answers.Select(a => RequestJson.Response(RequestJson.Of(a)).MaxNewTokens), Is.All.EqualTo(most), "of records");
        if (warning is null) Assert.That(warnings, Is.Empty);
        else Assert.That(warnings.Single(), Does.EndWith("generation_config.json: " + warning));
        Assert.That(Sample(answers[0])["max_new_tokens"]?.ToJsonString(), most is null ? Is.Null : Is.EqualTo($"[{most}]"));
    }

    // What HFLM.generate_until gave for an empty stop text, alone and beside another: it ends every answer after one token.
    [TestCase("{}")]
    [TestCase("{\"num_beams\": 3}")]
    [TestCase("{\"min_new_tokens\": 9}")]
    [TestCase("{\"max_new_tokens\": 5}")]
    public void An_empty_stop_text_ends_an_answer_after_one_token(string file)
    {
        var warnings = new List<string>();
        foreach (var until in (string[][])[[""], ["", "\n"]])
        {
            var answer = Responses(file, harness: true, warnings, Ask with { Until = until }).Single();
            Assert.That((answer.Texts[0], answer.Tokens, answer.MaxNewTokens), Is.EqualTo(("lo", 1, (int?)1)));
        }
        Assert.That(warnings, Is.Empty);
        Assert.That(Responses("{}", harness: false, warnings, Ask with { Until = [""] }).Single().Tokens, Is.EqualTo(20), "of other benchmarks it ends nothing");
    }

    private static JsonNode Sample(EvalResponse response)
    {
        var folder = Directory.CreateTempSubdirectory("peftalign-samples-").FullName;
        try
        {
            var item = new EvaluatedItem(new EvalItem("0", []), [Ask], [response], [new ItemScore("0", new Dictionary<string, double> { ["acc"] = 1 })]);
            ResultFiles.Write(folder, [new Evaluated(new BenchmarkInfo("one", 1), [item], [new MetricResult("acc", 1, null, 1, true)])], []);
            return JsonNode.Parse(File.ReadLines(Directory.GetFiles(folder, "samples_*.jsonl").Single()).Single())!;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static EvalRequest.Generate Ask => new(Prompt) { Until = ["\n\n"], MaxNewTokens = 20 };

    private static List<string> Answers(string file, bool harness, params EvalRequest.Generate[] asks) => [.. Responses(file, harness, [], asks).Select(a => a.Texts[0])];

    private static List<EvalResponse> Responses(string file, bool harness, List<string> warnings, params EvalRequest.Generate[] asks)
    {
        var folder = Directory.CreateTempSubdirectory("peftalign-generation-").FullName;
        try
        {
            File.Copy(Path.Combine(Places.Fixture("stories260K"), "config.json"), Path.Combine(folder, "config.json"));
            File.WriteAllText(Path.Combine(folder, "generation_config.json"), file);
            var model = EvalModel.Of(folder, Models.Stories.Decoder, Models.Stories.Mode, Models.Stories.Tokenizer, null) with { Warn = warnings.Add };
            using var runner = new RequestRunner(() => model, null, new BenchmarkInfo("generation", 1) { AsHarness = harness }, CancellationToken.None);
            return [.. runner.Answer([.. asks.Select((ask, k) => runner.Encode(new Asked(new EvalItem($"{k}", []), k, [ask])))]).Select(a => a[0])];
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
