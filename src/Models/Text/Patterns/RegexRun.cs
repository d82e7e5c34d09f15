// Runs a RegexProgram by backtracking. Bounded: once an attempt takes long, every (instruction, position) that has failed is
// remembered and never tried again, which makes (a+)+$ linear; beyond a budget of steps the run ends with an error.
using PeftAlign.Models.Text.Unicode;

namespace PeftAlign.Models.Text.Patterns;

/// <summary>The state of a search through one text.</summary>
internal sealed class RegexRun(RegexProgram program, string source)
{
    private const int StepsBeforeMemo = 10_000;
    private const int MaxFailures = 8 << 20;

    // Stack entries: an alternative (instruction, position), the rest of a loop, a register to restore, a failure to note.
    private const int Alternative = 0, LoopRest = 1, Restore = 2, Failure = 3;
    private readonly record struct Entry(int Kind, int Code, int Position, int Least);

    private readonly int[] _registers = new int[program.Registers];
    private Entry[] _stack = new Entry[64];
    private int _count;
    private HashSet<long>? _failed;
    private long _steps, _budget;

    /// <summary>Finds the first match at or after <paramref name="from"/>.</summary>
    public bool Search(ReadOnlySpan<char> text, int from, out int start, out int end)
    {
        if (_budget == 0) _budget = 10_000_000 + 1000L * text.Length;
        for (start = from; start <= text.Length;)
        {
            var next = start + 1;
            if (start < text.Length)
            {
                next = start;
                var point = CodePoints.Next(text, ref next);
                if (program.First is { } first && !first.Contains(point))
                {
                    start = next;
                    continue;
                }
            }
            else if (program.First is not null) break;
            end = Run(text, 0, start, -1);
            if (end >= 0) return true;
            start = next;
        }
        (start, end) = (0, 0);
        return false;
    }

    // Runs from an instruction to its End; the position there, or -1. Target: where a look-behind has to end, or -1.
    private int Run(ReadOnlySpan<char> text, int code, int position, int target)
    {
        var floor = _count;
        var attempt = _steps;
        while (true)
        {
            if (++_steps - attempt > StepsBeforeMemo) CheckBudget();
            ref readonly var now = ref program.Code[code];
            var alive = true;
            switch (now.Op)
            {
                case RegexOp.End:
                    if (target >= 0 && position != target) alive = false;
                    else
                    {
                        _count = floor;
                        return position;
                    }
                    break;
                case RegexOp.Set: alive = TakeOne(text, now.Characters!, ref position); code++; break;
                case RegexOp.SetLoop: alive = TakeLoop(text, code, ref position); code++; break;
                case RegexOp.Jump: code = now.X; break;
                case RegexOp.Split: alive = Split(ref code, position, now, target); break;
                case RegexOp.Anchor: alive = Holds(text, position, (Anchor)now.X); code++; break;
                case RegexOp.Mark:
                    Push(new Entry(Restore, now.X, _registers[now.X], 0));
                    _registers[now.X] = position;
                    code++;
                    break;
                case RegexOp.Check: code = _registers[now.X] == position ? now.Y : code + 1; break;
                case RegexOp.Look: alive = Look(text, code, position, now) != now.Negative; code = now.X; break;
                case RegexOp.Atomic:
                    var inner = Run(text, code + 1, position, -1);
                    (alive, position, code) = (inner >= 0, inner, now.X);
                    break;
            }
            if (!alive && !Backtrack(text, floor, ref code, ref position)) return -1;
        }
    }

    private void CheckBudget()
    {
        _failed ??= [];
        if (_steps > _budget || _failed.Count > MaxFailures)
            throw new TokenizerException($"the pattern '{source}' takes too long on this text; simplify the pattern or split the text");
    }

    private bool Split(ref int code, int position, in RegexInstruction now, int target)
    {
        if (_failed is not null && target < 0)
        {
            if (_failed.Contains((long)code << 32 | (uint)position)) return false;
            Push(new Entry(Failure, code, position, 0));
        }
        Push(new Entry(Alternative, now.Y, position, 0));
        code = now.X;
        return true;
    }

