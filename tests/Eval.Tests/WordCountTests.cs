// Words and bytes of texts, and the perplexities per each: lm-evaluation-harness's, len(re.split(r"\s+", text)) and len(text.encode("utf-8")).

using PeftAlign.Abstractions;
using PeftAlign.Eval.Benchmarks;

namespace PeftAlign.Eval.Tests;

public sealed class WordCountTests
{
    // As Python counts them: empty words at both ends too, and the four information separators part words. Names of their own: a test whose
    // name holds such a separator is not run at all.
    private static readonly TestCaseData[] Texts =
    [
        Of("two", "a b", 2, 3),
        Of("ends", " a  b\n", 4, 6),
        Of("wide spaces", "a\u00a0b\u3000c", 3, 8),
        Of("no space", "a\u200bb", 1, 5),
        Of("a separator and a next line", "a\u001cb\u0085c", 3, 6),
        Of("a run of separators", "a\u001e\u001f d", 2, 5),
    ];

    private static TestCaseData Of(string name, string text, int words, int bytes) => new TestCaseData(text, words, bytes).SetArgDisplayNames(name);

    private static Dictionary<string, double> Results(IBenchmark benchmark) =>
        benchmark.Aggregate([.. benchmark.Items().Select((item, k) => benchmark.Score(item, [new EvalResponse(-2.5 * (k + 1), 4, false)])[0])]).ToDictionary(result => result.Metric, result => result.Value);

    private static void AssertPer(Dictionary<string, double> results, double logProb, int words, int bytes)
    {
        Assert.That(results["word_perplexity"], Is.EqualTo(Math.Exp(-logProb / words)).Within(1e-12).Percent);
        Assert.That(results["byte_perplexity"], Is.EqualTo(Math.Exp(-logProb / bytes)).Within(1e-12).Percent);
        Assert.That(results["bits_per_byte"], Is.EqualTo(-logProb / bytes / Math.Log(2)).Within(1e-12).Percent);
    }

    [TestCaseSource(nameof(Texts))]
    public void Perplexity(string text, int words, int bytes)
    {
        var file = Path.GetTempFileName();
        try
        {
            var row = new System.Text.Json.Nodes.JsonObject { ["text"] = text }.ToJsonString();
            File.WriteAllText(file, $"{row}\n{row}\n");
            var results = Results(new PerplexityBenchmark(new PerplexityOptions { Path = file }));
            AssertPer(results, -7.5, 2 * words, 2 * bytes);
            Assert.That(results["token_perplexity"], Is.EqualTo(Math.Exp(7.5 / 8)).Within(1e-12).Percent);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [TestCaseSource(nameof(Texts))]
    public void Tasks(string text, int words, int bytes)
    {
        using var files = new TaskFiles();
        var value = System.Text.Json.JsonSerializer.Serialize(text);
        var task = files.Task(TaskFiles.Lines(value, value), "output_type: loglikelihood_rolling\ndoc_to_text: ''\ndoc_to_target: v\nmetric_list: [{ metric: word_perplexity }, { metric: byte_perplexity }, { metric: bits_per_byte }]");
        AssertPer(Results(task), -7.5, 2 * words, 2 * bytes);
    }
}
