// Compiles the syntax tree of a regular expression into instructions for RegexRun.
namespace PeftAlign.Models.Text.Patterns;

/// <summary>Kinds of instruction.</summary>
internal enum RegexOp
{
    Set,        // one character of Characters
    SetLoop,    // Min to Max characters of Characters, by Greed
    Split,      // go on at X, or else at Y
    Jump,       // go on at X
    Anchor,     // the zero-width test X holds here
    Look,       // the part up to X (its own End) matches here (or, negative, does not); go on at X
    Atomic,     // the part up to X matches here; go on at X behind its first match
    Mark,       // remember the position in register X
    Check,      // go on at Y if the position is still that of register X: an empty turn ends a loop
    End,        // the program or part matches
}

/// <summary>One instruction; what its numbers mean depends on the kind.</summary>
internal readonly record struct RegexInstruction(RegexOp Op, int X = 0, int Y = 0, CharacterSet? Characters = null)
{
    public int Min { get; init; }
    public int Max { get; init; }
    public Greed Greed { get; init; }
    public bool Negative { get; init; }
    public bool Behind { get; init; }
}

/// <summary>A compiled regular expression.</summary>
internal sealed class RegexProgram
{
    private const int MaxSize = 20_000;

    private readonly List<RegexInstruction> _code = [];

    private RegexProgram(RegexNode tree)
    {
        Emit(tree);
        Add(new RegexInstruction(RegexOp.End));
        Code = [.. _code];
        First = tree.IsNullable ? null : FirstOf(tree);
    }

    /// <summary>The instructions; the first one is the start.</summary>
    public RegexInstruction[] Code { get; }

    /// <summary>Registers that Mark and Check use.</summary>
    public int Registers { get; private set; }

    /// <summary>What a match must start with; null where that is not known.</summary>
    public CharacterSet? First { get; }

    /// <summary>Compiles a pattern; throws <see cref="FormatException"/> with the reason where it is not valid.</summary>
    public static RegexProgram Compile(string source) => new(RegexParser.Parse(source));

    private int Add(RegexInstruction instruction)
    {
        if (_code.Count >= MaxSize)
            throw new FormatException($"the pattern needs more than {MaxSize} steps; make its counts smaller");
        _code.Add(instruction);
        return _code.Count - 1;
    }

    private void Emit(RegexNode node)
    {
        switch (node)
        {
            case RegexNode.Set set: Add(new RegexInstruction(RegexOp.Set, Characters: set.Characters)); break;
            case RegexNode.Sequence sequence:
                foreach (var item in sequence.Items) Emit(item);
                break;
            case RegexNode.Choice choice: EmitChoice(choice.Options); break;
            case RegexNode.At at: Add(new RegexInstruction(RegexOp.Anchor, (int)at.Anchor)); break;
            case RegexNode.Look look: EmitPart(look.Body, LookInstruction(look)); break;
            case RegexNode.Atomic atomic: EmitPart(atomic.Body, new RegexInstruction(RegexOp.Atomic)); break;
            case RegexNode.Repeat repeat: EmitRepeat(repeat); break;
        }
    }

    private void EmitChoice(IReadOnlyList<RegexNode> options)
    {
        var jumps = new List<int>();
        for (var i = 0; i < options.Count - 1; i++)
        {
            var split = Add(new RegexInstruction(RegexOp.Split));
            Emit(options[i]);
            jumps.Add(Add(new RegexInstruction(RegexOp.Jump)));
            _code[split] = new RegexInstruction(RegexOp.Split, split + 1, _code.Count);
        }
        Emit(options[^1]);
        foreach (var jump in jumps) _code[jump] = new RegexInstruction(RegexOp.Jump, _code.Count);
    }

    private void EmitPart(RegexNode body, RegexInstruction head)
    {
        var at = Add(head);
        Emit(body);
        Add(new RegexInstruction(RegexOp.End));
        _code[at] = head with { X = _code.Count };
    }

