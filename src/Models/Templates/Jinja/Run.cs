// One rendering: its output, its meter, the line it is at, and the scopes of its variables.
using System.Runtime.CompilerServices;
using System.Text;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Templates.Jinja;

internal sealed class Run
{
    private readonly StringBuilder root = new();
    private int calls;

    public Run(IReadOnlyDictionary<string, object?> variables, RenderLimits limits, DateTime? now)
    {
        Meter = new Meter(limits);
        Output = root;
        Now = now;
        foreach ((string name, object? value) in variables) Variables[name] = value;
        Root = new Scope(this);
    }

    public Meter Meter { get; }

    /// <summary>Whether printing, testing, comparing and iterating what does not exist is an error.</summary>
    public bool Strict
    {
        get => Meter.IsStrict;
        init => Meter.IsStrict = value;
    }

    /// <summary>re.sub of text, pattern, replacement and count; null where there is none.</summary>
    public Func<string, string, string, int, string>? RegexReplace { get; init; }

    /// <summary>What strftime_now sees; null: the clock.</summary>
    public DateTime? Now { get; }

    /// <summary>The line of the node that runs, for errors.</summary>
    public int Line { get; set; }

    /// <summary>What the innermost capturing block or the whole template has written so far.</summary>
    public StringBuilder Output { get; private set; }

    public Scope Root { get; }

    /// <summary>The variables of the root: arguments, then what the template sets at its top level.</summary>
    public Dictionary<string, object?> Variables { get; } = [];

    /// <summary>Generation blocks: where in the output (UTF-16 units) each starts and how many code points it has.</summary>
    public List<(int Start, int CodePoints)> Generated { get; } = [];

    /// <summary>How much of the final text exists; a block inside a captured body stands where the capture began.</summary>
    public int RootLength => root.Length;

    public string Text => root.ToString();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Step(int line)
    {
        Meter.Step();
        Line = line;
    }

    public void Write(string text)
    {
        Meter.Characters(text.Length);
        Output.Append(text);
    }

    /// <summary>Runs a body and takes what it writes instead of letting it out.</summary>
    public string Capture(Action body)
    {
        StringBuilder outer = Output;
        var own = new StringBuilder();
        Output = own;
        try
        {
            body();
        }
        finally
        {
            Output = outer;
        }

        Meter.Characters(own.Length);
        return own.ToString();
    }

    /// <summary>A macro or a recursive loop going one level deeper.</summary>
    public string Enter(Action body)
    {
        if (++calls > RenderLimits.Calls)
        {
            throw new Fault(
                ChatTemplateErrorKind.Limit,
                $"macros call each other more than {RenderLimits.Calls} levels deep; look for endless recursion");
        }

        Meter.EnsureStack();
        string text = Capture(body);
        calls--;
        return text;
    }
}

/// <summary>The variables of a block. Reading looks outwards, writing stays here; names are interned, so few comparisons are
/// enough.</summary>
internal sealed class Scope(Run run, Scope? parent = null)
{
    private string[] names = [];
    private object?[] values = [];
    private int count;

    public Run Run => run;

    public Scope Inner() => new(run, this);

    public void Set(string name, object? value)
    {
        if (parent is null)
        {
            run.Variables[name] = value;
            return;
        }

        int at = Array.IndexOf(names, name, 0, count);
        if (at < 0)
        {
            if (count == names.Length)
            {
                Array.Resize(ref names, Math.Max(4, 2 * count));
                Array.Resize(ref values, names.Length);
            }

            run.Meter.Step(1 + (count >> 3));
            at = count++;
            names[at] = name;
        }

        values[at] = value;
    }

    public bool TryGet(string name, out object? value)
    {
        for (Scope? scope = this; scope is not null; scope = scope.Outer)
        {
            for (int i = 0; i < scope.count; i++)
            {
                if (!ReferenceEquals(scope.names[i], name)) continue;
                value = scope.values[i];
                return true;
            }

            run.Meter.Step(scope.count >> 3);
        }

        return run.Variables.TryGetValue(name, out value) || Globals.Table.TryGetValue(name, out value);
    }

    /// <summary>Forgets all variables, for the next turn of a loop.</summary>
    public void Clear() => count = 0;

    private Scope? Outer => parent;
}
