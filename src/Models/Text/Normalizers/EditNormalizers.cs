// Normalizers that edit a text without Unicode data: Prepend, Replace, Strip, and ByteLevel as a normalizer.
using System.Text;
using PeftAlign.Models.Text.Patterns;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Normalizers;

/// <summary>Prepend: puts a string before a text that is not empty.</summary>
internal sealed class PrependNormalizer(string prefix) : Normalizer
{
    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        if (text.Length == 0) return text;
        var target = pool.Rent(text);
        Write(prefix, text, 0, target);
        target.Append(text, 0, text.Length);
        return Done(text, target, pool);
    }

    /// <summary>Writes a prefix that shares the range of the unit before which it goes.</summary>
    public static void Write(string prefix, AlignedText source, int at, AlignedText target)
    {
        var (start, end) = source.Tracks ? (source.Start(at), source.End(at)) : (0, 0);
        for (var i = 0; i < prefix.Length;) target.Append(CodePoints.Next(prefix, ref i), start, end);
    }
}

/// <summary>Replace: writes a string for each match of a pattern.</summary>
internal sealed class ReplaceNormalizer(Pattern pattern, string content) : Normalizer
{
    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        if (pattern is LiteralPattern { Text.Length: 1 } literal && content.Length == 1)
        {
            text.Writable.Replace(literal.Text[0], content[0]);
            return text;
        }
        var matches = pattern.Matches(text.Chars);
        var copied = 0;
        AlignedText? target = null;
        while (matches.Next(text.Chars, out var start, out var end))
        {
            target ??= pool.Rent(text);
            target.Append(text, copied, start);
            WriteContent(text, end, target);
            copied = end;
        }
        if (target is null) return text;
        target.Append(text, copied, text.Length);
        return Done(text, target, pool);
    }

    // The new characters share the range of the last one replaced.
    private void WriteContent(AlignedText text, int end, AlignedText target)
    {
        var (from, to) = !text.Tracks ? (0, 0) : end == 0 ? (text.Origin, text.Origin) : (text.Start(end - 1), text.End(end - 1));
        for (var i = 0; i < content.Length;) target.Append(CodePoints.Next(content, ref i), from, to);
    }
}

/// <summary>Strip: removes white space at the ends.</summary>
internal sealed class StripNormalizer(bool left, bool right) : Normalizer
{
    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        var (from, to) = (0, text.Length);
        if (left)
            for (var next = 0; next < to && UnicodeData.IsWhiteSpace(CodePoints.Next(text.Chars, ref next));) from = next;
        while (right && to > from && UnicodeData.IsWhiteSpace(text.Chars[to - 1])) to--;
        if (from == 0)
        {
            text.Cut(to);
            return text;
        }
        var target = pool.Rent(text);
        target.Append(text, from, to);
        return Done(text, target, pool);
    }
}

/// <summary>ByteLevel: writes each UTF-8 byte as its character of <see cref="ByteAlphabet"/>.</summary>
internal sealed class ByteLevelNormalizer : Normalizer
{
    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        var target = pool.Rent(text);
        Write(text, 0, text.Length, target);
        return Done(text, target, pool);
    }

    /// <summary>Writes units [from, to) in the byte alphabet.</summary>
    public static void Write(AlignedText text, int from, int to, AlignedText target)
    {
        Span<byte> bytes = stackalloc byte[4];
        for (var i = from; i < to;)
        {
            var at = i;
            var point = CodePoints.Next(text.Chars, ref i);
            var (start, end) = text.Tracks ? (text.Start(at), text.End(at)) : (0, 0);
            var count = new Rune(point).EncodeToUtf8(bytes);
            for (var k = 0; k < count; k++) target.Append(ByteAlphabet.CharOf(bytes[k]), start, end);
        }
    }
}
