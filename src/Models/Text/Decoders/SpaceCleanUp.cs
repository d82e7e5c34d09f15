// What the `transformers` library does to decoded text where tokenizer_config.json says clean_up_tokenization_spaces.

namespace PeftAlign.Models.Text.Decoders;

/// <summary>Takes blanks before punctuation and English contractions away.</summary>
internal static class SpaceCleanUp
{
    // In this order: one replacement's result may be another's pattern.
    private static readonly string[] Patterns = [" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're"];

    /// <summary>The text without these blanks.</summary>
    public static string Apply(string text) =>
        Patterns.Aggregate(text, (cleaned, pattern) => cleaned.Replace(pattern, pattern.Trim(), StringComparison.Ordinal));

    /// <summary>Whether what comes behind the text may still change its end.</summary>
    public static bool MayGoOn(string text) =>
        Patterns.Any(pattern => Enumerable.Range(1, pattern.Length - 1).Any(length => text.EndsWith(pattern[..length], StringComparison.Ordinal)));
}
