// BertNormalizer (Devlin et al. 2018, as the `tokenizers` library does it) and Nmt, the clean-up of sentencepiece's nmt rules.
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Normalizers;

/// <summary>BERT's normalizer, made out of its four switches.</summary>
/// <param name="cleanText">Removes control characters; white space becomes a space.</param>
/// <param name="handleChineseChars">Puts spaces around CJK characters.</param>
/// <param name="stripAccents">Decomposes and removes accents.</param>
/// <param name="lowercase">Makes lower case.</param>
internal sealed class BertNormalizer(bool cleanText, bool handleChineseChars, bool stripAccents, bool lowercase)
    : SequenceNormalizer(StepsOf(cleanText, handleChineseChars, stripAccents, lowercase))
{
    private static List<Normalizer> StepsOf(bool cleanText, bool handleChineseChars, bool stripAccents, bool lowercase)
    {
        var steps = new List<Normalizer>();
        if (cleanText)
        {
            steps.Add(new FilterNormalizer(IsRemoved));
            steps.Add(new MapNormalizer(point => UnicodeData.IsWhiteSpace(point) ? ' ' : point));
        }
        if (handleChineseChars) steps.Add(new ChineseSpacingNormalizer());
        if (stripAccents)
        {
            steps.Add(new UnicodeFormNormalizer(compatibility: false, compose: false));
            steps.Add(new FilterNormalizer(UnicodeData.IsBertAccent));
        }
        if (lowercase) steps.Add(new LowercaseNormalizer());
        return steps;
    }

    /// <summary>Nmt: drops ASCII control characters; further white space and U+FFFD become a space.</summary>
    public static SequenceNormalizer Nmt() => new([
        new FilterNormalizer(point =>
            point is (>= 0x01 and <= 0x08) or 0x0B or (>= 0x0E and <= 0x1F) or 0x7F or 0x8F or 0x9F),
        new MapNormalizer(point => point is 0x09 or 0x0A or 0x0C or 0x0D or 0x1680 or (>= 0x200B and <= 0x200F)
            or 0x2028 or 0x2029 or 0x2581 or 0xFEFF or 0xFFFD ? ' ' : point)]);

    private static bool IsRemoved(int point) =>
        point is 0 or 0xFFFD || (point is not ('\t' or '\n' or '\r') && UnicodeData.IsBertControl(point));
}

/// <summary>Puts a space before and after each CJK ideograph.</summary>
internal sealed class ChineseSpacingNormalizer : Normalizer
{
    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        if (!text.Chars.ContainsAnyExceptInRange('\0', '\u33FF')) return text;
        var target = pool.Rent(text);
        var rewriter = new TextRewriter(text, 0, text.Length, target, text.Origin);
        for (var i = 0; i < text.Length;)
        {
            var point = CodePoints.Next(text.Chars, ref i);
            if (!IsChinese(point)) rewriter.Add(point, 0);
            else
            {
                rewriter.Add(' ', 1);
                rewriter.Add(point, 0);
                rewriter.Add(' ', 1);
            }
        }
        return Done(text, target, pool);
    }

    private static bool IsChinese(int point) => point is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF)
        or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF)
        or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);
}
