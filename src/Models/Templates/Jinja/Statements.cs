// The nodes of statements and what they do. A statement says how it ended, so that break and continue find their loop.
namespace PeftAlign.Models.Templates.Jinja;

internal enum Flow { Next, Break, Continue }

internal abstract class Statement(int line)
{
    public Flow Execute(Scope scope)
    {
        scope.Run.Step(line);
        return Perform(scope);
    }

    protected abstract Flow Perform(Scope scope);
}

internal sealed class Block(Statement[] statements)
{
    public Flow Execute(Scope scope)
    {
        Meter.EnsureStack();
        foreach (Statement statement in statements)
        {
            Flow flow = statement.Execute(scope);
            if (flow != Flow.Next) return flow;
        }

        return Flow.Next;
    }

    /// <summary>Runs the block and takes its output; how it ended goes to <paramref name="flow"/>.</summary>
    public string Capture(Scope scope, out Flow flow)
    {
        Flow ended = Flow.Next;
        string text = scope.Run.Capture(() => ended = Execute(scope));
        flow = ended;
        return text;
    }
}

internal sealed class TemplateText(string text, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope)
    {
        scope.Run.Write(text);
        return Flow.Next;
    }
}

internal sealed class Print(Expression[] values, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope)
    {
        foreach (Expression value in values) scope.Run.Write(Py.Str(value.Evaluate(scope)));
        return Flow.Next;
    }
}

internal sealed class If((Expression Test, Block Body)[] branches, Block? otherwise, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope)
    {
        foreach ((Expression test, Block body) in branches)
            if (Py.Truth(test.Evaluate(scope))) return body.Execute(scope);
        return otherwise?.Execute(scope) ?? Flow.Next;
    }
}

internal sealed class LoopControl(Flow flow, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope) => flow;
}

internal sealed class Set(Target target, Expression value, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope)
    {
        target.Assign(scope, value.Evaluate(scope));
        return Flow.Next;
    }
}

internal sealed class SetBlock(Target target, FilterChain? filters, Block body, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope)
    {
        Scope inner = scope.Inner();
        string text = body.Capture(inner, out Flow flow);
        if (flow == Flow.Next) target.Assign(scope, filters is null ? text : filters.ApplyTo(inner, text));
        return flow;
    }
}

internal sealed class FilterBlock(FilterChain filters, Block body, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope)
    {
        Scope inner = scope.Inner();
        string text = body.Capture(inner, out Flow flow);
        if (flow == Flow.Next) scope.Run.Write(Py.Str(filters.ApplyTo(inner, text)));
        return flow;
    }
}

internal sealed class With((Target Target, Expression Value)[] assignments, Block body, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope)
    {
        Scope inner = scope.Inner();
        foreach ((Target target, Expression value) in assignments) target.Assign(inner, value.Evaluate(scope));
        return body.Execute(inner);
    }
}

/// <summary>{% generation %}: its output is what the model is to learn; its place is noted for the assistant mask.</summary>
internal sealed class Generation(Block body, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope)
    {
        string text = body.Capture(scope.Inner(), out _);
        scope.Run.Generated.Add((scope.Run.RootLength, PyText.Length(text)));
        scope.Run.Write(text);
        return Flow.Next;
    }
}

/// <summary>{% block %}: without inheritance it renders where it stands, and sees the top level's variables unless
/// scoped.</summary>
internal sealed class NamedBlock(Block body, bool scoped, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope) => body.Execute((scoped ? scope : scope.Run.Root).Inner());
}

/// <summary>What stands left of = or between for and in.</summary>
internal abstract class Target
{
    public abstract void Assign(Scope scope, object? value);
}

internal sealed class NameTarget(string name) : Target
{
    public override void Assign(Scope scope, object? value) => scope.Set(name, value);
}

internal sealed class MemberTarget(string name, string member) : Target
{
    public override void Assign(Scope scope, object? value)
    {
        if (!scope.TryGet(name, out object? owner) || owner is not Namespace space)
            throw Fault.Type("cannot assign attribute on non-namespace object");
        space.Set(member, value);
    }
}

internal sealed class TupleTarget(Target[] parts) : Target
{
    public override void Assign(Scope scope, object? value)
    {
        if (Py.TryIterate(value) is null) throw Fault.Type($"cannot unpack non-iterable {Py.TypeName(value)} object");
        List<object?> items = Py.ToList(value);
        if (items.Count > parts.Length) throw Fault.Value($"too many values to unpack (expected {parts.Length})");
        if (items.Count < parts.Length)
            throw Fault.Value($"not enough values to unpack (expected {parts.Length}, got {items.Count})");
        for (int i = 0; i < parts.Length; i++) parts[i].Assign(scope, items[i]);
    }
}
