// Jinja's grammar of expressions, from loose to tight: inline if, or, and, not, comparisons, + -, ~, * / // %, **,
// sign, postfix (attribute, item, call), filters and tests. "**" groups to the left and a sign binds tighter than it.
namespace PeftAlign.Models.Templates.Jinja;

internal sealed partial class Parser
{
    private static readonly string[] Comparisons = ["==", "!=", "<", "<=", ">", ">="];

    private void MarkConditional(int from)
    {
        for (int i = from; i < unknown.Count; i++) unknown[i].Conditional = true;
    }

    private Expression Expression(bool conditionals = true)
    {
        if (++nesting > MaxNesting) throw TooDeep();
        Expression value = conditionals ? Conditional() : Or();
        nesting--;
        return value;
    }

    private Expression Conditional()
    {
        int mark = unknown.Count;
        int line = Current.Line;
        Expression value = Or();
        while (SkipName("if"))
        {
            Expression test = Or();
            Expression? otherwise = SkipName("else") ? Expression() : null;
            value = new Conditional(test, value, otherwise, line);
            MarkConditional(mark);
        }

        return value;
    }

    private Expression Or()
    {
        Expression left = And();
        while (SkipName("or")) left = new Or(left, And(), left.Line);
        return left;
    }

    private Expression And()
    {
        Expression left = Not();
        while (SkipName("and")) left = new And(left, Not(), left.Line);
        return left;
    }

    private Expression Not()
    {
        if (!Current.IsName("not")) return Comparison();
        int line = Next().Line;
        if (++nesting > MaxNesting) throw TooDeep();
        Expression value = new Not(Not(), line);
        nesting--;
        return value;
    }

    private Expression Comparison()
    {
        Expression first = Sum();
        var rest = new List<(string, Expression)>();
        while (true)
        {
            if (Current.Kind == TokenKind.Operator && Array.IndexOf(Comparisons, Current.Text) >= 0)
                rest.Add((Next().Text, Sum()));
            else if (SkipName("in")) rest.Add(("in", Sum()));
            else if (Current.IsName("not") && tokens[at + 1].IsName("in"))
            {
                at += 2;
                rest.Add(("not in", Sum()));
            }
            else
            {
                return rest.Count == 0 ? first : new Comparison(first, [.. rest], first.Line);
            }
        }
    }

    private Expression Sum()
    {
        Expression left = Concatenation();
        while (Current.Is("+") || Current.Is("-")) left = new Arithmetic(Next().Text, left, Concatenation(), left.Line);
        return left;
    }

    private Expression Concatenation()
    {
        Expression first = Product();
        if (!Current.Is("~")) return first;
        var parts = new List<Expression> { first };
        while (Skip("~")) parts.Add(Product());
        return new Concatenation([.. parts], first.Line);
    }

    private Expression Product()
    {
        Expression left = Power();
        while (Current.Is("*") || Current.Is("/") || Current.Is("//") || Current.Is("%"))
            left = new Arithmetic(Next().Text, left, Power(), left.Line);
        return left;
    }

    private Expression Power()
    {
        Expression left = Signed();
        while (Skip("**")) left = new Arithmetic("**", left, Signed(), left.Line);
        return left;
    }

    private Expression Signed(bool filters = true)
    {
        Expression value;
        if (Current.Is("-") || Current.Is("+"))
        {
            Token sign = Next();
            if (++nesting > MaxNesting) throw TooDeep();
            value = new Sign(sign.Text == "-", Signed(filters: false), sign.Line);
            nesting--;
        }
        else
        {
            value = Primary();
        }

        value = Postfix(value);
        return filters ? FilterExpression(value) : value;
    }

    private Expression Primary()
    {
        Token token = Next();
        switch (token.Kind)
        {
            case TokenKind.Name:
                return token.Text switch
                {
                    "true" or "True" => new Literal(true, token.Line),
                    "false" or "False" => new Literal(false, token.Line),
                    "none" or "None" => new Literal(null, token.Line),
                    _ => new Variable(token.Text, token.Line),
                };
            case TokenKind.String:
                string text = token.Text;
                while (Current.Kind == TokenKind.String) text += Next().Text;
                return new Literal(text, token.Line);
            case TokenKind.Integer or TokenKind.Float:
                return new Literal(token.Value, token.Line);
            case TokenKind.Operator when token.Text == "(":
                Expression inner = TupleOrExpression(parenthesised: true);
                Expect(")");
                return inner;
            case TokenKind.Operator when token.Text == "[":
                return new ListDisplay(Items("]", () => Expression()), token.Line);
            case TokenKind.Operator when token.Text == "{":
                return new DictDisplay(Items("}", KeyAndValue), token.Line);
            default:
                throw token.Kind == TokenKind.End
                    ? Fault.Syntax("unexpected end of template")
                    : Fault.Syntax($"unexpected '{token.Description}'");
        }
    }

    private (Expression, Expression) KeyAndValue()
    {
        Expression key = Expression();
        Expect(":");
        return (key, Expression());
    }

    private T[] Items<T>(string end, Func<T> item)
    {
        var items = new List<T>();
        while (!Skip(end))
        {
            if (items.Count > 0)
            {
                Expect(",");
                if (Skip(end)) break;
            }

            items.Add(item());
        }

        return [.. items];
    }

