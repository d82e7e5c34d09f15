// One task at work: its rows as items, what is asked of each, and each answer's scores.

using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Tasks;

internal sealed partial class TaskItems
{
    private readonly TaskConfig task;
    private readonly TaskFields fields;
    private readonly bool chat;
    private readonly List<(JsonObject Row, string Before)> rows = [];

    /// <param name="task">The task.</param>
    /// <param name="data">Its rows.</param>
    /// <param name="shots">Solved examples in place of the task's own number; null for that.</param>
    /// <param name="limit">Most items; 0 = all.</param>
    /// <param name="chat">Whether prompts are conversations.</param>
    internal TaskItems(TaskConfig task, TaskData data, int? shots, int limit, bool chat)
    {
        (this.task, this.chat, Shots) = (task, chat, shots ?? task.Shots);
        var items = data.Items;
        var solved = Shots > 0 ? data.Solved : [];
        fields = new TaskFields(task, items.Take(1).Concat(solved.Take(1)).SelectMany(r => r.Select(f => f.Key)).ToHashSet());
        var fewshot = new Fewshot(task, solved, Shots);
        foreach (var row in limit > 0 ? items.Take(limit) : items)
            rows.Add((row, task.OutputType == "loglikelihood_rolling" ? "" : string.Concat(fewshot.Next(row).Select(Solved))));
    }

    internal TaskConfig Task => task;

    internal int Shots { get; }

    internal IEnumerable<EvalItem> Items => rows.Select((r, k) => new EvalItem($"{k}", r.Row) { Task = task.Name });

    internal IReadOnlyList<EvalRequest> Requests(EvalItem item)
    {
        var row = item.Document;
        if (task.OutputType == "loglikelihood_rolling") return [new EvalRequest.RollingLogLikelihood(Text(fields.Target(row), "doc_to_target"))];
        var question = fields.Question(row);
        if (task.OutputType == "generate_until") return [Generate(Context(item, Text(question, "doc_to_text")))];
        if (task.OutputType == "loglikelihood") return [LogLikelihood(Context(item, Text(question, "doc_to_text")), Text(fields.Target(row), "doc_to_target"))];
        var (choices, delimiter) = (Choices(row), chat ? "" : task.TargetDelimiter);
        // Where the question is a number, the choices are contexts of one continuation.
        List<EvalRequest> requests = Place(question) is not null
            ? [.. choices.Select(c => LogLikelihood(Context(item, c), delimiter + Text(fields.Target(row), "doc_to_target")))]
            : [.. Context(item, Text(question, "doc_to_text")) is var context ? choices.Select(c => LogLikelihood(context, delimiter + c)) : []];
        if (task.Metrics.Any(m => m.Name == "acc_mutual_info")) requests.AddRange(choices.Select(c => new EvalRequest.LogLikelihood("", delimiter + c)));
        return requests;
    }