    private static RegexInstruction LookInstruction(RegexNode.Look look)
    {
        var head = new RegexInstruction(RegexOp.Look) { Negative = look.Negative, Behind = look.Behind };
        if (!look.Behind) return head;
        var (min, max) = Lengths(look.Body);
        if (max - min > 255) throw new FormatException("a look-behind must have a bounded length");
        return head with { Min = min, Max = max };
    }

    private void EmitRepeat(RegexNode.Repeat repeat)
    {
        if (repeat.Body is RegexNode.Set set)
        {
            var (_, min, max, greed) = repeat;
            Add(new RegexInstruction(RegexOp.SetLoop, Characters: set.Characters) { Min = min, Max = max, Greed = greed });
            return;
        }
        if (repeat.Greed == Greed.Possessive)
        {
            EmitPart(repeat with { Greed = Greed.Greedy }, new RegexInstruction(RegexOp.Atomic));
            return;
        }
        for (var i = 0; i < repeat.Min; i++) Emit(repeat.Body);
        if (repeat.Max == int.MaxValue) EmitLoop(repeat);
        else EmitOptionals(repeat);
    }

    private void EmitLoop(RegexNode.Repeat repeat)
    {
        var register = repeat.Body.IsNullable ? Registers++ : -1;
        var split = Add(new RegexInstruction(RegexOp.Split));
        if (register >= 0) Add(new RegexInstruction(RegexOp.Mark, register));
        Emit(repeat.Body);
        if (register >= 0) Add(new RegexInstruction(RegexOp.Check, register, _code.Count + 2));
        Add(new RegexInstruction(RegexOp.Jump, split));
        _code[split] = SplitTo(split + 1, _code.Count, repeat.Greed);
    }

    private void EmitOptionals(RegexNode.Repeat repeat)
    {
        var splits = new List<int>();
        for (var i = repeat.Min; i < repeat.Max; i++)
        {
            splits.Add(Add(new RegexInstruction(RegexOp.Split)));
            Emit(repeat.Body);
        }
        foreach (var split in splits) _code[split] = SplitTo(split + 1, _code.Count, repeat.Greed);
    }

    private static RegexInstruction SplitTo(int body, int exit, Greed greed) =>
        greed == Greed.Lazy ? new RegexInstruction(RegexOp.Split, exit, body) : new RegexInstruction(RegexOp.Split, body, exit);

    // Characters that a node takes, at least and at most; "unbounded" is a million.
    private static (int Min, int Max) Lengths(RegexNode node)
    {
        const int unbounded = 1_000_000;
        switch (node)
        {
            case RegexNode.Set: return (1, 1);
            case RegexNode.Sequence sequence:
                var parts = sequence.Items.Select(Lengths).ToList();
                return (parts.Sum(part => part.Min), (int)Math.Min(unbounded, parts.Sum(part => (long)part.Max)));
            case RegexNode.Choice choice:
                var options = choice.Options.Select(Lengths).ToList();
                return (options.Min(option => option.Min), options.Max(option => option.Max));
            case RegexNode.Atomic atomic: return Lengths(atomic.Body);
            case RegexNode.Repeat repeat:
                var body = Lengths(repeat.Body);
                return ((int)Math.Min(unbounded, (long)body.Min * repeat.Min),
                    (int)Math.Min(unbounded, (long)body.Max * repeat.Max));
            default: return (0, 0);
        }
    }

    // What a node starts with if it takes a character; null where that is not known.
    private static CharacterSet? FirstOf(RegexNode node)
    {
        switch (node)
        {
            case RegexNode.Set set: return set.Characters;
            case RegexNode.Atomic atomic: return FirstOf(atomic.Body);
            case RegexNode.Repeat repeat: return FirstOf(repeat.Body);
            case RegexNode.Choice choice: return Union(choice.Options);
            case RegexNode.Sequence sequence:
                var lead = sequence.Items.TakeWhile(item => item.IsNullable).Count();
                return Union([.. sequence.Items.Take(lead + 1)]);
            default: return null;
        }
    }

    private static CharacterSet? Union(IReadOnlyList<RegexNode> nodes)
    {
        CharacterSet? union = null;
        foreach (var node in nodes)
        {
            if (FirstOf(node) is not { } first) return null;
            union = union is null ? first : union.Or(first);
        }
        return union;
    }
}