    /// <summary>An expression, or a tuple where commas follow; empty only inside parentheses.</summary>
    private Expression TupleOrExpression(bool conditionals = true, string? end = null, bool parenthesised = false)
    {
        var items = new List<Expression>();
        bool tuple = false;
        int line = Current.Line;
        while (true)
        {
            if (items.Count > 0) Expect(",");
            if (Current.Kind is TokenKind.PrintEnd or TokenKind.BlockEnd || Current.Is(")")
                || (end is not null && Current.IsName(end))) break;
            items.Add(Expression(conditionals));
            if (!Current.Is(",")) break;
            tuple = true;
        }

        if (tuple || (items.Count == 0 && parenthesised)) return new TupleDisplay([.. items], line);
        return items.Count == 1 ? items[0] : throw Fault.Syntax($"Expected an expression, got '{Current.Description}'");
    }

    private Expression Postfix(Expression value)
    {
        while (true)
        {
            if (Skip(".")) value = Member(value);
            else if (Skip("[")) value = Subscript(value);
            else if (Current.Is("(")) value = new Call(value, CallArguments(), value.Line);
            else return value;
        }
    }

    private Expression Member(Expression value)
    {
        Token token = Next();
        return token.Kind switch
        {
            TokenKind.Name => new Attribute(value, token.Text, token.Line),
            TokenKind.Integer => new Item(value, new Literal(token.Value, token.Line), token.Line),
            _ => throw Fault.Syntax("expected name or number"),
        };
    }

    private Expression Subscript(Expression value)
    {
        int line = Current.Line;
        var keys = new List<Expression>();
        while (!Skip("]"))
        {
            if (keys.Count > 0) Expect(",");
            keys.Add(IndexOrSlice());
        }

        return new Item(value, keys.Count == 1 ? keys[0] : new TupleDisplay([.. keys], line), line);
    }

    private Expression IndexOrSlice()
    {
        int line = Current.Line;
        Expression? start = Current.Is(":") ? null : Expression();
        if (!Skip(":")) return start!;
        Expression? stop = SliceBound();
        Expression? step = Skip(":") ? SliceBound() : null;
        return new SliceKey(start, stop, step, line);
    }

    private Expression? SliceBound() => Current.Is(":") || Current.Is("]") || Current.Is(",") ? null : Expression();

    private Expression FilterExpression(Expression value)
    {
        while (true)
        {
            if (Current.Is("|")) value = Filters(value, start: false)!;
            else if (Current.IsName("is")) value = Test(value);
            else if (Current.Is("(")) value = new Call(value, CallArguments(), value.Line);
            else return value;
        }
    }

    /// <summary>A chain of filters on a value; without one, on the body of a block.</summary>
    private FilterChain? Filters(Expression? value, bool start)
    {
        FilterChain? chain = null;
        while (start || Skip("|"))
        {
            start = false;
            int line = Current.Line;
            string name = DottedName();
            CallArguments arguments = Current.Is("(") ? CallArguments() : Jinja.CallArguments.None;
            Native? filter = Jinja.Filters.Find(name, ofTask);
            if (filter is null) unknown.Add(new UnknownName($"No filter named '{name}'.", line) { Conditional = conditional });
            chain = new FilterChain((Expression?)chain ?? value, filter, name, arguments, line);
        }

        return chain;
    }

    private string DottedName()
    {
        string name = ExpectName();
        while (Skip(".")) name += "." + ExpectName();
        return name;
    }

    private Expression Test(Expression value)
    {
        int line = Next().Line;
        bool negated = SkipName("not");
        string name = DottedName();
        CallArguments arguments = Jinja.CallArguments.None;
        if (Current.Is("("))
        {
            arguments = CallArguments();
        }
        else if (StartsTestArgument())
        {
            if (Current.IsName("is")) throw Fault.Syntax("You cannot chain multiple tests with is");
            arguments = new CallArguments([Postfix(Primary())], [], null, null);
        }

        Native? test = Tests.Find(name);
        if (test is null) unknown.Add(new UnknownName($"No test named '{name}'.", line) { Conditional = conditional });
        Expression result = new Test(value, test, name, arguments, line);
        return negated ? new Not(result, line) : result;
    }

    private bool StartsTestArgument() => Current.Kind switch
    {
        TokenKind.Name => Current.Text is not ("else" or "or" or "and"),
        TokenKind.String or TokenKind.Integer or TokenKind.Float => true,
        _ => Current.Is("(") || Current.Is("[") || Current.Is("{"),
    };

    private CallArguments CallArguments()
    {
        var positional = new List<Expression>();
        var named = new List<(string Name, Expression Value)>();
        Expression? rest = null, keywords = null;
        Expect("(");
        for (bool first = true; !Skip(")"); first = false)
        {
            if (!first)
            {
                Expect(",");
                if (Skip(")")) break;
            }

            if (rest is null && keywords is null && Skip("*")) rest = Expression();
            else if (keywords is null && Skip("**")) keywords = Expression();
            else if (keywords is null && Current.Kind == TokenKind.Name && tokens[at + 1].Is("="))
            {
                string name = Next().Text;
                at++;
                if (named.Exists(n => n.Name == name)) throw Fault.Syntax($"keyword argument repeated: {name}");
                named.Add((name, Expression()));
            }
            else if (rest is null && keywords is null && named.Count == 0) positional.Add(Expression());
            else throw Fault.Syntax("invalid syntax for function call expression");
        }

        return new CallArguments([.. positional], [.. named], rest, keywords);
    }
}
