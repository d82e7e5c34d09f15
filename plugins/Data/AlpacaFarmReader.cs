// Comparisons in AlpacaFarm's schema (Dubois et al. 2023, arXiv 2305.14387), which AlpacaEval's annotations share: instruction, perhaps
// input, output_1, output_2, preference (1, 2, 0 for a tie, or a number from 1 to 2 for annotators that weigh). Ties, rows without a
// verdict and rows with an empty or two equal outputs are left out and counted.

using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using PeftAlign.Abstractions;
using PeftAlign.Data.Files;

namespace PeftAlign.Data;

/// <summary>Options of alpaca-farm.</summary>
public sealed class AlpacaFarmOptions
{
    /// <summary>A file of rows (.json or .jsonl, .gz or not), or a folder with a file for each split.</summary>
    [OptionRequired]
    [OptionNames("path")]
    public string Path { get; set; } = "";

    /// <summary>messages: the instruction, with the input below it, as a user's message; text: Alpaca's prompt with its headings.</summary>
    [OptionChoices("messages", "text")]
    public string Format { get; set; } = "messages";
}

internal sealed class AlpacaFarmReader(AlpacaFarmOptions options, ILogger? logger) : IDatasetReader
{
    private const double Tie = 1.5;

    public IEnumerable<DataRecord> Read(string? split) => Rows(RowFiles.Find("alpaca-farm", options.Path, split));

    private IEnumerable<DataRecord> Rows(string file)
    {
        var (rows, undecided, dropped) = (0, 0, 0);
        foreach (var source in RowFiles.Read(file))
        {
            rows++;
            if (Preference(source) is not { } preference || preference == Tie)
            {
                undecided++;
                continue;
            }
            string[] outputs = [source.Text("output_1"), source.Text("output_2")];
            var (chosen, rejected) = preference < Tie ? (outputs[0], outputs[1]) : (outputs[1], outputs[0]);
            if (chosen.Trim().Length == 0 || rejected.Trim().Length == 0 || chosen == rejected) dropped++;
            else yield return source with { Fields = Conversations.Pair(options.Format, Prompt(source), chosen, rejected) };
        }
        logger?.LogInformation("{File}: {Rows} rows; {Undecided} undecided and {Dropped} with an empty or two equal outputs were left out", file, rows, undecided, dropped);
    }

    private static double? Preference(DataRecord row)
    {
        if (row.Fields["preference"] is not JsonValue value) return row.Fields.ContainsKey("preference") ? null : throw row.Wrong("preference", "1, 2, a number between them, or 0 for a tie");
        return value.TryGetValue<double>(out var number) && (double.IsNaN(number) || number is 0 or (>= 1 and <= 2)) ? double.IsNaN(number) || number == 0 ? null : number : throw row.Wrong("preference", "1, 2, a number between them, or 0 for a tie");
    }

    private string Prompt(DataRecord row)
    {
        var (instruction, input) = (row.Text("instruction"), row.Has("input") ? row.Text("input") : "");
        if (options.Format == "messages") return input.Length == 0 ? instruction : $"{instruction}\n\n{input}";
        return input.Length == 0
            ? $"Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
            : $"Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n";
    }
}
