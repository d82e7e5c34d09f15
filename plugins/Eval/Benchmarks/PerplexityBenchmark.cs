// Perplexity of texts: each is scored whole, in windows as long as the model's context.

using System.Text;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Files;

namespace PeftAlign.Eval.Benchmarks;

/// <summary>Options of perplexity.</summary>
public sealed class PerplexityOptions
{
    /// <summary>A text file (one text), or JSON lines, plain or .gz.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>The column of JSON lines that holds the text.</summary>
    public string Column { get; set; } = "text";

    /// <summary>Most texts; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }

    /// <summary>Whether texts get a begin token; without it, as the tokenizer's files say.</summary>
    public bool? Bos { get; set; }
}

internal sealed class PerplexityBenchmark(PerplexityOptions options) : IBenchmark
{
    public BenchmarkInfo Info { get; } = new("perplexity", 2) { AsHarness = true, AddSpecialTokens = options.Bos };

    public IEnumerable<EvalItem> Items()
    {
        var texts = options.Path.EndsWith(".txt", StringComparison.Ordinal) || options.Path.EndsWith(".txt.gz", StringComparison.Ordinal)
            ? [RowFile.Text(options.Path)]
            : RowFile.Read(options.Path, csv: false).Select((row, k) => row[options.Column] is JsonValue value && value.TryGetValue<string>(out var text) ? text : throw new UserErrorException($"{options.Path}, row {k + 1} has no text in '{options.Column}'; it has {string.Join(", ", row.Select(f => f.Key))}. Give the column with the option column."));
        return (options.Limit > 0 ? texts.Take(options.Limit) : texts).Select((text, k) => new EvalItem($"{k}", new JsonObject { ["text"] = text }));
    }

    public IReadOnlyList<EvalRequest> Requests(EvalItem item) => [new EvalRequest.RollingLogLikelihood((string)item.Document["text"]!)];

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var text = (string)item.Document["text"]!;
        return [new ItemScore(item.Id, new Dictionary<string, double>
        {
            ["logprob"] = responses[0].LogProb,
            ["predicted_tokens"] = responses[0].Tokens,
            ["words"] = Words(text),
            ["bytes"] = Encoding.UTF8.GetByteCount(text),
        })];
    }

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items)
    {
        if (items.Count == 0) return [];
        var logProb = items.Sum(i => i.Scores["logprob"]);
        MetricResult Per(string metric, string unit) => new(metric, Math.Exp(-logProb / items.Sum(i => i.Scores[unit])), null, items.Count, HigherIsBetter: false);
        var perByte = Per("byte_perplexity", "bytes");
        var bitsPerByte = perByte with { Metric = "bits_per_byte", Value = -logProb / items.Sum(i => i.Scores["bytes"]) / Math.Log(2) };
        return [Per("word_perplexity", "words"), perByte, Per("token_perplexity", "predicted_tokens"), bitsPerByte];
    }

    // Pieces between runs of Python's white space; empty ones at both ends count, as in lm-evaluation-harness.
    private static int Words(string text) => System.Text.RegularExpressions.Regex.Count(text, @"[\s\x1c-\x1f]+", System.Text.RegularExpressions.RegexOptions.CultureInvariant) + 1;
}
