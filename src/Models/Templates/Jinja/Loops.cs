// {% for %}: turns, the loop variable, filters on the items, else, and recursion through loop(...).
namespace PeftAlign.Models.Templates.Jinja;

internal sealed class For(
    Target target, Expression items, Expression? test, bool recursive, Block body, Block? otherwise, int line) : Statement(line)
{
    private readonly int line = line;

    protected override Flow Perform(Scope scope)
    {
        Turns(scope, items.Evaluate(scope), 0, out Flow flow);
        return flow;
    }

    /// <summary>Items are taken one by one: a filter sees what earlier turns left in a namespace.</summary>
    private void Turns(Scope scope, object? values, int depth, out Flow flow)
    {
        IEnumerable<object?> all = Py.Iterate(values);
        int? length = test is null ? Py.Length(values) : null;
        var loop = new LoopState(test is null ? all : Filtered(scope, all), length, depth, recursive ? Recurse : null);
        Scope inner = scope.Inner();
        bool finishedOne = false;
        flow = Flow.Next;
        while (loop.Advance())
        {
            scope.Run.Step(line);
            inner.Clear();
            inner.Set("loop", loop);
            target.Assign(inner, loop.Current);
            Flow ended = body.Execute(inner);
            if (ended == Flow.Break) break;
            finishedOne |= ended == Flow.Next;
        }

        if (!finishedOne && otherwise is not null) flow = otherwise.Execute(scope.Inner());

        string Recurse(Run run, object? deeper, int level) => run.Enter(() => Turns(scope, deeper, level, out _));
    }

    private IEnumerable<object?> Filtered(Scope scope, IEnumerable<object?> all)
    {
        Scope inner = scope.Inner();
        foreach (object? value in all)
        {
            scope.Run.Step(line);
            inner.Clear();
            target.Assign(inner, value);
            if (Py.Truth(test!.Evaluate(inner))) yield return value;
        }
    }
}

/// <summary>The variable "loop".</summary>
internal sealed class LoopState(
    IEnumerable<object?> items, int? knownLength, int depth, Func<Run, object?, int, string>? recurse) : Callable
{
    public static readonly NativeTable Methods = new()
    {
        { "cycle", "*values", (_, a) => ((LoopState)a.Self!).Cycle(a.Rest) },
        { "changed", "*values", (_, a) => ((LoopState)a.Self!).Changed(new PyTuple(a.Rest)) },
    };

    private readonly IEnumerator<object?> source = items.GetEnumerator();
    private readonly Queue<object?> ahead = new();
    private object? previous;
    private bool hasPrevious;
    private PyTuple? seen;
    private int index = -1;

    public object? Current { get; private set; }

    public int Length => knownLength ?? Drain();

    public bool Advance()
    {
        if (!HasNext()) return false;
        (previous, hasPrevious) = (Current, index >= 0);
        Current = ahead.Dequeue();
        index++;
        return true;
    }

    /// <summary>The items that are left, taken from the loop itself.</summary>
    public IEnumerable<object?> Rest()
    {
        while (Advance()) yield return new PyTuple([Current, this]);
    }

    public bool TryData(string name, out object? value)
    {
        value = name switch
        {
            "index0" => (long)index,
            "index" => index + 1L,
            "revindex0" => (long)Length - index - 1,
            "revindex" => (long)Length - index,
            "first" => index == 0,
            "last" => !HasNext(),
            "length" => (long)Length,
            "depth" => depth + 1L,
            "depth0" => (long)depth,
            "previtem" => hasPrevious ? previous : new Undefined("there is no previous item"),
            "nextitem" => HasNext() ? ahead.Peek() : new Undefined("there is no next item"),
            _ => Parameters.Missing,
        };
        return value != Parameters.Missing;
    }

    public override object? Invoke(Run run, GivenArguments given)
    {
        if (given.Positional.Count != 1) throw Fault.Type("loop() takes the items of the deeper level");
        return recurse is null
            ? throw Fault.Type("The loop must have the 'recursive' marker to be called recursively.")
            : recurse(run, given.Positional[0], depth + 1);
    }

    public override string ToString() => $"<LoopContext {index + 1}/{Length}>";

    private bool HasNext()
    {
        if (ahead.Count > 0) return true;
        if (!source.MoveNext()) return false;
        ahead.Enqueue(source.Current);
        return true;
    }

    private int Drain()
    {
        while (source.MoveNext()) ahead.Enqueue(source.Current);
        return index + 1 + ahead.Count;
    }

    private object? Cycle(object?[] values) => values.Length > 0
        ? values[index % values.Length]
        : throw Fault.Type("no items for cycling given");

    private bool Changed(PyTuple values)
    {
        if (seen is not null && PyOperators.Equal(seen, values)) return false;
        seen = values;
        return true;
    }
}
