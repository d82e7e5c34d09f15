// Where a text without pre-tokenizer can be cut into words all the same: before U+2581 behind another character, if the
// vocabulary has no token with such a pair inside. Merges only make tokens of the vocabulary, so none can cross such a place.
namespace PeftAlign.Models.Text.Models;

/// <summary>Safe places to cut. Found once for a vocabulary.</summary>
internal sealed class WordBoundaries
{
    /// <summary>Never cuts.</summary>
    public static readonly WordBoundaries None = new(null);

    private const char Space = '\u2581';

    // Characters that some token has before U+2581; null: never cut.
    private readonly HashSet<char>? _before;

    private WordBoundaries(HashSet<char>? before) => _before = before;

    /// <summary>The boundaries that a vocabulary allows.</summary>
    public static WordBoundaries Of(Vocabulary vocabulary)
    {
        if (vocabulary.Id([Space]) < 0) return None;
        var before = new HashSet<char>();
        foreach (var (token, _) in vocabulary.Entries)
            for (var i = 1; i < token.Length; i++)
                if (token[i] == Space) before.Add(token[i - 1]);
        // A token that is written with letters, such as <unk> or <0x0A>, stands for other characters in the text.
        return before.Contains('>') || before.Count > 16 ? None : new WordBoundaries(before);
    }

    /// <summary>The next place to cut behind <paramref name="start"/>, or the length.</summary>
    public int Next(ReadOnlySpan<char> text, int start)
    {
        if (_before is null) return text.Length;
        for (var from = start + 1; from < text.Length; from++)
        {
            var found = text[from..].IndexOf(Space);
            if (found < 0) return text.Length;
            from += found;
            if (text[from - 1] != Space && !_before.Contains(text[from - 1])) return from;
        }
        return text.Length;
    }
}
