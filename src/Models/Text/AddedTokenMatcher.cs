// Finds added tokens in a text: leftmost first, and of those that start at one place the longest.
using System.Buffers;
using PeftAlign.Models.Text.Models;
using PeftAlign.Models.Text.PreTokenizers;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text;

/// <summary>Looks for a fixed set of added tokens.</summary>
internal sealed class AddedTokenMatcher
{
    private readonly AddedToken[] _tokens;
    private readonly TokenTrie _trie;
    private readonly SearchValues<char> _firsts;

    /// <param name="tokens">What is looked for in the text, and the token that it stands for. Later ones replace earlier
    /// ones.</param>
    public AddedTokenMatcher(IEnumerable<(string Text, AddedToken Token)> tokens)
    {
        var rows = tokens.Where(row => row.Text.Length > 0).ToList();
        _tokens = [.. rows.Select(row => row.Token)];
        _trie = new TokenTrie(rows.Select((row, index) => KeyValuePair.Create(row.Text, index)));
        _firsts = SearchValues.Create([.. rows.Select(row => row.Text[0]).Distinct()]);
        IsEmpty = rows.Count == 0;
    }

    /// <summary>Whether there is nothing to look for.</summary>
    public bool IsEmpty { get; }

    /// <summary>Finds the next match at or after <paramref name="from"/>.</summary>
    /// <param name="text">The text.</param>
    /// <param name="from">Where the search starts: Next of the match before, or 0.</param>
    /// <param name="last">Where the match before ended, its white space included, or 0.</param>
    /// <param name="specialAsText">Whether special tokens are passed over.</param>
    /// <param name="match">The match.</param>
    public bool Next(ReadOnlySpan<char> text, int from, int last, bool specialAsText, out AddedTokenMatch match)
    {
        match = default;
        if (IsEmpty) return false;
        while (from < text.Length)
        {
            var found = text[from..].IndexOfAny(_firsts);
            if (found < 0) return false;
            var start = from + found;
            var (token, end) = Longest(text, start);
            from = start + 1;
            if (token is null) continue;
            from = end;
            if (specialAsText && token.Special) continue;
            if (token.SingleWord && !StandsAlone(text, start, end)) continue;
            // The match before may have taken this one's white space, and all of a token that is white space itself.
            if (token.LStrip) start = Math.Max(StripLeft(text, start, last), last);
            if (token.RStrip) end = StripRight(text, end);
            if (start >= end) continue;
            match = new AddedTokenMatch(token.Id, start, end, from);
            return true;
        }
        return false;
    }

    private (AddedToken?, int) Longest(ReadOnlySpan<char> text, int start)
    {
        var (best, bestEnd) = (-1, 0);
        var node = TokenTrie.Root;
        for (var i = start; i < text.Length && _trie.Step(ref node, text[i]); i++)
            if (_trie.Token(node) is var id and >= 0) (best, bestEnd) = (id, i + 1);
        return best < 0 ? (null, 0) : (_tokens[best], bestEnd);
    }

    private static bool StandsAlone(ReadOnlySpan<char> text, int start, int end)
    {
        if (start > 0 && WordPreTokenizers.IsRustWord(CodePoints.Before(text, start))) return false;
        return end == text.Length || !WordPreTokenizers.IsRustWord(CodePoints.Next(text, ref end));
    }

    private static int StripLeft(ReadOnlySpan<char> text, int start, int last)
    {
        while (start > last && UnicodeData.IsWhiteSpace(text[start - 1])) start--;
        return start;
    }

    private static int StripRight(ReadOnlySpan<char> text, int end)
    {
        while (end < text.Length && UnicodeData.IsWhiteSpace(text[end])) end++;
        return end;
    }
}
