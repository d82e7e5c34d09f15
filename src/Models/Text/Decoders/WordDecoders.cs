// WordPiece's and CTC's decoders, which join words and may clean up spaces around English punctuation.
namespace PeftAlign.Models.Text.Decoders;

/// <summary>WordPiece: continuing tokens lose their prefix, others get a space before them.</summary>
internal sealed class WordPieceDecoder(string prefix, bool cleanup) : Decoder
{
    public override List<string> Decode(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        for (var i = 0; i < tokens.Count; i++)
        {
            var token = tokens[i];
            if (i > 0) token = token.StartsWith(prefix, StringComparison.Ordinal) ? token[prefix.Length..] : " " + token;
            result.Add(cleanup ? EnglishSpacing.Clean(token) : token);
        }
        return result;
    }
}

/// <summary>CTC: repeated tokens count once, padding vanishes, the word delimiter becomes a space.</summary>
internal sealed class CtcDecoder(string padToken, string wordDelimiter, bool cleanup) : Decoder
{
    public override List<string> Decode(List<string> tokens)
    {
        var result = new List<string>(tokens.Count);
        for (var i = 0; i < tokens.Count; i++)
        {
            if (i > 0 && tokens[i] == tokens[i - 1]) continue;
            var token = padToken.Length == 0 ? tokens[i] : tokens[i].Replace(padToken, "", StringComparison.Ordinal);
            if (cleanup)
            {
                token = EnglishSpacing.Clean(token);
                if (wordDelimiter.Length > 0) token = token.Replace(wordDelimiter, " ", StringComparison.Ordinal);
            }
            if (token.Length > 0) result.Add(token);
        }
        return result;
    }
}

/// <summary>Takes back spaces that tokenisation put before punctuation and in contractions.</summary>
internal static class EnglishSpacing
{
    private static readonly (string From, string To)[] Rules =
    [
        (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" do not", " don't"),
        (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ];

    /// <summary>Applies the rules in order.</summary>
    public static string Clean(string text)
    {
        foreach (var (from, to) in Rules) text = text.Replace(from, to, StringComparison.Ordinal);
        return text;
    }
}
