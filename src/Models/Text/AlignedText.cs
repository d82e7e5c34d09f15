// A text on its way through normalizers and pre-tokenizers, with (if asked for) where in the original each character comes from.
// Alignment follows the rules of the `tokenizers` library, so that offsets equal its.
namespace PeftAlign.Models.Text;

/// <summary>UTF-16 text whose units may each carry a range [start, end) of the original text, also in UTF-16 units.</summary>
internal sealed class AlignedText
{
    private char[] _chars = new char[256];
    private int[] _starts = [], _ends = [];

    /// <summary>Units in use.</summary>
    public int Length { get; private set; }

    /// <summary>Whether units carry their ranges.</summary>
    public bool Tracks { get; private set; }

    /// <summary>Where the part of the original that this text stands for begins.</summary>
    public int Origin { get; set; }

    /// <summary>The text.</summary>
    public ReadOnlySpan<char> Chars => _chars.AsSpan(0, Length);

    /// <summary>The text, to be changed in place character by character.</summary>
    public Span<char> Writable => _chars.AsSpan(0, Length);

    /// <summary>Start of the range of a unit. Only where <see cref="Tracks"/>.</summary>
    public int Start(int index) => _starts[index];

    /// <summary>End of the range of a unit. Only where <see cref="Tracks"/>.</summary>
    public int End(int index) => _ends[index];

    /// <summary>Empties the text.</summary>
    public void Clear(bool tracks, int origin)
    {
        (Length, Tracks, Origin) = (0, tracks, origin);
        if (_chars.Length > 1 << 20) (_chars, _starts, _ends) = (new char[256], [], []);
    }

    /// <summary>Appends original text, which begins at <paramref name="start"/> there.</summary>
    public void AppendOriginal(ReadOnlySpan<char> text, int start)
    {
        var at = Length;
        Grow(text.Length);
        text.CopyTo(_chars.AsSpan(at));
        Length += text.Length;
        if (!Tracks) return;
        for (var i = 0; i < text.Length; i++)
        {
            _starts[at + i] = start + i - (char.IsLowSurrogate(text[i]) ? 1 : 0);
            _ends[at + i] = start + i + (char.IsHighSurrogate(text[i]) ? 2 : 1);
        }
    }

    /// <summary>Appends a code point that comes from [start, end) of the original.</summary>
    public void Append(int point, int start, int end)
    {
        if (point < 0x10000) AppendUnit((char)point, start, end);
        else
        {
            AppendUnit((char)(0xD7C0 + (point >> 10)), start, end);
            AppendUnit((char)(0xDC00 | (point & 0x3FF)), start, end);
        }
    }

    /// <summary>Appends units [from, to) of another text with their ranges.</summary>
    public void Append(AlignedText source, int from, int to)
    {
        var (at, length) = (Length, to - from);
        Grow(length);
        source._chars.AsSpan(from, length).CopyTo(_chars.AsSpan(at));
        if (Tracks)
        {
            source._starts.AsSpan(from, length).CopyTo(_starts.AsSpan(at));
            source._ends.AsSpan(from, length).CopyTo(_ends.AsSpan(at));
        }
        Length += length;
    }

    /// <summary>Cuts the text to its first <paramref name="length"/> units.</summary>
    public void Cut(int length) => Length = length;

    private void AppendUnit(char unit, int start, int end)
    {
        Grow(1);
        _chars[Length] = unit;
        if (Tracks) (_starts[Length], _ends[Length]) = (start, end);
        Length++;
    }

    private void Grow(int more)
    {
        var needed = Length + more;
        if (needed > _chars.Length) Array.Resize(ref _chars, Math.Max(needed, _chars.Length * 2));
        if (!Tracks || needed <= _starts.Length) return;
        Array.Resize(ref _starts, _chars.Length);
        Array.Resize(ref _ends, _chars.Length);
    }
}

/// <summary>Rewrites part of an <see cref="AlignedText"/> character by character. Each written character says what it does with
/// the source: 0 replaces the next character, n > 0 inserts (and shares the range of the character before), -n replaces one
/// and removes n more.</summary>
internal struct TextRewriter(AlignedText source, int from, int to, AlignedText target, int origin)
{
    private readonly int _from = from;
    private int _position = from;

    /// <summary>Drops characters of the source.</summary>
    public void Skip(int points)
    {
        if (!source.Tracks) return;
        while (points-- > 0 && _position < to) Advance();
    }

    /// <summary>Writes a character.</summary>
    public void Add(int point, int change)
    {
        if (!source.Tracks) target.Append(point, 0, 0);
        else if (change > 0 || _position >= to)
        {
            if (_position <= _from) target.Append(point, origin, origin);
            else target.Append(point, source.Start(_position - 1), source.End(_position - 1));
        }
        else
        {
            target.Append(point, source.Start(_position), source.End(_position));
            Advance();
            Skip(-change);
        }
    }

    private void Advance() => _position += char.IsHighSurrogate(source.Chars[_position]) ? 2 : 1;
}

/// <summary>Texts to work in, used again and again by one thread.</summary>
internal sealed class TextPool
{
    private readonly Stack<AlignedText> _free = new();

    /// <summary>An empty text that tracks as <paramref name="like"/> does and has its origin.</summary>
    public AlignedText Rent(AlignedText like) => Rent(like.Tracks, like.Origin);

    /// <summary>An empty text.</summary>
    public AlignedText Rent(bool tracks, int origin)
    {
        var text = _free.TryPop(out var free) ? free : new AlignedText();
        text.Clear(tracks, origin);
        return text;
    }

    /// <summary>Gives a text back.</summary>
    public void Return(AlignedText text) => _free.Push(text);
}
