// Win rates on the prompts of a dataset: the model's answer against the chosen one, another model's, or another run's; with a reward
// model as judge this is MEET's reward-model win rate.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Comparisons;

/// <summary>Options of winrate.</summary>
public sealed class WinrateOptions : PairOptions
{
    /// <summary>The dataset whose prompts the model answers; its chosen answers (or completions) are the baseline where neither a model
    /// nor records are given.</summary>
    public DatasetReference? Dataset { get; set; }

    /// <summary>A model of the manifest whose answers are the baseline: it is asked as the model under evaluation is.</summary>
    public ModelReference? Baseline { get; set; }

    /// <summary>The baseline's answers: samples of another run's evaluation, AlpacaEval's outputs, rows {prompt, response}, rows of generate.</summary>
    [OptionNames("path")]
    public string? Records { get; set; }

    /// <summary>The model's answers from such a file too: nothing is asked of a model.</summary>
    [OptionNames("path")]
    public string? Answers { get; set; }

    /// <summary>What was asked, rows {prompt} in the answers' order, where neither file says it.</summary>
    [OptionNames("path")]
    [OptionOnlyWith("answers")]
    public string? Prompts { get; set; }

    /// <summary>Judgements that were made already, as AlpacaEval writes them (JSON, or CSV with model, preference, len_output_1 and
    /// len_output_2): nothing is asked of anybody.</summary>
    [OptionNames("path")]
    public string? Annotations { get; set; }

    /// <summary>Of annotations of several models, the one; without it all, a row each.</summary>
    [OptionOnlyWith("annotations")]
    public string? Model { get; set; }

    /// <summary>AlpacaEval's data (instructions, difficulties, published weights), for the length-controlled rate.</summary>
    [OptionNames("path")]
    public string? Path { get; set; }

    /// <summary>The benchmark that the options ask for.</summary>
    internal IBenchmark Benchmark(IPluginContext context)
    {
        if (Annotations is not null)
        {
            if (Judge is not null || Dataset is not null || Records is not null || Answers is not null || Baseline is not null) throw new UserErrorException("winrate: annotations hold the judgements already; leave out judge, dataset, baseline, records and answers.");
            return new AnnotatedPairs(this);
        }
        if (Baseline is not null && (Records is not null || Answers is not null)) throw new UserErrorException($"winrate: the baseline's answers are written by a model and come from {Records ?? Answers}; leave out baseline, or {(Records is null ? "answers" : "records")}.");
        if (Answers is not null)
        {
            if (Dataset is not null) throw new UserErrorException("winrate: answers come from a file, so no dataset's prompts are asked; leave out dataset.");
            return new AnsweredPairs(this);
        }
        return new WinrateBenchmark(this, context);
    }
}

internal sealed class WinrateBenchmark(WinrateOptions options, IPluginContext context) : AskedPairs("winrate", 2, options, options.Path)
{
    private IReadOnlyList<EvalResponse>? written; // asked once, however often the items are read

    protected override IEnumerable<EvalItem> All()
    {
        if (options.Dataset is null) throw new UserErrorException("winrate needs a dataset of prompts, or answers of a run; give one of them.");
        var rows = context.Lent<IDatasets>().Open(options.Dataset);
        if (options.Baseline is { } model) return Against(model, options.Limit > 0 ? rows.Take(options.Limit) : rows);
        var known = options.Records is null ? null : Known(options.Records);
        Baseline = known?.First().Value.Generator ?? "chosen answers";
        return rows.Select((row, k) =>
        {
            var prompt = DatasetPrompt.Of(row);
            var (baseline, by) = known is null ? (Chosen(row), "chosen") : known.TryGetValue(prompt.Text, out var record) ? (record.Answer, record.Generator)
                : throw new UserErrorException($"{row.Source}, row {row.Row}: {options.Records} has no answer to this prompt; it must come from a run over the same dataset.");
            return Item(k, prompt, baseline, by);
        });
    }

    // The other model answers all prompts before the model under evaluation is loaded: two need not be held at once.
    private IEnumerable<EvalItem> Against(ModelReference model, IEnumerable<DataRecord> rows)
    {
        var other = context.Lent<IModels>().Open(model);
        var asked = rows.Select((row, k) => Item(k, DatasetPrompt.Of(row), "", Baseline = other.Name)).ToList();
        var answers = written ??= other.Answer([.. asked.SelectMany(Requests)]);
        foreach (var (item, k) in asked.Select((item, k) => (item, k))) item.Document["output_1"] = Answer([answers[k]]);
        return asked;
    }

    private EvalItem Item(int row, (string Text, JsonArray? Messages) prompt, string baseline, string by)
    {
        var document = Pair.Document(prompt.Text, "", baseline, by, difficulty: Difficulty(prompt.Text, null));
        if (prompt.Messages is { } messages) document["messages"] = messages;
        return new EvalItem($"{row}", document);
    }

    private static Dictionary<string, AnswerRow> Known(string file)
    {
        var known = new Dictionary<string, AnswerRow>();
        foreach (var (row, k) in AnswerRows.Read(file).Select((row, k) => (row, k)))
            known.TryAdd(row.Prompt ?? throw new UserErrorException($"{file}, row {k + 1} does not say what was asked; give samples of an evaluation, or rows with a prompt."), row);
        return known;
    }

    private static string Chosen(DataRecord row)
    {
        var name = row.Has("chosen") ? "chosen" : "completion";
        return row.Fields[name] is JsonArray turns ? DatasetPrompt.Said(turns) : row.Text(name).Trim();
    }
}

/// <summary>A row's prompt: text, or a conversation.</summary>
internal static class DatasetPrompt
{
    /// <summary>What a judge reads, and the conversation where it is one.</summary>
    internal static (string Text, JsonArray? Messages) Of(DataRecord row) =>
        row.Fields["prompt"] is JsonArray turns ? (Text(turns), turns.DeepClone().AsArray()) : (row.Text("prompt"), null);

    /// <summary>What a judge reads: the text, or all turns as one, a system's too, which says how the answer is to be. One turn is its text;
    /// several are told apart by who says them.</summary>
    internal static string Text(JsonNode prompt) => prompt is not JsonArray turns ? (string)prompt!
        : turns.Count == 1 ? Said(turns) : string.Join("\n\n", turns.Select(t => $"{(string?)t!["role"]}: {(string?)t["content"]}"));

    /// <summary>What the last turn says.</summary>
    internal static string Said(JsonArray turns) => (string?)turns.LastOrDefault()?["content"] ?? "";
}
