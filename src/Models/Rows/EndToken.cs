// The end token as a text that is written behind an answer.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Rows;

/// <summary>Writes a tokenizer's end token.</summary>
public static class EndToken
{
    private static readonly EncodeOptions Bare = new() { AddSpecialTokens = false, SpecialTokensAsText = false, Truncation = TruncationOptions.Off, Padding = PaddingOptions.Off };

    /// <summary>The text that becomes the end token where it stands behind another text; empty where there is none.</summary>
    /// <param name="tokenizer">Its end token counts.</param>
    public static string Text(ITokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        if (tokenizer.SpecialTokens.Eos is not { } eos) return "";
        // Decoding changes some contents (U+2581 becomes a blank), and sentencepiece by itself finds no token by its content.
        return tokenizer is ITokenizerDetails details && details.IdToToken(eos) is { } content && details.Encode(content, options: Bare).Ids is [.., var last] && last == eos
            ? content : tokenizer.Decode([eos]);
    }
}
