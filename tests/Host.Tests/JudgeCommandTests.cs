// `peftalign judge` as its user sees it, against scores that transformers' own tokenizer and model gave.

using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Host.Tests.Tokenize;

namespace PeftAlign.Host.Tests;

public class JudgeCommandTests
{
    private Cli cli = null!;

    [SetUp]
    public void MakeFolder() => cli = new Cli();

    [TearDown]
    public void RemoveFolder() => cli.Dispose();

    internal static string Model(string name) => Checkout.Fixture("architectures", name);

    private static Outcome Run(params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(["judge", .. args, "--threads", "1"]).GetAwaiter().GetResult();
        return new Outcome(code, results.ToString(), remarks.ToString());
    }

    // Texts, pairs in each tokenizer's own joint, texts and pairs that are too long, ids, unknown words and empty answers.
    [TestCase("roberta")]
    [TestCase("deberta-far")]
    [TestCase("llama-score")]
    public void Scores_are_those_of_transformers(string name)
    {
        var rows = File.ReadAllLines(Path.Combine(Model(name), "judge.jsonl")).Select(line => JsonNode.Parse(line)!.AsObject()).ToList();
        var outcome = Run("--model", Model(name), "--in", cli.Rows(rows));
        Assert.That((outcome.Code, outcome.Err), Is.EqualTo((0, "")));
        Assert.That(outcome.Rows, Has.Count.EqualTo(rows.Count));
        foreach (var (answer, row) in outcome.Rows.Zip(rows))
        {
            var expected = row["expected"]!.AsArray().Select(v => (double)v!).ToArray();
            Assert.That(answer.GetProperty("scores").EnumerateArray().Select(v => v.GetDouble()).ToArray(), Is.EqualTo(expected).Within(1e-4), row.ToJsonString());
        }
    }

    [Test]
    public void In_bfloat16_scores_are_near()
    {
        var rows = cli.Rows([new JsonObject { ["input_ids"] = new JsonArray(1, 9, 30, 2, 2, 7, 2) }]);
        double Score(params string[] more) => Run(["--model", Model("roberta"), "--in", rows, .. more]).Rows.Single().GetProperty("scores")[0].GetDouble();
        var (full, narrow) = (Score(), Score("--dtype", "bfloat16"));
        Assert.That(narrow, Is.EqualTo(full).Within(0.1));
        Assert.That(narrow, Is.Not.EqualTo(full));
    }

    [TestCase("{}", "has no text to judge; give {\"text\": ...}")]
    [TestCase("{\"prompt\":\"w5\"}", "has no text to judge")]
    [TestCase("{\"text\":7}", "\"text\" holds 7; it must be a text")]
    [TestCase("{\"input_ids\":[]}", "has no token")]
    [TestCase("{\"input_ids\":[1,40]}", "Token id 40 is not in the model's vocabulary of 40")]
    public void A_rows_mistake_names_file_and_line(string row, string message)
    {
        var input = cli.Path("in.jsonl");
        File.WriteAllLines(input, ["{\"input_ids\":[1,5,2]}", row]);
        var outcome = Run("--model", Model("roberta"), "--in", input);
        Assert.That(outcome.Code, Is.EqualTo(2));
        Assert.That(outcome.Err, Does.Contain(input + ", line 2").And.Contain(message));
    }

    [TestCase("gpt2", "", "ForSequenceClassification")]
    [TestCase("roberta", "--max-length 64", "is more than the 63 tokens")]
    [TestCase("roberta", "--dtype float16", "needs a CUDA device; use bfloat16 or float32")]
    [TestCase("roberta", "--max-length 0", "is a whole number from 1")]
    public void A_mistake_is_one_message(string model, string options, string message)
    {
        var input = cli.Rows([new JsonObject { ["input_ids"] = new JsonArray(1, 5, 2) }]);
        var outcome = Run(["--model", Model(model), "--in", input, .. options.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((2, "")));
        Assert.That(outcome.Err, Does.Contain(message));
    }
}
