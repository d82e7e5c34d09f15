// One task during an evaluation: its rows as items, the requests of each, and each answer's scores.

using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Core.Metrics;
using PeftAlign.Core.Statistics;
using PeftAlign.Eval.Benchmarks;
using PeftAlign.Eval.Scoring;

namespace PeftAlign.Eval.Tasks;

internal sealed partial class TaskItems
{
    // The harness's mark of an answer that is none of the choices.
    private const int Nowhere = -100;

    private readonly TaskConfig task;
    private readonly TaskFields fields;
    private readonly bool chat, turns;
    private readonly Action<string> warn;
    private readonly Lazy<bool> severalRight, severalContexts;
    private bool warned;
    private readonly IReadOnlyList<JsonObject> all;
    private readonly List<(JsonObject Row, IReadOnlyList<(string Question, string Answer)> Solved)> rows = [];

    /// <param name="task">The task.</param>
    /// <param name="data">Its rows.</param>
    /// <param name="options">How many rows, how many solved examples, and whether prompts are conversations.</param>
    /// <param name="warn">Told of what counts although it looks like a mistake.</param>
    internal TaskItems(TaskConfig task, TaskData data, TasksOptions options, Action<string> warn)
    {
        // A task that says 0 itself cannot stand with examples: the harness leaves it so.
        var none = task.Content["num_fewshot"] is not null && task.Shots == 0;
        if (none && options.Shots > 0) warn($"task {task.Name} says num_fewshot: 0 and keeps it; shots: {options.Shots} is for the others");
        (this.task, chat, turns, this.warn, Shots) = (task, options.Chat, options.FewshotAsMultiturn != false, warn, none ? 0 : options.Shots ?? task.Shots);
        var items = all = data.Items;
        var solved = Shots > 0 ? data.Solved : [];
        fields = new TaskFields(task, items[0].Select(f => f.Key).ToHashSet());
        // The harness looks at the first row.
        severalRight = new(() => fields.Target(items[0]) is JsonArray { Count: > 0 });
        severalContexts = new(() => task.Content["doc_to_choice"] is not null && Place(fields.Question(items[0])) is not null);
        var fewshot = new Fewshot(task, solved, Shots);
        foreach (var row in options.Limit > 0 ? items.Take(options.Limit) : items)
            rows.Add((row, task.OutputType == "loglikelihood_rolling" ? [] : [.. fewshot.Next(row).Select(Solved)]));
        if (task.Generation?.Until.Contains("") == true) warn($"task {task.Name}: an empty text of generation_kwargs.until (or of fewshot_delimiter, which stands for it) ends every answer after one token, as in lm-evaluation-harness; take it out unless one token is meant");
        Check();
    }

    // What cannot be counted would end the evaluation only after all items were asked.
    private void Check()
    {
        if (task.OutputType == "generate_until" && task.Metrics.FirstOrDefault(m => m.Name != "exact_match") is { } corpus && severalRight.Value) throw task.Fault($"metric {corpus.Name} with several right answers", "give one answer for each row");
        if (task.OutputType != "multiple_choice") return;
        foreach (var item in Items) if (!severalContexts.Value) Asked(fields.Question(item.Document));
        var answers = Items.SelectMany(item => Gold(item, Label(item.Document), Choices(item.Document))).Distinct().Count();
        if (answers > 2 && task.Metrics.Any(m => m.Name == "f1")) throw task.Fault($"metric f1 is of two classes, and the rows have {answers} different answers", "take it out, or use mcc or acc");
    }

    internal TaskConfig Task => task;

    internal int Shots { get; }

    /// <summary>Rows of the split, also those that a limit leaves out.</summary>
    internal int Available => all.Count;

    internal IEnumerable<EvalItem> Items => rows.Select((r, k) => new EvalItem($"{k}", r.Row) { Task = task.Name });

