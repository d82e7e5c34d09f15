// Jinja's grammar of statements: tokens in, a tree of nodes out. Beside Jinja's own tags it knows break and continue
// (loop controls) and generation blocks. A template stands alone: extends, include and import have nothing to load from.
namespace PeftAlign.Models.Templates.Jinja;

internal sealed partial class Parser
{
    /// <summary>Levels of brackets, expressions and blocks in each other.</summary>
    public const int MaxNesting = 100;

    /// <summary>Levels of the tree, to which also long chains as in a + b + c add.</summary>
    public const int MaxHeight = 250;

    private static readonly string[] NeedsLoader = ["extends", "include", "import", "from"];

    private readonly List<Token> tokens;
    private readonly List<UnknownName> unknown = [];
    private readonly Stack<(string Tag, string[] Ends)> open = new();
    private int at;
    private int nesting;
    private int loops;              // for-loops around this place, within the same macro or block body
    private bool inLoop;
    private bool conditional;

    private readonly bool ofTask;

    private Parser(List<Token> tokens, bool ofTask) => (this.tokens, this.ofTask) = (tokens, ofTask);

    /// <summary>A filter or test that does not exist: an error at once, unless it stands in a branch that may not be
    /// taken.</summary>
    private sealed record UnknownName(string Message, int Line)
    {
        public bool Conditional { get; set; }
    }

    private Token Current => tokens[at];

    /// <summary>Parses a template.</summary>
    /// <exception cref="Fault">Syntax; <paramref name="line"/> is the line reached.</exception>
    public static Block Parse(string source, bool trims, out int line)
    {
        var parser = new Parser(Lexer.Split(source, trims, out line), ofTask: !trims);
        line = 1;
        try
        {
            Block block = parser.Statements([]);
            UnknownName? missing = parser.unknown.Find(u => !u.Conditional);
            if (missing is null) return block;
            parser.at = Math.Max(0, parser.tokens.FindIndex(t => t.Line >= missing.Line));
            throw Fault.Syntax(missing.Message);
        }
        finally
        {
            line = parser.Current.Line;
        }
    }

    public static Fault TooDeep() => new(
        Abstractions.ChatTemplateErrorKind.Limit, $"it nests more than {MaxNesting} levels deep; simplify the template");

    private Token Next() => tokens[at < tokens.Count - 1 ? at++ : at];

    private bool Skip(string op)
    {
        if (!Current.Is(op)) return false;
        at++;
        return true;
    }

    private bool SkipName(string name)
    {
        if (!Current.IsName(name)) return false;
        at++;
        return true;
    }

    private void Expect(string op)
    {
        if (!Skip(op)) throw Expected($"'{op}'");
    }

    private string ExpectName(string? name = null)
    {
        if (Current.Kind != TokenKind.Name || (name is not null && Current.Text != name))
            throw Expected(name is null ? "a name" : $"'{name}'");
        return Next().Text;
    }

    private void Expect(TokenKind kind, string description)
    {
        if (Current.Kind != kind) throw Expected(description);
        Next();
    }

    private Fault Expected(string what) => Current.Kind == TokenKind.End
        ? Fault.Syntax($"unexpected end of template, expected {what}")
        : Fault.Syntax($"expected {what}, got '{Current.Description}'");

    /// <summary>Text, prints and statements up to one of the closing tags, which stays the current token.</summary>
    private Block Statements(string[] ends)
    {
        var nodes = new List<Statement>();
        if (++nesting > MaxNesting) throw TooDeep();
        while (Current.Kind != TokenKind.End)
        {
            Token token = Next();
            if (token.Kind == TokenKind.Data) nodes.Add(new TemplateText(token.Text, token.Line));
            else if (token.Kind == TokenKind.PrintBegin)
            {
                nodes.Add(new Print([TupleOrExpression()], token.Line));
                Expect(TokenKind.PrintEnd, "'end of print statement'");
            }
            else
            {
                if (Current.Kind == TokenKind.Name && Array.IndexOf(ends, Current.Text) >= 0) break;
                nodes.Add(TaggedStatement());
                Expect(TokenKind.BlockEnd, "'end of statement block'");
            }
        }

        if (Current.Kind == TokenKind.End && ends.Length > 0) throw MissingEnd();
        nesting--;
        return new Block([.. nodes]);
    }

    private Fault MissingEnd() => Fault.Syntax(
        "Unexpected end of template." + Unclosed());

