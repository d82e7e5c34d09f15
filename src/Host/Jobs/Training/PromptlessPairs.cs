// Finds pairs without a prompt whose texts share no beginning, in rows that hold other columns: there the prompt is usually a column of
// another name, and the training would see answers without their questions.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Host.Jobs;

internal static class PromptlessPairs
{
    private static readonly HashSet<string> Read = ["chosen", "rejected", "margin", "tools", "chat_template_kwargs"];

    /// <summary>What is to be said about training rows; null for nothing.</summary>
    /// <param name="rows">As they are given to the method.</param>
    /// <param name="traits">The method's: one that packs reads sequences, of which a pair beside them is no part.</param>
    internal static string? Warning(IReadOnlyList<DataRecord> rows, IReadOnlyList<string> traits)
    {
        if (traits.Contains("packs")) return null;
        // Tokens go before texts.
        var without = rows.Where(row => !row.Has("prompt") && !row.Has("chosen_ids") && !row.Has("chosen_input_ids") && Text(row, "chosen") is [var a, ..] && Text(row, "rejected") is [var b, ..] && a != b).ToList();
        var unread = without.SelectMany(row => row.Fields.Where(field => !Read.Contains(field.Key) && field.Value is JsonValue value && value.TryGetValue<string>(out _)).Select(field => field.Key)).Distinct().ToList();
        return unread.Count == 0 ? null
            : $"{without.Count} of {rows.Count} pairs have no prompt: chosen and rejected begin with nothing in common, and {string.Join(", ", unread)} of the rows {(unread.Count == 1 ? "is" : "are")} not read; the prompt's column must be called prompt, or be named by a manifest's map";
    }

    private static string? Text(DataRecord row, string field) => row.Fields[field] is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;
}
