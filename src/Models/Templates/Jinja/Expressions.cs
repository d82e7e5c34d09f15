// The nodes of expressions and what they evaluate to.
using System.Text;

namespace PeftAlign.Models.Templates.Jinja;

/// <summary>A node with a value. Height is that of its tree: it bounds the recursion of evaluation.</summary>
internal abstract class Expression
{
    private const int StackCheckEvery = 16;

    protected Expression(int line, params ReadOnlySpan<Expression?> children)
    {
        Line = line;
        foreach (Expression? child in children)
            if (child is not null) Height = Math.Max(Height, child.Height + 1);
        if (Height > Parser.MaxHeight) throw Parser.TooDeep();
    }

    public int Line { get; }

    public int Height { get; }

    public object? Evaluate(Scope scope)
    {
        scope.Run.Step(Line);
        if (Height % StackCheckEvery == StackCheckEvery - 1) Meter.EnsureStack();
        return Compute(scope);
    }

    protected abstract object? Compute(Scope scope);
}

internal sealed class Literal(object? value, int line) : Expression(line)
{
    public object? Value => value;

    protected override object? Compute(Scope scope) => value;
}

internal sealed class Variable(string name, int line) : Expression(line)
{
    protected override object? Compute(Scope scope) => scope.TryGet(name, out object? value) ? value : Undefined.Name(name);
}

internal sealed class ListDisplay(Expression[] items, int line) : Expression(line, items)
{
    protected override object? Compute(Scope scope) => new PyList(Array.ConvertAll(items, i => i.Evaluate(scope)));
}

internal sealed class TupleDisplay(Expression[] items, int line) : Expression(line, items)
{
    public Expression[] Items => items;

    protected override object? Compute(Scope scope) => new PyTuple(Array.ConvertAll(items, i => i.Evaluate(scope)));
}

internal sealed class DictDisplay((Expression Key, Expression Value)[] items, int line)
    : Expression(line, [.. items.Select(i => i.Key), .. items.Select(i => i.Value)])
{
    protected override object? Compute(Scope scope)
    {
        var dict = new PyDict();
        foreach ((Expression key, Expression value) in items) dict.Set(key.Evaluate(scope), value.Evaluate(scope));
        return dict;
    }
}

internal sealed class Or(Expression left, Expression right, int line) : Expression(line, left, right)
{
    protected override object? Compute(Scope scope) =>
        left.Evaluate(scope) is var value && Py.Truth(value) ? value : right.Evaluate(scope);
}

internal sealed class And(Expression left, Expression right, int line) : Expression(line, left, right)
{
    protected override object? Compute(Scope scope) =>
        left.Evaluate(scope) is var value && !Py.Truth(value) ? value : right.Evaluate(scope);
}

internal sealed class Not(Expression value, int line) : Expression(line, value)
{
    protected override object? Compute(Scope scope) => !Py.Truth(value.Evaluate(scope));
}

internal sealed class Conditional(Expression test, Expression value, Expression? otherwise, int line)
    : Expression(line, test, value, otherwise)
{
    protected override object? Compute(Scope scope)
    {
        if (Py.Truth(test.Evaluate(scope))) return value.Evaluate(scope);
        return otherwise is null
            ? new Undefined("the inline if-expression evaluated to false and no else section was defined.") { IsStrict = false } // in every environment of Jinja
            : otherwise.Evaluate(scope);
    }
}

internal sealed class Comparison(Expression first, (string Op, Expression Right)[] rest, int line)
    : Expression(line, [first, .. rest.Select(r => r.Right)])
{
    protected override object? Compute(Scope scope)
    {
        object? left = first.Evaluate(scope);
        foreach ((string op, Expression expression) in rest)
        {
            object? right = expression.Evaluate(scope);
            if (!PyOperators.Compare(op, left, right)) return false;
            left = right;
        }

        return true;
    }
}

internal sealed class Arithmetic(string op, Expression left, Expression right, int line) : Expression(line, left, right)
{
    protected override object? Compute(Scope scope) => PyOperators.Arithmetic(op, left.Evaluate(scope), right.Evaluate(scope));
}

internal sealed class Sign(bool minus, Expression value, int line) : Expression(line, value)
{
    protected override object? Compute(Scope scope)
    {
        object? operand = value.Evaluate(scope);
        if (operand is Undefined undefined) throw undefined.Fault();
        if (!PyNumber.IsNumber(operand))
            throw Fault.Type($"bad operand type for unary {(minus ? '-' : '+')}: '{Py.TypeName(operand)}'");
        return minus ? PyNumber.Negate(operand!) : operand is bool ? PyNumber.Normal(PyNumber.Big(operand)) : operand;
    }
}