    internal IReadOnlyList<EvalRequest> Requests(EvalItem item)
    {
        var row = item.Document;
        if (task.OutputType == "loglikelihood_rolling") return [new EvalRequest.RollingLogLikelihood(Text(fields.Target(row), "doc_to_target"))];
        var question = fields.Question(row);
        if (task.OutputType == "generate_until") return [Generate(Context(item, Asked(question)))];
        if (task.OutputType == "loglikelihood") return [LogLikelihood(Context(item, Asked(question)), Text(fields.Target(row), "doc_to_target"))];
        var (choices, delimiter) = (Choices(row), chat ? "" : task.TargetDelimiter);
        // Where the questions are numbers, the choices are contexts of one continuation.
        List<EvalRequest> requests = severalContexts.Value
            ? [.. choices.Select(c => LogLikelihood(Context(item, c), delimiter + TaskFields.Printed(fields.Target(row))))]
            : [.. Context(item, Asked(question)) is var context ? choices.Select(c => LogLikelihood(context, delimiter + c)) : []];
        if (task.Metrics.Any(m => m.Name == "acc_mutual_info")) requests.AddRange(choices.Select(c => new EvalRequest.LogLikelihood("", delimiter + c)));
        return requests;
    }

    internal IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses) => task.OutputType switch
    {
        "generate_until" => [.. task.Filters.Select(f => OfGenerated(item, f, responses[0].Texts[0]))],
        "multiple_choice" => OfChoices(item, responses),
        "loglikelihood" => Filtered(item, fields.Target(item.Document), Answers(responses), new() { ["perplexity"] = responses[0].LogProb, ["acc"] = responses[0].IsGreedy ? 1 : 0 }, []),
        _ => OfRolling(item, responses[0].LogProb),
    };

    private (string Text, IReadOnlyList<ChatTurn>? Messages) Context(EvalItem item, string question)
    {
        var prompt = new SolvedPrompt(fields.Description(item.Document), rows[int.Parse(item.Id, CultureInfo.InvariantCulture)].Solved) { TargetDelimiter = task.ExampleTargetDelimiter, ExampleDelimiter = task.ExampleDelimiter };
        return chat ? ("", prompt.Messages(question, turns)) : (prompt.Text(question), null);
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

    // One solved example; its answer may be empty.
    private (string Question, string Answer) Solved(JsonObject row)
    {
        var config = task.Content["fewshot_config"] as JsonObject;
        var choices = fields.Choices(row, config?["doc_to_choice"]);
        var (question, answer) = (fields.Question(row, config?["doc_to_text"]), fields.Target(row, config?["doc_to_target"]));
        if (severalContexts.Value)
            (question, choices) = (Chosen(choices ?? [], Place(question) ?? throw task.Fault($"a solved example has the question {question.ToJsonString()}, and the first row the number of a choice", "give numbers in all rows, or put a word into doc_to_text")), null);
        if (answer is JsonArray { Count: > 0 } several) answer = several[0]?.DeepClone();
        var text = answer is null ? "" : choices is not null && Place(answer) is { } at ? Chosen(choices, at) : Text(answer, "doc_to_target");
        return (Asked(question), text);
    }

    // A number is the place of the right context in all rows or in none.
    private string Asked(JsonNode question) => task.Content["doc_to_choice"] is not null && !severalContexts.Value && Place(question) is { } place
        ? throw task.Fault($"a row has the question {place}, which lm-evaluation-harness takes for the number of a choice, and the first row has a text", "put a word beside it into doc_to_text, or give numbers in all rows")
        : Text(question, "doc_to_text");

    private IReadOnlyList<string> Choices(JsonObject row) => fields.Choices(row) is { Count: > 0 } choices ? choices : throw task.Fault("a multiple_choice task has no choices in a row", "write doc_to_choice");

    private ItemScore OfGenerated(EvalItem item, TaskFilter filter, string response)
    {
        try
        {
            return OfText(item, filter, response);
        }
        catch (StatisticsException e)
        {
            throw task.Fault($"filter '{filter.Name}', item {item.Id}: {e.Message.TrimEnd('.')}", "see filter_list and metric_list");
        }
    }

    private ItemScore OfText(EvalItem item, TaskFilter filter, string response)
    {
        var target = fields.Target(item.Document);
        var chosen = Place(target) is { } place && fields.Choices(item.Document) is { } choices ? Chosen(choices, place) : null;
        var answer = TaskFilters.Apply(filter, response);
        IReadOnlyList<string> right = chosen is not null ? [chosen] : severalRight.Value ? Several(target) : [TaskFields.Printed(target)];
        var (scores, details) = (new Dictionary<string, double>(), new JsonObject());
        foreach (var metric in task.Metrics)
            if (metric.Name == "exact_match") scores[metric.Name] = right.Any(r => AnswerExtraction.ExactMatch(answer, r, TaskMetrics.Match(metric.Options))) ? 1 : 0;
            else details[metric.Name] = new JsonArray(right[0], answer);
        return new ItemScore(item.Id, scores) { Task = task.Name, Filter = filter.Name, Target = target?.DeepClone(), Answer = new JsonArray(filter.TakesFirst ? answer : new JsonArray(answer)), Details = details };
    }

    private IReadOnlyList<ItemScore> OfChoices(EvalItem item, IReadOnlyList<EvalResponse> responses)
    {
        var choices = Choices(item.Document);
        var (target, logProbs) = (Label(item.Document), Choice.LogProbs(responses.Take(choices.Count)));
        var gold = Gold(item, target, choices);
        var predicted = Choice.Best(logProbs);
        double Right(IReadOnlyList<double> values) => gold.Contains(Choice.Best(values)) ? 1 : 0;
        var probabilities = Choice.Softmax(logProbs);
        var scores = new Dictionary<string, double>
        {
            ["acc"] = Right(logProbs),
            ["acc_norm"] = Right(Choice.PerCharacter(logProbs, choices)),
            ["acc_bytes"] = Right(Choice.PerByte(logProbs, choices)),
            ["exact_match"] = gold.Any(g => g != Nowhere && FromEnd(g, responses.Count) is >= 0 and var at && responses[at].IsGreedy) ? 1 : 0,
            ["brier_score"] = probabilities.Select((p, k) => Math.Pow(p - (k == FromEnd(gold[0], choices.Count) ? 1 : 0), 2)).Sum(),
        };
        if (responses.Count == 2 * choices.Count) scores["acc_mutual_info"] = Right([.. logProbs.Select((value, k) => value - responses[choices.Count + k].LogProb)]);
        var pair = new JsonArray(gold[0], predicted);
        return Filtered(item, fields.Target(item.Document), Answers(responses), scores, new JsonObject { ["f1"] = pair, ["mcc"] = pair.DeepClone() });
    }

    private IReadOnlyList<ItemScore> OfRolling(EvalItem item, double logProb)
    {
        var text = Text(fields.Target(item.Document), "doc_to_target");
        var (words, bytes) = ((double)Blanks().Split(text).Length, (double)Encoding.UTF8.GetByteCount(text));
        return Filtered(item, text, new JsonArray(logProb), [], new JsonObject { ["word_perplexity"] = new JsonArray(logProb, words), ["byte_perplexity"] = new JsonArray(logProb, bytes), ["bits_per_byte"] = new JsonArray(logProb, bytes) });
    }

    // What the task asks for of what is known, for each of its filters: numbers are the same under all.
    private IReadOnlyList<ItemScore> Filtered(EvalItem item, JsonNode? target, JsonArray answers, Dictionary<string, double> scores, JsonObject details)
    {
        var wanted = task.Metrics.Select(m => m.Name).ToHashSet();
        return [.. task.Filters.Select(filter => new ItemScore(item.Id, scores.Where(s => wanted.Contains(s.Key)).ToDictionary(s => s.Key, s => s.Value))
        {
            Task = task.Name,
            Filter = filter.Name,
            Target = target?.DeepClone(),
            Answer = answers.DeepClone(),
            Details = new JsonObject(details.Where(d => wanted.Contains(d.Key)).Select(d => new KeyValuePair<string, JsonNode?>(d.Key, d.Value!.DeepClone()))),
        })];
    }

    // Where the questions are numbers, they say which context is right.
    private JsonNode? Label(JsonObject row) => severalContexts.Value ? fields.Question(row) : fields.Target(row);

    // pandas makes a column of whole numbers one of floats where a cell is empty.
    private string Emptied(JsonNode? target)
    {
        static bool IsWhole(JsonNode? node) => node?.GetValueKind() == JsonValueKind.Number && double.IsInteger(node.GetValue<double>());
        if (task.Text("dataset_path") != "csv" || !IsWhole(target) || task.Content["doc_to_target"] is not JsonValue field || !field.TryGetValue<string>(out var column) || !all[0].ContainsKey(column)) return "";
        var empty = all.TakeWhile(row => row[column] is not null).Count();
        return empty < all.Count && all.All(row => row[column] is null || IsWhole(row[column])) ? $" (the column '{column}' holds {target!.ToJsonString()} because it is empty in item {empty})" : "";
    }

    // An answer that is none of the choices is never right; a metric that needs its place cannot count it.
    private int[] Gold(EvalItem item, JsonNode? target, IReadOnlyList<string> choices)
    {
        UserErrorException Fault() => task.Fault($"item {item.Id} has the answer {target?.ToJsonString() ?? "null"}, which is none of its {choices.Count} choices{Emptied(target)}", "mend the row");
        int One(JsonNode? node) => Place(node) is { } place ? place < choices.Count ? place : Nowhere
            : node is JsonValue value && value.TryGetValue<string>(out var text) ? choices.ToList().IndexOf(text) is >= 0 and var found ? found : Nowhere : throw Fault();
        int[] gold = target is JsonArray several ? [.. several.Select(One)] : [One(target)];
        if (gold.Length == 0 || (gold.Contains(Nowhere) && task.Metrics.Any(m => m.Name is "f1" or "brier_score"))) throw Fault();
        if (gold.Contains(Nowhere) && !warned) warn($"task {task.Name}: item {item.Id} has the answer {target?.ToJsonString()}, which is none of its {choices.Count} choices; it counts as wrong, and so do others like it");
        warned |= gold.Contains(Nowhere);
        return gold;
    }

    // Of several right answers any counts, compared as numpy compares a text with a list: among texts numbers are texts too, numbers alone
    // equal none. A text in the place of a list is the list of its characters.
    private string[] Several(JsonNode? target)
    {
        if (target is JsonValue value && value.TryGetValue<string>(out var text)) return [.. text.EnumerateRunes().Select(r => r.ToString())];
        if (target is not JsonArray list) throw task.Fault($"a row has the answer {TaskFields.Printed(target)}, and the first row a list of answers", "give lists in all rows");
        bool IsText(JsonNode? node) => node?.GetValueKind() == JsonValueKind.String;
        var printed = list.Any(IsText) && list.All(node => node is JsonValue);
        return [.. list.Where(node => printed || IsText(node)).Select(TaskFields.Printed)];
    }

    // A place before the first is counted from the end, as in Python's lists.
    private string Chosen(IReadOnlyList<string> choices, int place) =>
        FromEnd(place, choices.Count) is >= 0 and var at && at < choices.Count ? choices[at] : throw task.Fault($"a row has the answer {place} of {choices.Count} choices", "mend the row");

    private static int FromEnd(int place, int count) => place < 0 ? place + count : place;

    private static JsonArray Answers(IReadOnlyList<EvalResponse> responses) => new([.. responses.Select(r => (JsonNode)new JsonArray(r.LogProb, r.IsGreedy))]);

    // A whole number or, as Python counts, a boolean.
    private static int? Place(JsonNode? node) => node?.GetValueKind() switch
    {
        JsonValueKind.True => 1,
        JsonValueKind.False => 0,
        JsonValueKind.Number when long.TryParse(node.ToJsonString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var place) => (int)Math.Clamp(place, int.MinValue, int.MaxValue),
        _ => null,
    };

    private string Text(JsonNode? node, string field) => fields.Text(node, field);

    // Python's white space, to which the four information separators belong.
    [GeneratedRegex(@"[\s\x1c-\x1f]+", RegexOptions.CultureInvariant)]
    private static partial Regex Blanks();
}