    /// <summary>The body of a tag. New variables' home, loop controls and branches are as the body's kind has them.</summary>
    private Block Body(string tag, string[] ends, bool loop = false, bool callable = false, bool branch = false)
    {
        Skip(":");
        Expect(TokenKind.BlockEnd, "'end of statement block'");
        (int outerLoops, bool outerIn, bool outerConditional) = (loops, inLoop, conditional);
        loops = callable ? 0 : loop ? loops + 1 : loops;
        inLoop |= loop;
        conditional = branch;
        open.Push((tag, ends));
        Block body = Statements(ends);
        open.Pop();
        (loops, inLoop, conditional) = (outerLoops, outerIn, outerConditional);
        return body;
    }

    private Block ClosedBody(string tag, bool callable = false)
    {
        Block body = Body(tag, ["end" + tag], callable: callable);
        Next();
        return body;
    }

    private Statement TaggedStatement()
    {
        if (Current.Kind != TokenKind.Name) throw Fault.Syntax($"tag name expected, got '{Current.Description}'");
        (string tag, int line) = (Current.Text, Next().Line);
        return tag switch
        {
            "if" => If(line),
            "for" => For(line),
            "set" => Set(line),
            "macro" => MacroDefinition(line),
            "call" => CallBlock(line),
            "filter" => new FilterBlock(Filters(null, start: true)!, ClosedBody(tag), line),
            "with" => With(line),
            "generation" => new Generation(ClosedBody(tag, callable: true), line),
            "break" or "continue" => LoopControl(tag, line),
            "print" => PrintStatement(line),
            "autoescape" => Unescaped(line),
            "block" => NamedBlock(line),
            _ when NeedsLoader.Contains(tag) =>
                throw Fault.Syntax($"'{tag}': a chat template stands alone; put the other template's text here"),
            _ => throw Fault.Syntax($"Encountered unknown tag '{tag}'.{Unclosed()}"),
        };
    }

    private string Unclosed() => open.Count == 0 ? ""
        : $" Jinja was looking for the following tags: {string.Join(" or ", open.Peek().Ends.Select(e => $"'{e}'"))}. "
        + $"The innermost block that needs to be closed is '{open.Peek().Tag}'.";

    private If If(int line)
    {
        var branches = new List<(Expression Test, Block Body)>();
        Block? otherwise = null;
        while (true)
        {
            int mark = unknown.Count;
            Expression test = TupleOrExpression(conditionals: false);
            MarkConditional(mark);
            branches.Add((test, Body("if", ["elif", "else", "endif"], branch: true)));
            string end = Next().Text;
            if (end == "elif") continue;
            if (end == "else")
            {
                otherwise = Body("if", ["endif"], branch: true);
                Next();
            }

            return new If([.. branches], otherwise, line);
        }
    }

    private For For(int line)
    {
        bool outer = inLoop;
        inLoop = true;
        Target target = AssignmentTarget(end: "in");
        ExpectName("in");
        Expression items = TupleOrExpression(conditionals: false, end: "recursive");
        Expression? test = SkipName("if") ? Expression() : null;
        bool recursive = SkipName("recursive");
        Block body = Body("for", ["else", "endfor"], loop: true);
        Block? otherwise = null;
        if (Next().Text == "else")
        {
            otherwise = Body("for", ["endfor"]);
            Next();
        }

        inLoop = outer;
        return new For(target, items, test, recursive, body, otherwise, line);
    }

    private Statement Set(int line)
    {
        Target target = AssignmentTarget(members: true);
        if (Skip("=")) return new Set(target, TupleOrExpression(), line);
        FilterChain? filters = Filters(null, start: false);
        return new SetBlock(target, filters, ClosedBody("set"), line);
    }

    private With With(int line)
    {
        var assignments = new List<(Target, Expression)>();
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (assignments.Count > 0) Expect(",");
            Target target = AssignmentTarget();
            Expect("=");
            assignments.Add((target, Expression()));
        }

