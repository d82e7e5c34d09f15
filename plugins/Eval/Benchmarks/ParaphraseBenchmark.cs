// Paraphrase detection as a cloze (the default project of CS224N on Quora question pairs): which of "yes" and "no" is likelier after
// two questions. The starter code writes other prompts in training and in its test; each has a name here, and so has a mended one.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Cs224n;
using PeftAlign.Eval.Files;
using PeftAlign.Eval.Scoring;
using PeftAlign.Models.Rows;

namespace PeftAlign.Eval.Benchmarks;

/// <summary>Options of paraphrase.</summary>
public sealed class ParaphraseOptions : QuestionPairOptions
{
    /// <summary>Most pairs; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }

    /// <summary>Whether texts get a begin token; without it, as the tokenizer's files say.</summary>
    public bool? Bos { get; set; }

    /// <summary>Resamples behind macro F1's standard error.</summary>
    [OptionRange(0)]
    public int BootstrapIters { get; set; } = 10_000;
}

internal sealed class ParaphraseBenchmark(ParaphraseOptions options) : IBenchmark
{
    private static readonly string[] Answers = ["no", "yes"];

    private readonly QuestionPairs pairs = new(options);

    public BenchmarkInfo Info { get; } = new("paraphrase", 3)
    {
        AddSpecialTokens = options.Bos,
        Settings = new JsonObject { ["template"] = options.Template, ["blank"] = options.Blank, ["preprocess"] = options.Preprocess },
    };

    public IEnumerable<EvalItem> Items()
    {
        var rows = DelimitedRows.OfText(RowFile.Text(options.Path), options.Path, QuestionPairs.Separator, pairs.Quotes);
        var items = pairs.Of(rows).Select((pair, k) => new EvalItem($"{k}", new JsonObject { ["sentence1"] = pair.First, ["sentence2"] = pair.Second, ["label"] = pair.Same ? 1 : 0 }));
        return options.Limit > 0 ? items.Take(options.Limit) : items;
    }

    public IReadOnlyList<EvalRequest> Requests(EvalItem item)
    {
        var prompt = pairs.Prompt((string)item.Document["sentence1"]!, (string)item.Document["sentence2"]!);
        // The prompt keeps the newline at its end: whether that is likely is no matter of the answer.
        return [.. ((bool[])[false, true]).Select(same => new EvalRequest.LogLikelihood(prompt, pairs.Answer(same)) { KeepsContext = true })];
    }

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var (gold, said) = ((int)item.Document["label"]!, Choice.Best(Choice.LogProbs(responses)));
        // exact_match: the right answer is also the likeliest of the whole vocabulary, as the starter asks.
        return [new ItemScore(item.Id, new Dictionary<string, double> { ["acc"] = said == gold ? 1 : 0, ["exact_match"] = responses[gold].IsGreedy ? 1 : 0 })
        {
            Target = Answers[gold],
            Answer = Answers[said],
            Details = new JsonObject { ["f1_macro"] = new JsonArray(gold, said) },
        }];
    }

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items)
    {
        if (items.Count == 0) return [];
        int[] gold = [.. items.Select(i => (int)i.Details!["f1_macro"]![0]!)], said = [.. items.Select(i => (int)i.Details!["f1_macro"]![1]!)];
        var scores = Classification.OfRows(gold, said);
        var error = StandardErrors.Bootstrap(items.Count, rows => scores(rows).MacroF1, options.BootstrapIters);
        return [Means.Of("acc", items), new MetricResult("f1_macro", Classification.Evaluate(gold, said).MacroF1, error, items.Count, HigherIsBetter: true), Means.Of("exact_match", items)];
    }
}
