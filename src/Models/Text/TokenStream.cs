// Streaming decode. Text is given out once the tokens after it cannot change it: while the decoded window ends in U+FFFD (an
// incomplete character, as a rule) or in what a clean-up may still change, it is held back. The window is two steps long, so a step takes constant time.
using PeftAlign.Abstractions;
using PeftAlign.Models.Text.Decoders;

namespace PeftAlign.Models.Text;

/// <summary>Decodes ids one by one with any tokenizer.</summary>
internal sealed class TokenStream(ITokenizer tokenizer, bool skipSpecialTokens, bool cleansUp = false) : ITokenStream
{
    private List<int> _window = [];
    private string _given = "";
    private int _givenIds;

    public string? Step(int id)
    {
        _window.Add(id);
        var text = tokenizer.Decode(_window, skipSpecialTokens);
        if (text.Length <= _given.Length || text.EndsWith('\uFFFD') || (cleansUp && SpaceCleanUp.MayGoOn(text))) return null;
        return Give(text);
    }

    public string? Flush()
    {
        var text = tokenizer.Decode(_window, skipSpecialTokens);
        return text.Length > _given.Length ? Give(text) : null;
    }

    private string? Give(string text)
    {
        var given = text.StartsWith(_given, StringComparison.Ordinal) ? _given.Length : CommonLength(text, _given);
        var ids = _window.Count - _givenIds;
        _window = _window.GetRange(_givenIds, ids);
        _given = tokenizer.Decode(_window, skipSpecialTokens);
        _givenIds = ids;
        return given < text.Length ? text[given..] : null;
    }

    // A decoder may take characters back (WordPiece's clean-up); what was given stays given.
    private static int CommonLength(string first, string second)
    {
        var length = 0;
        while (length < first.Length && length < second.Length && first[length] == second[length]) length++;
        return length;
    }
}
