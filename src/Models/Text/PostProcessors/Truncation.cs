// Truncation of one text or a pair to a length, by the strategies of tokenizer.json.
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Text.PostProcessors;

/// <summary>Applies <see cref="TruncationOptions"/>.</summary>
internal static class Truncation
{
    /// <summary>The strategies.</summary>
    public static readonly string[] Strategies = ["longest_first", "only_first", "only_second"];

    /// <summary>Cuts rows so that they fit beside the special tokens. Limits too small for these leave the rows as they
    /// are.</summary>
    /// <param name="rows">One row per text.</param>
    /// <param name="options">How.</param>
    /// <param name="specialTokens">Special tokens that will be added.</param>
    public static List<EncodedRow> Apply(List<EncodedRow> rows, TruncationOptions options, int specialTokens)
    {
        if (Array.IndexOf(Strategies, options.Strategy) < 0)
            throw new TokenizerException(
                $"truncation strategy '{options.Strategy}' is unknown; it is one of {string.Join(", ", Strategies)}");
        if (options.MaxLength == int.MaxValue || options.MaxLength < specialTokens) return rows;
        var budget = options.MaxLength - specialTokens;
        if (budget == 0) return [.. rows.Select(row => row.Truncate(0, 0, options.FromLeft))];
        if (options.Stride >= budget)
            throw new TokenizerException(
                $"truncation stride {options.Stride} must be less than {budget}, the max_length {options.MaxLength} "
                + $"without the {specialTokens} special tokens; make stride smaller");
        var excess = rows.Sum(row => row.Count) - budget;
        if (excess <= 0) return rows;
        return options.Strategy == "longest_first" ? LongestFirst(rows, options, budget) : OnlyOne(rows, options, excess);
    }

    private static List<EncodedRow> LongestFirst(List<EncodedRow> rows, TruncationOptions options, int budget)
    {
        if (rows.Count == 1) return [Cut(rows[0], budget, options)];
        var shorter = Math.Min(rows[0].Count, rows[1].Count);
        var longer = shorter > budget ? shorter : Math.Max(shorter, budget - shorter);
        if (shorter + longer > budget)
        {
            shorter = budget / 2;
            longer = shorter + budget % 2;
        }
        var (first, second) = rows[0].Count > rows[1].Count ? (longer, shorter) : (shorter, longer);
        return [Cut(rows[0], first, options), Cut(rows[1], second, options)];
    }

    private static List<EncodedRow> OnlyOne(List<EncodedRow> rows, TruncationOptions options, int excess)
    {
        var index = options.Strategy == "only_first" ? 0 : 1;
        if (index >= rows.Count)
            throw new TokenizerException("truncation strategy only_second needs a pair of texts; give a second text");
        var length = rows[index].Count - excess;
        if (length <= 0)
            throw new TokenizerException(
                $"truncation strategy {options.Strategy} cannot reach max_length {options.MaxLength}: that text has only "
                + $"{rows[index].Count} tokens; use longest_first or a larger max_length");
        var result = rows.ToList();
        result[index] = Cut(rows[index], length, options);
        return result;
    }

    private static EncodedRow Cut(EncodedRow row, int length, TruncationOptions options)
    {
        if (length < row.Count && length > 0 && options.Stride >= length)
            throw new TokenizerException(
                $"truncation stride {options.Stride} must be less than the {length} tokens that a text of the pair keeps; make stride smaller");
        return row.Truncate(length, options.Stride, options.FromLeft);
    }
}
