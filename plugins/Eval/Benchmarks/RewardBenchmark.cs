// The reward of a model's answers to a dataset's prompts, by a judge that rates: mean logit, and how long the answers are, since reward
// models like length.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Comparisons;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Benchmarks;

/// <summary>Options of reward.</summary>
public sealed class RewardOptions
{
    /// <summary>The dataset whose prompts the model answers.</summary>
    [OptionRequired]
    public DatasetReference? Dataset { get; set; }

    /// <summary>Rates prompt and answer.</summary>
    [OptionRequired]
    public JudgeReference? Judge { get; set; }

    /// <summary>Which of the judge's logits, from 0.</summary>
    [OptionRange(0)]
    public int Label { get; set; }

    /// <summary>False where a larger logit is worse.</summary>
    public bool HigherIsBetter { get; set; } = true;

    /// <summary>Most new tokens.</summary>
    [OptionRange(1)]
    public int MaxNewTokens { get; set; } = 128;

    /// <summary>0 takes the most likely token.</summary>
    [OptionRange(0)]
    public double Temperature { get; set; }

    /// <summary>Nucleus of sampling.</summary>
    [OptionRange(0, 1, ExclusiveMinimum = true)]
    public double TopP { get; set; } = 1;

    /// <summary>Seed of sampling.</summary>
    [OptionRange(0)]
    public long Seed { get; set; }

    /// <summary>Most prompts; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }

    /// <summary>Prompts go through the model's chat template, as the user's message.</summary>
    public bool Chat { get; set; }
}

internal sealed class RewardBenchmark(RewardOptions options, IPluginContext context) : IBenchmark, IAsksAgain
{
    public BenchmarkInfo Info { get; } = new("reward", 1)
    {
        Settings = new JsonObject { ["annotator"] = PairTable.Annotator(options.Judge!), ["label"] = options.Label, ["max_new_tokens"] = options.MaxNewTokens, ["temperature"] = options.Temperature, ["chat"] = options.Chat },
    };

    public IEnumerable<EvalItem> Items()
    {
        var datasets = (IDatasets?)context.GetService(typeof(IDatasets)) ?? throw new InvalidOperationException("the host offers no datasets");
        var rows = datasets.Open(options.Dataset!);
        return (options.Limit > 0 ? rows.Take(options.Limit) : rows).Select((row, k) =>
        {
            var (prompt, messages) = DatasetPrompt.Of(row);
            var document = new JsonObject { ["prompt"] = prompt };
            if (messages is not null) document["messages"] = messages;
            else if (options.Chat) document["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = prompt });
            return new EvalItem($"{k}", document);
        });
    }

    public IReadOnlyList<EvalRequest> Requests(EvalItem item) => [new EvalRequest.Generate((string)item.Document["prompt"]!)
    {
        Messages = item.Document["messages"] is JsonArray turns ? [.. turns.Select(t => new ChatTurn((string)t!["role"]!, (string)t["content"]!))] : null,
        MaxNewTokens = options.MaxNewTokens,
        Temperature = options.Temperature,
        TopP = options.Temperature > 0 ? options.TopP : 1,
        Seed = (ulong)options.Seed,
    }];

    public IReadOnlyList<EvalRequest> FollowUps(EvalItem item, IReadOnlyList<EvalResponse> responses) =>
        [new EvalRequest.Judge(options.Judge!, new JudgeQuestion.Rate((string)item.Document["prompt"]!, responses[0].Texts[0].Trim()))];

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var (answer, judged) = (responses[0].Texts[0].Trim(), responses[1].Judgement!);
        var scores = new Dictionary<string, double> { ["length"] = Pair.Length(answer), ["new_tokens"] = responses[0].Tokens, ["empty"] = answer.Length == 0 ? 1 : 0, ["failed"] = judged.Scores is null || judged.Failure is not null ? 1 : 0 };
        if (scores["failed"] == 0) scores["reward"] = Logit(judged.Scores!);
        return [new ItemScore(item.Id, scores) { Answer = answer, Details = judged.Failure is { } why ? new JsonObject { ["failure"] = why } : null }];
    }

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items)
    {
        if (items.Count == 0) return [];
        var judged = items.Where(i => i.Scores["failed"] == 0).ToList();
        if (judged.Count == 0) throw new InvalidDataException($"the judge rated none of {items.Count} answers; of the first it said: {(string?)items[0].Details?["failure"] ?? "nothing"}");
        return
        [
            Means.Of("reward", judged, options.HigherIsBetter),
            Means.Of("length", items),
            Means.Of("new_tokens", items),
            Means.Of("empty", items, higherIsBetter: false),
            new MetricResult("failed", items.Count - judged.Count, null, items.Count, HigherIsBetter: false),
        ];
    }

    private double Logit(IReadOnlyList<double> scores) => options.Label < scores.Count ? scores[options.Label] : throw new UserErrorException($"label: {options.Label}; the judge has {scores.Count} logits, numbered from 0.");
}