internal sealed class Concatenation(Expression[] parts, int line) : Expression(line, parts)
{
    protected override object? Compute(Scope scope)
    {
        var text = new StringBuilder();
        foreach (Expression part in parts)
        {
            string piece = Py.Str(part.Evaluate(scope));
            scope.Run.Meter.Characters(piece.Length);
            text.Append(piece);
        }

        return text.ToString();
    }
}

internal sealed class Attribute(Expression owner, string name, int line) : Expression(line, owner)
{
    protected override object? Compute(Scope scope) => Members.Attribute(owner.Evaluate(scope), name);
}

internal sealed class Item(Expression owner, Expression key, int line) : Expression(line, owner, key)
{
    protected override object? Compute(Scope scope)
    {
        object? value = owner.Evaluate(scope);
        object? at = key.Evaluate(scope);
        if (at is not Slice) return Members.Item(value, at);
        if (value is Undefined undefined) throw undefined.Fault();
        return PyOperators.TryItem(value, at, out object? slice) ? slice
            : throw Fault.Type(
                value is PyDict ? "unhashable type: 'slice'" : $"'{Py.TypeName(value)}' object is not subscriptable");
    }
}

internal sealed class SliceKey(Expression? start, Expression? stop, Expression? step, int line)
    : Expression(line, start, stop, step)
{
    protected override object? Compute(Scope scope) =>
        new Slice(start?.Evaluate(scope), stop?.Evaluate(scope), step?.Evaluate(scope));
}

/// <summary>The arguments in a call's parentheses.</summary>
internal sealed class CallArguments(
    Expression[] positional, (string Name, Expression Value)[] named, Expression? rest, Expression? keywords)
{
    public static readonly CallArguments None = new([], [], null, null);

    public Expression?[] Children => [.. positional, .. named.Select(n => n.Value), rest, keywords];

    public GivenArguments Evaluate(Scope scope)
    {
        if (this == None) return GivenArguments.None;
        List<object?> values = [.. positional.Select(p => p.Evaluate(scope))];
        var pairs = named.Select(n => new KeyValuePair<string, object?>(n.Name, n.Value.Evaluate(scope))).ToList();
        if (rest is not null) values.AddRange(Py.ToList(rest.Evaluate(scope)));
        if (keywords is null) return new GivenArguments(values, pairs);
        if (keywords.Evaluate(scope) is not PyDict dict) throw Fault.Type("argument after ** must be a mapping");
        foreach ((object? key, object? value) in dict.Pairs)
        {
            string name = key as string ?? throw Fault.Type("keywords must be strings");
            if (pairs.Exists(p => p.Key == name)) throw Fault.Type($"got multiple values for keyword argument '{name}'");
            pairs.Add(new(string.Intern(name), value));
            scope.Run.Meter.Step(1 + (pairs.Count >> 2));
        }

        return new GivenArguments(values, pairs);
    }
}

internal sealed class Call(Expression function, CallArguments arguments, int line)
    : Expression(line, [function, .. arguments.Children])
{
    protected override object? Compute(Scope scope) => Invoke(scope, null);

    /// <summary>The call, with the body of a call block as its argument "caller".</summary>
    public object? Invoke(Scope scope, Macro? caller)
    {
        object? target = function.Evaluate(scope);
        GivenArguments given = arguments.Evaluate(scope);
        if (caller is not null) given = given with { Named = [.. given.Named, new("caller", caller)] };
        scope.Run.Line = Line;
        Meter.EnsureStack();
        return target switch
        {
            Callable callable => callable.Invoke(scope.Run, given),
            Undefined undefined => throw undefined.Fault(),
            _ => throw Fault.Type($"'{Py.TypeName(target)}' object is not callable"),
        };
    }
}

/// <summary>value | filter(arguments). Without a value it waits for the body of its block.</summary>
internal sealed class FilterChain(Expression? value, Native? filter, string name, CallArguments arguments, int line)
    : Expression(line, [value, .. arguments.Children])
{
    protected override object? Compute(Scope scope) => Apply(scope, value!.Evaluate(scope));

    /// <summary>Applies the chain to the body of a filter or set block.</summary>
    public object? ApplyTo(Scope scope, object? body) =>
        Apply(scope, value is FilterChain inner ? inner.ApplyTo(scope, body) : body);

    private object? Apply(Scope scope, object? input)
    {
        if (filter is null) throw Fault.Type($"No filter named '{name}'.");
        GivenArguments given = arguments.Evaluate(scope);
        scope.Run.Line = Line;
        return filter.Invoke(scope.Run, input, given);
    }
}

internal sealed class Test(Expression value, Native? test, string name, CallArguments arguments, int line)
    : Expression(line, [value, .. arguments.Children])
{
    protected override object? Compute(Scope scope)
    {
        if (test is null) throw Fault.Type($"No test named '{name}'.");
        object? input = value.Evaluate(scope);
        return Py.Truth(test.Invoke(scope.Run, input, arguments.Evaluate(scope)));
    }
}