        return new With([.. assignments], ClosedBody("with"), line);
    }

    private MacroDefinition MacroDefinition(int line)
    {
        string name = TargetName();
        (string[] parameters, Expression?[] defaults) = Signature();
        return new MacroDefinition(new MacroBody(
            name, parameters, defaults, UsesOf(() => ClosedBody("macro", callable: true), out var uses), uses, line), line);
    }

    private CallBlock CallBlock(int line)
    {
        (string[] parameters, Expression?[] defaults) = Current.Is("(") ? Signature() : ([], []);
        if (Expression() is not Call call) throw Fault.Syntax("expected call");
        Block body = UsesOf(() => ClosedBody("call", callable: true), out var uses);
        return new CallBlock(call, new MacroBody("caller", parameters, defaults, body, uses, line), line);
    }

    /// <summary>Parses a macro's body and notes which of the implicit variables it mentions: only those accept
    /// arguments.</summary>
    private Block UsesOf(Func<Block> body, out HashSet<string> uses)
    {
        int from = at;
        Block block = body();
        uses = [.. tokens[from..at].Where(t => t.Kind == TokenKind.Name && t.Text is "caller" or "varargs" or "kwargs").Select(
            t => t.Text)];
        return block;
    }

    private (string[] Parameters, Expression?[] Defaults) Signature()
    {
        var parameters = new List<string>();
        var defaults = new List<Expression?>();
        Expect("(");
        while (!Skip(")"))
        {
            if (parameters.Count > 0) Expect(",");
            string name = TargetName();
            if (parameters.Contains(name)) throw Fault.Syntax($"duplicate argument '{name}' in macro definition");
            if (name == "caller" && !Current.Is("="))
                throw Fault.Syntax("the special \"caller\" argument must be omitted or be given a default");
            parameters.Add(name);
            if (Skip("=")) defaults.Add(Expression());
            else if (defaults.Exists(d => d is not null)) throw Fault.Syntax("non-default argument follows default argument");
            else defaults.Add(null);
        }

        return ([.. parameters], [.. defaults]);
    }

    private LoopControl LoopControl(string tag, int line) => loops > 0
        ? new LoopControl(tag == "break" ? Flow.Break : Flow.Continue, line)
        : throw Fault.Syntax($"'{tag}' outside loop");

    /// <summary>{% autoescape false %} states what holds anyway; any other value asks for what chat templates never do.</summary>
    private With Unescaped(int line) => Expression() is Literal { Value: false }
        ? new With([], ClosedBody("autoescape"), line)
        : throw Fault.Syntax("chat templates are not HTML: autoescape can only be false; use the filter escape");

    private Print PrintStatement(int line)
    {
        var nodes = new List<Expression>();
        while (Current.Kind != TokenKind.BlockEnd)
        {
            if (nodes.Count > 0) Expect(",");
            nodes.Add(Expression());
        }

        return new Print([.. nodes], line);
    }

    private NamedBlock NamedBlock(int line)
    {
        string name = ExpectName();
        bool scoped = SkipName("scoped");
        if (SkipName("required"))
            throw Fault.Syntax($"block '{name}' is required, but a chat template cannot be extended; give it a body");
        Block body = ClosedBody("block", callable: true);
        SkipName(name);
        return new NamedBlock(body, scoped, line);
    }

    private string TargetName()
    {
        string name = ExpectName();
        if (name is "true" or "false" or "none" or "True" or "False" or "None") throw Fault.Syntax($"can't assign to '{name}'");
        if (name == "loop" && inLoop) throw Fault.Syntax("Can't assign to special loop variable in for-loop target");
        return name;
    }

    /// <summary>name | name.member | a, b | (a, (b, c)).</summary>
    private Target AssignmentTarget(bool members = false, string? end = null)
    {
        var parts = new List<Target>();
        bool tuple = false;
        do
        {
            if (parts.Count > 0
                && (Current.Kind is TokenKind.BlockEnd || Current.Is(")") || (end is not null && Current.IsName(end)))) break;
            parts.Add(SingleTarget(members));
            tuple |= Current.Is(",");
        }
        while (Skip(","));
        return tuple ? new TupleTarget([.. parts]) : parts[0];
    }

    private Target SingleTarget(bool members)
    {
        if (Skip("("))
        {
            if (++nesting > MaxNesting) throw TooDeep();
            Target inner = AssignmentTarget(members);
            nesting--;
            Expect(")");
            return inner;
        }

        if (Current.Kind != TokenKind.Name)
            throw Fault.Syntax(Current.Kind is TokenKind.BlockEnd ? "Expected an expression, got 'end of statement block'"
                : $"can't assign to '{Current.Description}'");
        string name = members && tokens[at + 1].Is(".") ? ExpectName() : TargetName();
        return members && Skip(".") ? new MemberTarget(name, ExpectName()) : new NameTarget(name);
    }
}
