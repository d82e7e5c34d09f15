// What can be called: built-in functions, filters, tests and methods with Python's binding of arguments to parameters.
namespace PeftAlign.Models.Templates.Jinja;

/// <summary>Arguments as a call gives them.</summary>
internal readonly record struct GivenArguments(
    IReadOnlyList<object?> Positional, IReadOnlyList<KeyValuePair<string, object?>> Named)
{
    public static readonly GivenArguments None = new([], []);
}

internal abstract class Callable
{
    public abstract object? Invoke(Run run, GivenArguments given);

    public override string ToString() => $"<{GetType().Name.ToLowerInvariant()}>";
}

internal delegate object? NativeBody(Run run, Arguments arguments);

/// <summary>A built-in. Its parameters are written "old new count? *rest **named": "?" may be absent.</summary>
internal sealed class Native(string name, string parameters, NativeBody body)
{
    private readonly Parameters signature = new(name, parameters);

    public object? Invoke(Run run, object? self, GivenArguments given) => body(run, signature.Bind(self, given));
}

/// <summary>Built-ins by name, in the form of a collection initialiser.</summary>
internal sealed class NativeTable : Dictionary<string, Native>
{
    public void Add(string name, string parameters, NativeBody body) => Add(name, new Native(name, parameters, body));

    public void Alias(string name, string of) => Add(name, this[of]);
}

/// <summary>A built-in with the value that it belongs to: a method, or a global function (of None).</summary>
internal sealed class BoundNative(Native native, object? self, string description) : Callable
{
    public override object? Invoke(Run run, GivenArguments given) => native.Invoke(run, self, given);

    public override string ToString() => $"<{description}>";
}

/// <summary>The parameters of a built-in.</summary>
internal sealed class Parameters
{
    public static readonly object Missing = new();

    private readonly string owner;
    private readonly List<string> names = [];
    private readonly int required;
    private readonly bool rest;
    private readonly bool keywords;

    public Parameters(string owner, string text)
    {
        this.owner = owner;
        foreach (string word in text.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (word.StartsWith("**", StringComparison.Ordinal)) keywords = true;
            else if (word[0] == '*') rest = true;
            else names.Add(word.TrimEnd('?'));
            if (char.IsLetter(word[0]) && !word.EndsWith('?')) required++;
        }
    }

    public Arguments Bind(object? self, GivenArguments given)
    {
        object?[] values = new object?[names.Count];
        Array.Fill(values, Missing);
        int positional = Math.Min(given.Positional.Count, names.Count);
        for (int i = 0; i < positional; i++) values[i] = given.Positional[i];
        if (given.Positional.Count > names.Count && !rest)
            throw Fault.Type($"{owner}() takes at most {names.Count} arguments ({given.Positional.Count} given)");
        var named = new PyDict();
        foreach ((string name, object? value) in given.Named)
        {
            int at = names.IndexOf(name);
            if (at < 0 && keywords) named.Set(name, value);
            else if (at < 0) throw Fault.Type($"{owner}() got an unexpected keyword argument '{name}'");
            else if (values[at] != Missing) throw Fault.Type($"{owner}() got multiple values for argument '{name}'");
            else values[at] = value;
        }

        int absent = Array.IndexOf(values, Missing, 0, required);
        if (absent >= 0) throw Fault.Type($"{owner}() missing 1 required positional argument: '{names[absent]}'");
        return new Arguments(self, values, [.. given.Positional.Skip(names.Count)], named);
    }
}

/// <summary>Arguments bound to parameters; Self is the value that a filter, test or method is applied to.</summary>
internal sealed record Arguments(object? Self, object?[] Values, object?[] Rest, PyDict Named)
{
    public object? this[int i] => Values[i] == Parameters.Missing ? null : Values[i];

    public bool Has(int i) => Values[i] != Parameters.Missing;

    public object? Or(int i, object? otherwise) => Has(i) ? Values[i] : otherwise;

    public bool Truth(int i, bool otherwise = false) => Has(i) ? Py.Truth(Values[i]) : otherwise;

    public int Int(int i, int otherwise) => Has(i) ? PyNumber.Index(Values[i]) : otherwise;

    /// <summary>A string argument; None counts as absent.</summary>
    public string? Text(int i) => this[i] is null ? null : this[i] is string or SafeText
        ? Py.Str(this[i])
        : throw Fault.Type($"expected str, not {Py.TypeName(this[i])}");

    public string Required(int i) => Text(i) ?? throw Fault.Type("must be str, not NoneType");
}
