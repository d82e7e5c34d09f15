// Two files of answers before a judge: no model is asked.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Files;

namespace PeftAlign.Eval.Comparisons;

internal sealed class AnsweredPairs(WinrateOptions options) : IBenchmark
{
    private readonly LengthControl length = new(options.LengthControlled, options.Path, options.Gamed);
    private string baseline = "", model = "";
    private string? how;

    private JudgeReference Judge { get; } = options.Judge ?? throw new UserErrorException("winrate needs a judge to compare answers with; name one, or give annotations.");

    public BenchmarkInfo Info
    {
        get
        {
            var settings = PairTable.Settings(PairTable.Annotator(Judge), baseline, options.Order);
            (settings["model"], settings["length_controlled"]) = (model, how);
            return new BenchmarkInfo("winrate", 2) { Settings = settings };
        }
    }

    public IEnumerable<EvalItem> Items()
    {
        var records = options.Records ?? throw new UserErrorException("winrate: answers need records to be compared with; give the baseline's file.");
        var prompts = options.Prompts is { } file ? RowFile.Read(file, csv: false).Select((row, k) => AnswerRows.Prompt(row) ?? throw new UserErrorException($"{file}, row {k + 1} has no prompt.")).ToList() : null;
        var pairs = AnswerRows.Joined(AnswerRows.Read(options.Answers!), AnswerRows.Read(records), prompts, (options.Answers!, records));
        (model, baseline) = (pairs[0].Own.Generator, pairs[0].Other.Generator);
        var items = pairs.Select((pair, k) => new EvalItem($"{k}", Pair.Document(pair.Prompt, pair.Own.Dataset, pair.Other.Answer, pair.Other.Generator, pair.Own.Answer, pair.Own.Generator, length.Difficulty(pair.Prompt, null))));
        return options.Limit > 0 ? items.Take(options.Limit) : items;
    }

    public IReadOnlyList<EvalRequest> Requests(EvalItem item) => Pair.Questions(Judge, options.Order, item, Answer(item));

    public IReadOnlyList<ItemScore> Score(EvalItem item, IReadOnlyList<EvalResponse> responses) =>
        [Pair.Score(item, Answer(item), null, options.Order, [.. responses.Select(r => r.Judgement!)])];

    public IReadOnlyList<MetricResult> Aggregate(IReadOnlyList<ItemScore> items) => PairTable.Of(items, model, length, note => how = note);

    private static string Answer(EvalItem item) => (string)item.Document["output_2"]!;
}
