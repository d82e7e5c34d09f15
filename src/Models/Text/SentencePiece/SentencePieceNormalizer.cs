// Normalisation as sentencepiece does it (Kudo and Richardson 2018): the character map by longest match over the whole text, runs
// of spaces, a space before the text, spaces as U+2581.
using PeftAlign.Models.Text.Models;
using PeftAlign.Models.Text.Normalizers;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.SentencePiece;

/// <summary>Applies a model's normalizer_spec.</summary>
internal sealed class SentencePieceNormalizer(SentencePieceFile file) : Normalizer
{
    private const char Space = '\u2581';

    // User-defined pieces are left as they are.
    private readonly TokenTrie? _untouched = UserDefined(file);
    private readonly char _space = file.EscapeSpaces ? Space : ' ';

    /// <summary>A trie of the user-defined pieces, or null where there are none.</summary>
    public static TokenTrie? UserDefined(SentencePieceFile file)
    {
        var pieces = file.Pieces.Index().Where(piece => piece.Item.Type == PieceType.UserDefined)
            .Select(piece => KeyValuePair.Create(piece.Item.Text, piece.Index)).ToList();
        return pieces.Count == 0 ? null : new TokenTrie(pieces);
    }

    /// <summary>The end of the longest piece of a trie that starts at a place, or the place itself, and the id of that
    /// piece.</summary>
    public static int MatchEnd(TokenTrie trie, ReadOnlySpan<char> text, int start, out int id)
    {
        var (node, end) = (TokenTrie.Root, start);
        id = -1;
        for (var i = start; i < text.Length && trie.Step(ref node, text[i]); i++)
            if (trie.Token(node) is var found and >= 0) (id, end) = (found, i + 1);
        return end;
    }

    public override AlignedText Apply(AlignedText text, TextPool pool)
    {
        if (text.Length == 0) return text;
        var target = pool.Rent(text);
        var position = 0;
        if (file.RemoveExtraSpaces)
            while (position < text.Length && Prefix(text.Chars, position, out var end).SequenceEqual(" ")) position = end;
        if (position < text.Length) Write(text, position, target);
        return Done(text, target, pool);
    }

    private void Write(AlignedText text, int position, AlignedText target)
    {
        if (file.AddDummyPrefix && !file.SpaceAsSuffix) AppendSpace(text, position, target);
        if (file.CharsMap is null && _untouched is null && !file.RemoveExtraSpaces)
        {
            var body = target.Length;
            target.Append(text, position, text.Length);
            target.Writable[body..].Replace(' ', _space);
        }
        else WriteByRules(text, position, target);
        if (file.RemoveExtraSpaces)
            while (target.Length > 0 && target.Chars[^1] == _space) target.Cut(target.Length - 1);
        if (file.AddDummyPrefix && file.SpaceAsSuffix) AppendSpace(text, text.Length - 1, target);
    }

    private void WriteByRules(AlignedText text, int position, AlignedText target)
    {
        var afterSpace = file.RemoveExtraSpaces;
        while (position < text.Length)
        {
            var prefix = Prefix(text.Chars, position, out var end);
            while (afterSpace && prefix.StartsWith(" ")) prefix = prefix[1..];
            if (prefix.Length > 0)
            {
                var (start, stop) = text.Tracks ? (text.Start(position), text.End(end - 1)) : (0, 0);
                for (var i = 0; i < prefix.Length;)
                {
                    var point = CodePoints.Next(prefix, ref i);
                    target.Append(point == ' ' ? _space : point, start, stop);
                }
                afterSpace = prefix[^1] == ' ';
            }
            position = end;
            if (!file.RemoveExtraSpaces) afterSpace = false;
        }
    }

    // What stands for the start of the text from a position on, and where that ends.
    private ReadOnlySpan<char> Prefix(ReadOnlySpan<char> text, int start, out int end)
    {
        if (_untouched is not null && (end = MatchEnd(_untouched, text, start, out _)) > start) return text[start..end];
        if (file.CharsMap is { } map && map.Longest(text, start, out end) is { } mapped) return mapped;
        end = start;
        CodePoints.Next(text, ref end);
        return text[start..end];
    }

    private void AppendSpace(AlignedText text, int at, AlignedText target)
    {
        var start = text.Tracks ? text.Start(at) : 0;
        target.Append(_space, start, start);
    }
}
