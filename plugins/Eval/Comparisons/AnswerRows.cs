// Answers of a run as files hold them: AlpacaEval's outputs (instruction, output, generator), samples of an evaluation (doc and what the
// model wrote), rows of `generate` (text alone), or rows with prompt and response. Two files are joined by their prompts, or row by row
// where they have none.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Eval.Files;

namespace PeftAlign.Eval.Comparisons;

/// <param name="Prompt">What was asked; null where the file does not say.</param>
/// <param name="Answer">What was answered.</param>
/// <param name="Generator">Who answered: as the row says, else the file's name.</param>
/// <param name="Dataset">The part of the prompts that the row belongs to; empty for none.</param>
internal sealed record AnswerRow(string? Prompt, string Answer, string Generator, string Dataset);

internal static class AnswerRows
{
    private static readonly string[] PromptKeys = ["instruction", "prompt", "question", "input"], AnswerKeys = ["output", "response", "completion", "text", "chosen"];

    /// <summary>The answers of a file, in order.</summary>
    /// <exception cref="UserErrorException">The file is missing or broken, or a row has no answer.</exception>
    internal static IReadOnlyList<AnswerRow> Read(string path)
    {
        var name = Name(path);
        return [.. RowFile.Read(path, csv: false).Select((row, k) => new AnswerRow(
            Prompt(row),
            Answer(row) ?? throw new UserErrorException($"{path}, row {k + 1} has no answer; it needs one of {string.Join(", ", AnswerKeys)}, or filtered_resps of an evaluation's samples."),
            Text(row, "generator") ?? name,
            Text(row, "dataset") ?? (row["doc"] is JsonObject doc ? Text(doc, "dataset") : null) ?? ""))];
    }

    /// <summary>What a row asks; null where it does not say.</summary>
    internal static string? Prompt(JsonObject row) =>
        First(row, PromptKeys) ?? (row["doc"] is JsonObject doc ? First(doc, PromptKeys) : null) ?? Said(row["messages"] as JsonArray ?? row["prompt"] as JsonArray);

    // A conversation asks what its user says last.
    private static string? Said(JsonArray? turns) => turns?.OfType<JsonObject>().LastOrDefault(turn => Text(turn, "role") == "user") is { } last ? Text(last, "content") : null;

    /// <summary>Pairs of both files' rows with one prompt.</summary>
    /// <param name="own">The model's answers.</param>
    /// <param name="other">The baseline's.</param>
    /// <param name="prompts">What was asked, row by row, where the files do not say; null for none.</param>
    /// <param name="names">Both files, for errors.</param>
    /// <exception cref="UserErrorException">The rows do not belong together.</exception>
    internal static IReadOnlyList<(string Prompt, AnswerRow Own, AnswerRow Other)> Joined(IReadOnlyList<AnswerRow> own, IReadOnlyList<AnswerRow> other, IReadOnlyList<string>? prompts, (string Own, string Other) names)
    {
        if (prompts is null && own.All(r => r.Prompt is not null) && other.All(r => r.Prompt is not null) && Unique(own) && Unique(other)) return ByPrompt(own, other, names);
        if (own.Count != other.Count)
            throw new UserErrorException($"{names.Own} has {own.Count} rows, {names.Other} {other.Count}; without a prompt of its own in every row they are compared row by row. Give files of equal length, or rows with a prompt.");
        if (prompts is not null && prompts.Count != own.Count) throw new UserErrorException($"The file of prompts has {prompts.Count} rows, the answers {own.Count}; give one for each.");
        return [.. own.Zip(other).Select((pair, k) => (Asked(pair.First, pair.Second, prompts, k, names), pair.First, pair.Second))];
    }

    /// <summary>A file's name without what says its format.</summary>
    internal static string Name(string path)
    {
        var name = Path.GetFileName(path);
        foreach (var ending in (string[])[".gz", ".jsonl", ".json", ".csv"])
            if (name.EndsWith(ending, StringComparison.Ordinal)) name = name[..^ending.Length];
        return name;
    }

    private static bool Unique(IReadOnlyList<AnswerRow> rows) => rows.Select(r => r.Prompt).Distinct().Count() == rows.Count;

    private static IReadOnlyList<(string, AnswerRow, AnswerRow)> ByPrompt(IReadOnlyList<AnswerRow> own, IReadOnlyList<AnswerRow> other, (string Own, string Other) names)
    {
        var known = other.ToDictionary(r => r.Prompt!);
        var missing = own.FirstOrDefault(r => !known.ContainsKey(r.Prompt!));
        if (missing is not null) throw new UserErrorException($"{names.Other} has no answer to '{Short(missing.Prompt!)}', which {names.Own} answers; compare runs over the same prompts.");
        if (own.Count != other.Count) throw new UserErrorException($"{names.Own} answers {own.Count} prompts, {names.Other} {other.Count}; compare runs over the same prompts.");
        return [.. own.Select(r => (r.Prompt!, r, known[r.Prompt!]))];
    }

    private static string Asked(AnswerRow own, AnswerRow other, IReadOnlyList<string>? prompts, int row, (string Own, string Other) names)
    {
        if (prompts is not null) return prompts[row];
        if (own.Prompt is { } a && other.Prompt is { } b && a != b) throw new UserErrorException($"Row {row + 1} of {names.Own} asks '{Short(a)}', that of {names.Other} '{Short(b)}'; give files in the same order.");
        return own.Prompt ?? other.Prompt ?? throw new UserErrorException($"Row {row + 1} of {names.Own} does not say what was asked; give a file of prompts (rows {{\"prompt\": ...}} in the same order).");
    }

    private static string? Answer(JsonObject row) => First(row, AnswerKeys) ?? row["filtered_resps"] switch
    {
        JsonValue value when value.TryGetValue<string>(out var text) => text,
        JsonArray { Count: > 0 } list when list[0] is JsonValue value && value.TryGetValue<string>(out var text) => text,
        _ => null,
    };

    private static string? First(JsonObject row, string[] keys) => keys.Select(key => Text(row, key)).FirstOrDefault(text => text is not null);

    private static string? Text(JsonObject row, string key) => row[key] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    private static string Short(string text) => text.Length <= 60 ? text : text[..60] + "...";
}