    internal IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses) => task.OutputType switch
    {
        "generate_until" => [.. task.Filters.Select(f => OfText(item, f, responses[0].Texts[0]))],
        "multiple_choice" => OfChoices(item, responses),
        "loglikelihood" => Filtered(item, fields.Target(item.Document), Answers(responses), new() { ["perplexity"] = responses[0].LogProb, ["acc"] = responses[0].IsGreedy ? 1 : 0 }, []),
        _ => OfRolling(item, responses[0].LogProb),
    };

    // The description, the solved examples and the question; as a conversation, the description is the system's.
    private (string Text, IReadOnlyList<ChatTurn>? Messages) Context(EvalItem item, string question)
    {
        var (description, before) = (fields.Description(item.Document), rows[int.Parse(item.Id, System.Globalization.CultureInfo.InvariantCulture)].Before);
        if (!chat) return (description + before + question, null);
        return ("", [.. description.Length > 0 ? [new ChatTurn("system", description)] : (ChatTurn[])[], new ChatTurn("user", before + question)]);
    }

    private EvalRequest.LogLikelihood LogLikelihood((string Text, IReadOnlyList<ChatTurn>? Messages) context, string continuation) => new(context.Text, continuation) { Messages = context.Messages };

    private EvalRequest.Generate Generate((string Text, IReadOnlyList<ChatTurn>? Messages) context) => new(context.Text)
    {
        Messages = context.Messages,
        Until = task.Generation!.Until,
        MaxNewTokens = task.Generation.MaxNewTokens,
        Temperature = task.Generation.Temperature,
        TopP = task.Generation.Temperature > 0 ? task.Generation.TopP : 1,
        TopK = task.Generation.Temperature > 0 ? task.Generation.TopK : 0,
    };

    // One solved example with what parts it from the next.
    private string Solved(JsonObject row)
    {
        var config = task.Content["fewshot_config"] as JsonObject;
        var choices = fields.Choices(row, config?["doc_to_choice"]);
        var (question, answer) = (fields.Question(row, config?["doc_to_text"]), fields.Target(row, config?["doc_to_target"]));
        if (Place(question) is { } place) (question, choices) = (choices![place], null);
        if (answer is JsonArray { Count: > 0 } several) answer = several[0]!.DeepClone();
        var text = choices is not null && Place(answer) is { } at && at < choices.Count ? choices[at] : Text(answer, "doc_to_target");
        return Text(question, "doc_to_text") + (text.Length > 0 ? task.TargetDelimiter + text + task.FewshotDelimiter : "");
    }

    private IReadOnlyList<string> Choices(JsonObject row) => fields.Choices(row) is { Count: > 0 } choices ? choices : throw task.Fault("a multiple_choice task has no choices in a row", "write doc_to_choice");

    private ItemScore OfText(EvalItem item, TaskFilter filter, string response)
    {
        var target = fields.Target(item.Document);
        if (Place(target) is { } place && fields.Choices(item.Document) is { } choices) target = place < choices.Count ? choices[place] : throw task.Fault($"item {item.Id} has the answer {place} of {choices.Count} choices", "mend the row");
        var answer = TaskFilters.Apply(filter, response);
        // Of several right answers any counts.
        IReadOnlyList<string> right = target is JsonArray several ? [.. several.Select(t => t!.ToString())] : [target.ToString()];
        var (scores, details) = (new Dictionary<string, double>(), new JsonObject());
        foreach (var metric in task.Metrics)
            if (metric.Name == "exact_match") scores[metric.Name] = right.Any(r => AnswerExtraction.ExactMatch(answer, r, TaskMetrics.Match(metric.Options))) ? 1 : 0;
            else if (right.Count == 1) details[metric.Name] = new JsonArray(right[0], answer);
            else throw task.Fault($"metric {metric.Name} with several right answers", "give one answer for each row");
        return new ItemScore(item.Id, scores) { Task = task.Name, Filter = filter.Name, Target = target.DeepClone(), Answer = new JsonArray(answer), Details = details };
    }

    private IReadOnlyList<ItemScore> OfChoices(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var choices = Choices(item.Document);
        var question = fields.Question(item.Document);
        var (target, logProbs) = (Place(question) is not null ? question : fields.Target(item.Document), Choice.LogProbs(responses.Take(choices.Count)));
        var gold = Gold(item, target, choices);
        var predicted = Choice.Best(logProbs);
        double Right(IReadOnlyList<double> values) => gold.Contains(Choice.Best(values)) ? 1 : 0;
        var probabilities = Choice.Softmax(logProbs);
        var scores = new Dictionary<string, double>
        {
            ["acc"] = Right(logProbs),
            ["acc_norm"] = Right(Choice.PerCharacter(logProbs, choices)),
            ["acc_bytes"] = Right(Choice.PerByte(logProbs, choices)),
            ["exact_match"] = gold.Any(g => responses[g].IsGreedy) ? 1 : 0,
            ["brier_score"] = probabilities.Select((p, k) => Math.Pow(p - (k == gold[0] ? 1 : 0), 2)).Sum(),
        };
        if (responses.Count == 2 * choices.Count) scores["acc_mutual_info"] = Right([.. logProbs.Select((value, k) => value - responses[choices.Count + k].LogProb)]);
        var pair = new JsonArray(gold[0], predicted);
        return Filtered(item, target, Answers(responses), scores, new JsonObject { ["f1"] = pair, ["mcc"] = pair.DeepClone() });
    }

    private IReadOnlyList<ItemScore> OfRolling(EvalItem item, double logProb)
    {
        var text = Text(fields.Target(item.Document), "doc_to_target");
        var (words, bytes) = ((double)Blanks().Split(text).Length, (double)Encoding.UTF8.GetByteCount(text));
        return Filtered(item, text, new JsonArray(logProb), [], new JsonObject { ["word_perplexity"] = new JsonArray(logProb, words), ["byte_perplexity"] = new JsonArray(logProb, bytes), ["bits_per_byte"] = new JsonArray(logProb, bytes) });
    }

    // What the task asks for of what is known, for each of its filters: numbers are the same under all.
    private IReadOnlyList<ItemScore> Filtered(EvalItem item, JsonNode target, JsonArray answers, Dictionary<string, double> scores, JsonObject details)
    {
        var wanted = task.Metrics.Select(m => m.Name).ToHashSet();
        return [.. task.Filters.Select(filter => new ItemScore(item.Id, scores.Where(s => wanted.Contains(s.Key)).ToDictionary(s => s.Key, s => s.Value))
        {
            Task = task.Name,
            Filter = filter.Name,
            Target = target.DeepClone(),
            Answer = answers.DeepClone(),
            Details = new JsonObject(details.Where(d => wanted.Contains(d.Key)).Select(d => new KeyValuePair<string, JsonNode?>(d.Key, d.Value!.DeepClone()))),
        })];
    }

    private int[] Gold(EvalItem item, JsonNode target, IReadOnlyList<string> choices)
    {
        int One(JsonNode? node) => Place(node) ?? (node is JsonValue value && value.TryGetValue<string>(out var text) ? choices.ToList().IndexOf(text) : -1);
        int[] gold = target is JsonArray several ? [.. several.Select(One)] : [One(target)];
        return gold.Length > 0 && gold.All(g => g >= 0 && g < choices.Count) ? gold : throw task.Fault($"item {item.Id} has the answer {target.ToJsonString()}, which is none of its {choices.Count} choices", "mend the row");
    }

    private static JsonArray Answers(IReadOnlyList<EvalResponse> responses) => new([.. responses.Select(r => (JsonNode)new JsonArray(r.LogProb, r.IsGreedy))]);

    private static int? Place(JsonNode? node) => node is JsonValue value && value.GetValueKind() == System.Text.Json.JsonValueKind.Number ? value.TryGetValue<int>(out var place) ? place : value.TryGetValue<long>(out var wide) ? (int)wide : null : null;

    private string Text(JsonNode node, string field) => fields.Text(node, field);

    [GeneratedRegex(@"\s+", RegexOptions.CultureInvariant)]
    private static partial Regex Blanks();
}
