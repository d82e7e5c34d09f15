// Normalizers that map characters by Unicode data: NFC, NFD, NFKC, NFKD, Lowercase, StripAccents.
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Normalizers;

/// <summary>NFC, NFD, NFKC or NFKD.</summary>
internal sealed class UnicodeFormNormalizer(bool compatibility, bool compose) : Normalizer
{
    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        if (UnicodeNormalization.IsUnchanged(text.Chars, compatibility, compose)) return text;
        var target = pool.Rent(text);
        var rewriter = new TextRewriter(text, 0, text.Length, target, text.Origin);
        var form = new UnicodeNormalization(compatibility, compose, (point, change) => rewriter.Add(point, change));
        for (var i = 0; i < text.Length;) form.Add(CodePoints.Next(text.Chars, ref i));
        form.End();
        return Done(text, target, pool);
    }
}

/// <summary>Lowercase: every character for itself, as Rust's char::to_lowercase (no final sigma).</summary>
internal sealed class LowercaseNormalizer : Normalizer
{
    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        if (!text.Chars.ContainsAnyExceptInRange('\0', '\x7F'))
        {
            var chars = text.Writable;
            for (var i = 0; i < chars.Length; i++)
                if ((uint)(chars[i] - 'A') <= 'Z' - 'A') chars[i] |= ' ';
            return text;
        }
        var target = pool.Rent(text);
        var rewriter = new TextRewriter(text, 0, text.Length, target, text.Origin);
        for (var i = 0; i < text.Length;)
        {
            var point = CodePoints.Next(text.Chars, ref i);
            rewriter.Add(point == 0x130 ? 'i' : UnicodeData.ToLower(point), 0);
            if (point == 0x130) rewriter.Add(0x307, 1);
        }
        return Done(text, target, pool);
    }
}

/// <summary>Removes the characters for which a test holds.</summary>
internal class FilterNormalizer(Func<int, bool> removes) : Normalizer
{
    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        var target = pool.Rent(text);
        var rewriter = new TextRewriter(text, 0, text.Length, target, text.Origin);
        var (position, leading) = (0, 0);
        while (position < text.Length)
        {
            var next = position;
            if (!removes(CodePoints.Next(text.Chars, ref next))) break;
            (position, leading) = (next, leading + 1);
        }
        rewriter.Skip(leading);
        while (position < text.Length)
        {
            var point = CodePoints.Next(text.Chars, ref position);
            var removed = 0;
            while (position < text.Length)
            {
                var next = position;
                if (!removes(CodePoints.Next(text.Chars, ref next))) break;
                (position, removed) = (next, removed + 1);
            }
            rewriter.Add(point, -removed);
        }
        return Done(text, target, pool);
    }
}

/// <summary>StripAccents: removes combining marks (it does not decompose; NFD goes before it).</summary>
internal sealed class StripAccentsNormalizer() : FilterNormalizer(UnicodeData.IsCombiningMark);

/// <summary>Replaces each character by one other, in place.</summary>
internal sealed class MapNormalizer(Func<int, int> map) : Normalizer
{
    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        // Every map here sends one unit to one unit.
        var chars = text.Writable;
        for (var i = 0; i < chars.Length; i++)
            if (!char.IsSurrogate(chars[i])) chars[i] = (char)map(chars[i]);
        return text;
    }
}
