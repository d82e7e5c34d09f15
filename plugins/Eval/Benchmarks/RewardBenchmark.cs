// How a judge rates what a model writes to a dataset's prompts: the mean of a reward model's scores. An answer that the judge
// could not rate is counted and out of the mean. Beside it stands how long the answers are, since reward models like length.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Comparisons;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Benchmarks;

/// <summary>Options of reward.</summary>
public sealed class RewardOptions
{
    /// <summary>The dataset whose prompts are answered; a conversation goes through the model's chat template.</summary>
    [OptionRequired]
    public DatasetReference? Dataset { get; set; }

    /// <summary>Rates prompt and answer.</summary>
    [OptionRequired]
    public JudgeReference? Judge { get; set; }

    /// <summary>Which of the judge's scores, from 0.</summary>
    [OptionRange(0)]
    public int Label { get; set; }

    /// <summary>False where a larger score is worse.</summary>
    public bool HigherIsBetter { get; set; } = true;

    /// <summary>Most prompts; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }

    /// <summary>How answers are drawn.</summary>
    [OptionGroup]
    public SamplingOptions Sampling { get; } = new() { MaxNewTokens = 256 };
}

internal sealed class RewardBenchmark(RewardOptions options, IPluginContext context) : IBenchmark, IAsksAgain
{
    public BenchmarkInfo Info { get; } = new("reward", 2)
    {
        Settings = new JsonObject
        {
            ["annotator"] = PairTable.Annotator(options.Judge!),
            ["judge"] = options.Judge!.Definition.DeepClone(),
            ["max_new_tokens"] = options.Sampling.MaxNewTokens,
            ["temperature"] = options.Sampling.Temperature,
            ["top_p"] = options.Sampling.TopP,
            ["seed"] = options.Sampling.Seed,
        },
    };

    public IEnumerable<EvalItem> Items()
    {
        var rows = context.Lent<IDatasets>().Open(options.Dataset!); // numbered in their order: rows of several files may have one number
        return (options.Limit > 0 ? rows.Take(options.Limit) : rows).Select((row, k) => new EvalItem($"{k + 1}", new JsonObject { ["prompt"] = Prompt(row) }));
    }

    public IReadOnlyList<EvalRequest> Requests(EvalItem item)
    {
        var turns = (item.Document["prompt"] as JsonArray)?.Select(turn => new ChatTurn((string)turn!["role"]!, (string)turn["content"]!)).ToList();
        return [options.Sampling.Ask(Text(item), turns)];
    }

    public IReadOnlyList<EvalRequest> FollowUps(EvalItem item, IReadOnlyList<EvalResponse> responses) =>
        [new EvalRequest.Judge(options.Judge!, new JudgeQuestion.Rate(Text(item), responses[0].Texts[0]))];

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var answer = responses[1].Judgement!;
        var written = responses[0].Texts[0];
        var scores = new Dictionary<string, double>
        {
            ["failed"] = answer.Scores is null ? 1 : 0,
            ["empty"] = string.IsNullOrWhiteSpace(written) ? 1 : 0,
            ["new_tokens"] = responses[0].Tokens,
            ["length"] = Pair.Length(written),
        };
        if (answer.Scores is { } rated)
            scores["reward"] = options.Label < rated.Count ? rated[options.Label] : throw new UserErrorException($"label: {options.Label}; the judge has {rated.Count} scores, numbered from 0.");
        return [new ItemScore(item.Id, scores) { Answer = responses[0].Texts[0], Details = answer.Failure is { } why ? new JsonObject { ["failure"] = why } : null }];
    }

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items)
    {
        if (items.Count == 0) return [];
        var rated = items.Where(i => i.Scores.ContainsKey("reward")).ToList();
        if (rated.Count == 0) throw new InvalidDataException($"the judge rated none of {items.Count} answers; of the first one it said: {(string?)items[0].Details?["failure"] ?? "nothing"}");
        return
        [
            Means.Of("reward", rated, options.HigherIsBetter),
            Means.Of("empty", items, higherIsBetter: false),
            Means.Of("length", items),
            Means.Of("new_tokens", items),
            new MetricResult("failed", items.Sum(i => i.Scores["failed"]), null, items.Count, HigherIsBetter: false),
        ];
    }

    // A text, or the turns of a conversation; each with what it needs.
    private static JsonNode Prompt(DataRecord row)
    {
        if (row.Fields["prompt"] is not JsonArray turns) return row.Text("prompt");
        if (turns.Count == 0 || turns.Any(turn => turn is not JsonObject || turn["role"] is not JsonValue || turn["content"] is not JsonValue))
            throw new UserErrorException($"{row.Place}: 'prompt' is no list of {{role, content}}.");
        return turns.DeepClone();
    }

    private static string Text(EvalItem item) => DatasetPrompt.Text(item.Document["prompt"]!);
}
