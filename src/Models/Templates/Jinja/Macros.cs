// {% macro %} and {% call %}: functions written in the template. They see the variables of the place where they stand,
// as these are when they run.
namespace PeftAlign.Models.Templates.Jinja;

/// <summary>What a macro is made of. Uses says which of caller, varargs and kwargs its body mentions.</summary>
internal sealed record MacroBody(
    string Name, string[] Parameters, Expression?[] Defaults, Block Body, HashSet<string> Uses, int Line);

internal sealed class MacroDefinition(MacroBody macro, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope)
    {
        scope.Set(macro.Name, new Macro(macro, scope));
        return Flow.Next;
    }
}

internal sealed class CallBlock(Call call, MacroBody body, int line) : Statement(line)
{
    protected override Flow Perform(Scope scope)
    {
        scope.Run.Write(Py.Str(call.Invoke(scope, new Macro(body, scope))));
        return Flow.Next;
    }
}

internal sealed class Macro(MacroBody macro, Scope home) : Callable
{
    public override object? Invoke(Run run, GivenArguments given)
    {
        Scope scope = home.Inner();
        var named = new List<KeyValuePair<string, object?>>(given.Named);
        string[] parameters = macro.Parameters;
        var filled = new List<(string Name, Expression? Default)>();
        for (int i = 0; i < parameters.Length; i++)
        {
            if (i < given.Positional.Count) scope.Set(parameters[i], given.Positional[i]);
            else if (Take(named, parameters[i], out object? value)) scope.Set(parameters[i], value);
            else filled.Add((parameters[i], macro.Defaults[i]));
        }

        Implicit(scope, given, named);
        return run.Enter(() =>
        {
            foreach ((string name, Expression? otherwise) in filled)
                scope.Set(
                    name, otherwise is null ? new Undefined($"parameter '{name}' was not provided") : otherwise.Evaluate(scope));
            macro.Body.Execute(scope);
        });
    }

    public bool TryData(string name, out object? value)
    {
        value = name switch
        {
            "name" => macro.Name,
            "arguments" => new PyTuple(macro.Parameters),
            "catch_kwargs" => macro.Uses.Contains("kwargs"),
            "catch_varargs" => macro.Uses.Contains("varargs"),
            "caller" => macro.Uses.Contains("caller"),
            _ => Parameters.Missing,
        };
        return value != Parameters.Missing;
    }

    public override string ToString() => $"<Macro '{macro.Name}'>";

    /// <summary>caller, kwargs and varargs: set where the body mentions them; else what would fill them is an error.</summary>
    private void Implicit(Scope scope, GivenArguments given, List<KeyValuePair<string, object?>> named)
    {
        if (macro.Uses.Contains("caller") && !macro.Parameters.Contains("caller"))
            scope.Set("caller", Take(named, "caller", out object? caller) ? caller : new Undefined("No caller defined"));
        if (macro.Uses.Contains("kwargs"))
        {
            var kwargs = new PyDict();
            foreach ((string name, object? value) in named) kwargs.Set(name, value);
            scope.Set("kwargs", kwargs);
        }
        else if (named.Count > 0)
        {
            throw Fault.Type($"macro '{macro.Name}' takes no keyword argument '{named[0].Key}'");
        }

        if (macro.Uses.Contains("varargs"))
            scope.Set("varargs", new PyTuple([.. given.Positional.Skip(macro.Parameters.Length)]));
        else if (given.Positional.Count > macro.Parameters.Length)
            throw Fault.Type($"macro '{macro.Name}' takes not more than {macro.Parameters.Length} argument(s)");
    }

    private static bool Take(List<KeyValuePair<string, object?>> named, string name, out object? value)
    {
        int at = named.FindIndex(n => n.Key == name);
        value = at < 0 ? null : named[at].Value;
        if (at >= 0) named.RemoveAt(at);
        return at >= 0;
    }
}