    private static bool TakeOne(ReadOnlySpan<char> text, CharacterSet set, ref int position)
    {
        if (position >= text.Length) return false;
        var next = position;
        if (!set.Contains(CodePoints.Next(text, ref next))) return false;
        position = next;
        return true;
    }

    private bool TakeLoop(ReadOnlySpan<char> text, int code, ref int position)
    {
        ref readonly var loop = ref program.Code[code];
        var (set, start, taken, least) = (loop.Characters!, position, 0, position);
        var limit = loop.Greed == Greed.Lazy ? loop.Min : loop.Max;
        while (taken < limit && TakeOne(text, set, ref position))
            if (++taken == loop.Min) least = position;
        _steps += (position - start) >> 2;
        if (taken < loop.Min) return false;
        if (loop.Greed == Greed.Greedy && position > least) Push(new Entry(LoopRest, code, position, least));
        if (loop.Greed == Greed.Lazy && loop.Max > loop.Min) Push(new Entry(LoopRest, code, position, taken));
        return true;
    }

    private bool Look(ReadOnlySpan<char> text, int code, int position, in RegexInstruction look)
    {
        if (!look.Behind) return Run(text, code + 1, position, -1) >= 0;
        var start = position;
        for (var length = 0; length <= look.Max; length++)
        {
            if (length >= look.Min && Run(text, code + 1, start, position) >= 0) return true;
            if (start == 0) return false;
            start -= CodePoints.Units(CodePoints.Before(text, start));
        }
        return false;
    }

    private bool Backtrack(ReadOnlySpan<char> text, int floor, ref int code, ref int position)
    {
        while (_count > floor)
        {
            ref var top = ref _stack[_count - 1];
            switch (top.Kind)
            {
                case Alternative:
                    (code, position) = (top.Code, top.Position);
                    _count--;
                    return true;
                case Restore:
                    _registers[top.Code] = top.Position;
                    _count--;
                    break;
                case Failure:
                    _failed!.Add((long)top.Code << 32 | (uint)top.Position);
                    _count--;
                    break;
                default:
                    if (LoopAgain(text, ref top, out position))
                    {
                        code = top.Code + 1;
                        return true;
                    }
                    _count--;
                    break;
            }
        }
        return false;
    }

    // A greedy loop gives one character back, a lazy one takes one more.
    private bool LoopAgain(ReadOnlySpan<char> text, ref Entry top, out int position)
    {
        ref readonly var loop = ref program.Code[top.Code];
        position = top.Position;
        if (loop.Greed == Greed.Lazy)
        {
            if (top.Least >= loop.Max || !TakeOne(text, loop.Characters!, ref position)) return false;
            top = top with { Position = position, Least = top.Least + 1 };
            return true;
        }
        if (position <= top.Least) return false;
        position -= CodePoints.Units(CodePoints.Before(text, position));
        top = top with { Position = position };
        return true;
    }

    private static bool Holds(ReadOnlySpan<char> text, int position, Anchor anchor) => anchor switch
    {
        Anchor.LineStart => position == 0 || (text[position - 1] == '\n' && position < text.Length),
        Anchor.LineEnd => position == text.Length || text[position] == '\n',
        Anchor.TextStart => position == 0,
        Anchor.TextEnd => position == text.Length,
        Anchor.TextEndOrLastLine => position == text.Length || (position == text.Length - 1 && text[position] == '\n'),
        Anchor.WordEdge => IsWordEdge(text, position),
        _ => !IsWordEdge(text, position),
    };

    private static bool IsWordEdge(ReadOnlySpan<char> text, int position)
    {
        var before = position > 0 && RegexClassParser.IsBareWord(CodePoints.Before(text, position));
        var next = position;
        var after = position < text.Length && RegexClassParser.IsBareWord(CodePoints.Next(text, ref next));
        return before != after;
    }

    private void Push(Entry entry)
    {
        if (_count == _stack.Length) Array.Resize(ref _stack, _count * 2);
        _stack[_count++] = entry;
    }
}
