// AlpacaEval (Li et al. 2023; length-controlled, Dubois et al. 2024): the model answers the instructions, a judge compares each answer
// with a baseline's. The numbers are the tool's; with another judge than the leaderboard's they are this judge's win rates, no AlpacaEval.

using PeftAlign.Abstractions;
using PeftAlign.Eval.Files;

namespace PeftAlign.Eval.Comparisons;

/// <summary>Options of alpaca_eval.</summary>
public sealed class AlpacaEvalOptions : PairOptions
{
    /// <summary>The instructions, a JSON list (alpaca_eval.json, instructions_805.json), or the folder that holds them, baselines' outputs
    /// (model_outputs/NAME.json) and difficulties.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>Whose outputs the answers are compared with: a file of model_outputs. Without it, the outputs beside the instructions, else
    /// those of gpt4_1106_preview.</summary>
    public string? Baseline { get; set; }

    /// <summary>The baseline's outputs as a file of their own.</summary>
    [OptionNames("path")]
    public string? BaselineOutputs { get; set; }
}

internal sealed class AlpacaEvalBenchmark(AlpacaEvalOptions options) : AskedPairs("alpaca_eval", 1, options, Directory.Exists(options.Path) ? options.Path : null)
{
    private const string Usual = "gpt4_1106_preview";

    protected override IEnumerable<EvalItem> All()
    {
        var file = Instructions.File(options.Path) ?? throw new UserErrorException($"{options.Path} holds no instructions (alpaca_eval.json or instructions_805.json); fetch them, or give the file itself as path.");
        var rows = RowFile.Read(file, csv: false);
        var prompts = rows.Select((row, k) => AnswerRows.Prompt(row) ?? throw new UserErrorException($"{file}, item {k + 1} has no instruction; mend or remove it.")).ToList();
        var outputs = Outputs(file, rows.All(r => r["output"] is not null));
        Baseline = outputs[0].Generator;
        return [.. prompts.Select((prompt, k) => new EvalItem($"{k}", Pair.Document(prompt, (string?)rows[k]["dataset"] ?? "", outputs[k].Answer, outputs[k].Generator, difficulty: Difficulty(prompt, k))))];

        IReadOnlyList<AnswerRow> Outputs(string instructions, bool complete)
        {
            var source = options.BaselineOutputs ?? (options.Baseline is null && complete ? instructions : Found(options.Baseline ?? Usual));
            var known = new Dictionary<string, AnswerRow>();
            foreach (var row in AnswerRows.Read(source)) known.TryAdd(row.Prompt ?? "", row);
            return [.. prompts.Select((prompt, k) => known.GetValueOrDefault(prompt) ?? throw new UserErrorException($"{source} has no output for instruction {k + 1} of {instructions}; give the baseline's outputs for all of them."))];
        }
    }

    private string Found(string name)
    {
        var folder = Directory.Exists(options.Path) ? options.Path : System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(options.Path))!;
        var outputs = System.IO.Path.Combine(folder, "model_outputs");
        foreach (var place in (string[])[outputs, folder])
            foreach (var ending in (string[])[".json", ".json.gz", ".jsonl", ".jsonl.gz"])
                if (File.Exists(System.IO.Path.Combine(place, name + ending))) return System.IO.Path.Combine(place, name + ending);
        var there = Directory.Exists(outputs) ? string.Join(", ", Directory.EnumerateFiles(outputs).Select(AnswerRows.Name).Order(StringComparer.Ordinal)) : "";
        throw new UserErrorException($"baseline '{name}': {folder}/model_outputs has no such outputs{(there.Length > 0 ? $"; it has {there}" : "")}. Name another baseline, or give a file as baseline_outputs.");
    }
}
