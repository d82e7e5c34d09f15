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
        var target = pool.Rent(text);
        var rewriter = new TextRewriter(text, 0, text.Length, target, text.Origin);
        var modified = false;
        for (var start = 0; start < text.Length;)
        {
            var end = GraphemeBreaks.Next(text.Chars, start);
            var cluster = text.Chars[start..end];
            if (Utf8Length(cluster) <= LongestClusterInBytes && map.Shortest(cluster) is { } whole)
            {
                Write(cluster, whole, ref rewriter);
                modified = true;
            }
            else modified |= WriteCharacters(cluster, ref rewriter);
            start = end;
        }
        if (modified) return Done(text, target, pool);
        pool.Return(target);
        return text;
    }

    private bool WriteCharacters(ReadOnlySpan<char> cluster, ref TextRewriter rewriter)
    {
        var modified = false;
        for (var i = 0; i < cluster.Length;)
        {
            var start = i;
            var point = CodePoints.Next(cluster, ref i);
            if (map.Shortest(cluster[start..i]) is { } text)
            {
                Write(cluster[start..i], text, ref rewriter);
                modified = true;
            }
            else rewriter.Add(point, 0);
        }
        return modified;
    }

    private static void Write(ReadOnlySpan<char> source, string text, ref TextRewriter rewriter)
    {
        var difference = CodePoints.Count(text) - CodePoints.Count(source);
        var index = 0;
        for (var i = 0; i < text.Length; index++)
        {
            var point = CodePoints.Next(text, ref i);
            rewriter.Add(point, index == 0 ? difference : index);
        }
    }

    private static int Utf8Length(ReadOnlySpan<char> text)
    {
        var length = 0;
        for (var i = 0; i < text.Length;) length += CodePoints.Utf8Length(CodePoints.Next(text, ref i));
        return length;
    }
}
