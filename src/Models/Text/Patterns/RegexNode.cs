// The syntax tree of a regular expression, and its sets of characters.
using System.Collections.Concurrent;
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Patterns;

/// <summary>A set of code points: a test, with its answers for ASCII kept.</summary>
internal sealed class CharacterSet
{
    private readonly Func<int, bool> _test;
    private readonly UInt128 _ascii;

    public CharacterSet(Func<int, bool> test)
    {
        _test = test;
        for (var c = 0; c < 128; c++)
            if (test(c)) _ascii |= UInt128.One << c;
    }

    /// <summary>Whether the set has a code point.</summary>
    public bool Contains(int point) => point < 128 ? (_ascii >> point & UInt128.One) != 0 : _test(point);

    /// <summary>Everything that is not in the set.</summary>
    public CharacterSet Not() => new(point => !_test(point));

    /// <summary>What is in either set.</summary>
    public CharacterSet Or(CharacterSet other) => new(point => _test(point) || other._test(point));

    /// <summary>What is in both sets.</summary>
    public CharacterSet And(CharacterSet other) => new(point => _test(point) && other._test(point));

    /// <summary>The set with the other letter cases of its members.</summary>
    public CharacterSet IgnoringCase()
    {
        var known = new ConcurrentDictionary<int, bool>();
        return new CharacterSet(point =>
            _test(point) || known.GetOrAdd(point, p => UnicodeData.CaseVariants(p).Any(_test)));
    }

    /// <summary>One code point.</summary>
    public static CharacterSet Of(int point) => new(p => p == point);

    /// <summary>Code points from first to last.</summary>
    public static CharacterSet Range(int first, int last) => new(p => p >= first && p <= last);
}

/// <summary>How a repetition gives back what it took.</summary>
internal enum Greed { Greedy, Lazy, Possessive }

/// <summary>Zero-width tests of a position.</summary>
internal enum Anchor { LineStart, LineEnd, TextStart, TextEnd, TextEndOrLastLine, WordEdge, NotWordEdge }

/// <summary>A node of the syntax tree.</summary>
internal abstract record RegexNode
{
    internal sealed record Set(CharacterSet Characters) : RegexNode;
    internal sealed record Sequence(IReadOnlyList<RegexNode> Items) : RegexNode;
    internal sealed record Choice(IReadOnlyList<RegexNode> Options) : RegexNode;
    internal sealed record Repeat(RegexNode Body, int Min, int Max, Greed Greed) : RegexNode;
    internal sealed record Look(RegexNode Body, bool Behind, bool Negative) : RegexNode;
    internal sealed record Atomic(RegexNode Body) : RegexNode;
    internal sealed record At(Anchor Anchor) : RegexNode;

    /// <summary>Whether the node can match without taking a character.</summary>
    public bool IsNullable => this switch
    {
        Set => false,
        Sequence s => s.Items.All(item => item.IsNullable),
        Choice c => c.Options.Any(option => option.IsNullable),
        Repeat r => r.Min == 0 || r.Body.IsNullable,
        Atomic a => a.Body.IsNullable,
        _ => true,
    };
}
