// Precompiled: sentencepiece's character map as the `tokenizers` library applies it, by grapheme clusters of less than six bytes
// and else by characters; of several rules the shortest, and offsets as it keeps them.
using PeftAlign.Models.Text.SentencePiece;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Normalizers;

/// <summary>Applies a <see cref="CharsMap"/>.</summary>
internal sealed class PrecompiledNormalizer(CharsMap map) : Normalizer
{
    private const int LongestClusterInBytes = 5;

    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        // Characters to write with their changes (see TextRewriter); a removal goes to the account of the one before it.
        var written = new List<(int Point, int Change)>(text.Length);
        var modified = false;
        for (var start = 0; start < text.Length;)
        {
            var end = GraphemeBreaks.Next(text.Chars, start);
            var cluster = text.Chars[start..end];
            if (Utf8Length(cluster) <= LongestClusterInBytes && map.Shortest(cluster) is { } whole)
            {
                Write(cluster, whole, written);
                modified = true;
            }
            else modified |= WriteCharacters(cluster, written);
            start = end;
        }
        if (!modified) return text;
        var target = pool.Rent(text);
        var rewriter = new TextRewriter(text, 0, text.Length, target, text.Origin);
        foreach (var (point, change) in written) rewriter.Add(point, change);
        return Done(text, target, pool);
    }

    private bool WriteCharacters(ReadOnlySpan<char> cluster, List<(int, int)> written)
    {
        var modified = false;
        for (var i = 0; i < cluster.Length;)
        {
            var start = i;
            var point = CodePoints.Next(cluster, ref i);
            if (map.Shortest(cluster[start..i]) is { } text)
            {
                Write(cluster[start..i], text, written);
                modified = true;
            }
            else written.Add((point, 0));
        }
        return modified;
    }

    private static void Write(ReadOnlySpan<char> source, string text, List<(int Point, int Change)> written)
    {
        var sources = CodePoints.Count(source);
        var index = 0;
        for (var i = 0; i < text.Length; index++) written.Add((CodePoints.Next(text, ref i), index < sources ? 0 : 1));
        if (index < sources && written.Count > 0) written[^1] = (written[^1].Point, written[^1].Change + index - sources);
    }

    private static int Utf8Length(ReadOnlySpan<char> text)
    {
        var length = 0;
        for (var i = 0; i < text.Length;) length += CodePoints.Utf8Length(CodePoints.Next(text, ref i));
        return length;
    }
}
