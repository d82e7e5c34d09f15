// How often a model finds the chosen answer of a pair more likely than the rejected one, by the sum of log-probs (acc) and
// by the mean per token (acc_norm); and the chosen answers' perplexity per token. Ties count as half. What does not fit into the
// model's context is cut and counted: a prompt on its left, as lm-evaluation-harness does; an answer that alone is longer keeps its
// beginning, as TRL's keep_start does (the harness stops there).

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval;

/// <summary>Options of preference.</summary>
public sealed class PreferenceOptions
{
    /// <summary>The dataset whose rows (prompt, chosen, rejected, as texts or conversations, or the same as ..._ids) are the items.</summary>
    [OptionRequired]
    public DatasetReference? Dataset { get; set; }

    /// <summary>Most items; 0 = all.</summary>
    [OptionRange(0)]
    public int Limit { get; set; }
}

internal sealed class PreferenceBenchmark(PreferenceOptions options, IPluginContext context) : IBenchmark
{
    // Where each item stands, for errors.
    private readonly Dictionary<string, string> sources = [];

    public BenchmarkInfo Info { get; } = new("preference", 2);

    public IEnumerable<EvalItem> Items()
    {
        var rows = context.Lent<IDatasets>().Open(options.Dataset!);
        if (options.Limit > 0) rows = rows.Take(options.Limit);
        // By their order: rows of several files may have one number.
        return rows.Select((row, k) =>
        {
            var item = new EvalItem($"{k + 1}", row.Fields);
            sources[item.Id] = row.Source;
            return item;
        });
    }

    public IReadOnlyList<EvalRequest> Requests(EvalItem item) => [Request(item, "chosen"), Request(item, "rejected")];

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var (chosen, rejected) = (responses[0], responses[1]);
        return [new ItemScore(item.Id, new Dictionary<string, double>
        {
            ["acc"] = Wins(chosen.LogProb, rejected.LogProb),
            ["acc_norm"] = Wins(chosen.LogProb / chosen.Tokens, rejected.LogProb / rejected.Tokens),
            ["logprob"] = chosen.LogProb,
            ["chosen_tokens"] = chosen.Tokens,
        })];
    }

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items)
    {
        if (items.Count == 0) return [];
        var tokens = items.Sum(i => i.Scores["chosen_tokens"]);
        return
        [
            Means.Of("acc", items),
            Means.Of("acc_norm", items),
            new MetricResult("perplexity", Math.Exp(-items.Sum(i => i.Scores["logprob"]) / tokens), null, items.Count, HigherIsBetter: false),
        ];
    }

    private static double Wins(double a, double b) => a > b ? 1 : a == b ? 0.5 : 0;

    private EvalRequest Request(EvalItem item, string answer)
    {
        var row = new DataRecord(item.Document, sources.GetValueOrDefault(item.Id, "dataset"), long.Parse(item.Id));
        return row.Has("prompt_ids")
            ? new EvalRequest.LogLikelihood("", "") { ContextIds = row.Ids("prompt_ids"), ContinuationIds = row.Ids(answer + "_ids"), CutsContinuation = true }
            : row.Fields["prompt"] is JsonArray || (!row.Has("prompt") && row.Fields[answer] is JsonArray) ? Conversation(row, answer)
            : new EvalRequest.LogLikelihood(Prompt(row), row.Text(answer)) { CutsContinuation = true };
    }

    private static string Prompt(DataRecord row) => row.Has("prompt") ? row.Text("prompt")
        : throw new UserErrorException($"{row.Place}: the pair has no prompt, and without one an answer's likelihood is another quantity; the row has {string.Join(", ", row.Fields.Select(field => field.Key))}. Name the prompt's column in the data set's map (map: {{ prompt: COLUMN }}), or write what both answers begin with as prompt.");

    // The words of the last message, after all before it through the template; where they begin is told as in training, by the first token that differs.
    private static EvalRequest.LogLikelihood Conversation(DataRecord row, string answer)
    {
        List<ChatTurn> turns = [.. row.Has("prompt") ? Turns(row, "prompt") : [], .. Turns(row, answer)];
        if (turns is not [.. var before, { Role: "assistant", Content: { Length: > 0 } said }])
            throw new UserErrorException($"{row.Place}: '{answer}' must end with words of the assistant; leave the row out.");
        return new EvalRequest.LogLikelihood("", said) { Messages = before, KeepsContext = true, CutsContinuation = true };
    }

    private static IEnumerable<ChatTurn> Turns(DataRecord row, string field) =>
        (row.Fields[field] as JsonArray ?? throw row.Wrong(field, "a list of messages, as the row's other texts are")).Select(turn =>
            turn is JsonObject message && message["role"] is JsonValue role && role.TryGetValue<string>(out var who) && message["content"] is JsonValue content && content.TryGetValue<string>(out var what)
                ? new ChatTurn(who, what) : throw row.Wrong(field, "a list of messages, each with role and content as texts"));
}
