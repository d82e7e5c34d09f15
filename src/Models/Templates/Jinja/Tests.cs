// Jinja's tests: what stands behind "is", and what select and reject take by name.
namespace PeftAlign.Models.Templates.Jinja;

internal static class Tests
{
    private static readonly NativeTable Table = new()
    {
        { "boolean", "", (_, a) => a.Self is bool },
        { "callable", "", (_, a) => a.Self is Callable or Undefined },
        { "defined", "", (_, a) => a.Self is not Undefined },
        { "divisibleby", "num", (_, a) => PyOperators.Equal(PyOperators.Arithmetic("%", a.Self, a[0]), 0L) },
        { "eq", "other", (_, a) => PyOperators.Equal(a.Self, a[0]) },
        { "escaped", "", (_, a) => a.Self is SafeText },
        { "even", "", (_, a) => PyOperators.Equal(PyOperators.Arithmetic("%", a.Self, 2L), 0L) },
        { "false", "", (_, a) => a.Self is false },
        { "filter", "", (run, a) => Filters.Find(Py.Str(a.Self), run.Strict) is not null },
        { "float", "", (_, a) => a.Self is double },
        { "ge", "other", (_, a) => PyOperators.Compare(">=", a.Self, a[0]) },
        { "gt", "other", (_, a) => PyOperators.Compare(">", a.Self, a[0]) },
        { "in", "seq", (_, a) => PyOperators.Contains(a[0], a.Self) },
        { "integer", "", (_, a) => a.Self is not bool && PyNumber.IsInteger(a.Self) },
        { "iterable", "", (_, a) => Py.TryIterate(a.Self) is not null },
        { "le", "other", (_, a) => PyOperators.Compare("<=", a.Self, a[0]) },
        { "lower", "", (_, a) => StringMethods.Cased(Py.Str(a.Self), PyChars.IsLower) },
        { "lt", "other", (_, a) => PyOperators.Compare("<", a.Self, a[0]) },
        { "mapping", "", (_, a) => a.Self is PyDict },
        { "ne", "other", (_, a) => !PyOperators.Equal(a.Self, a[0]) },
        { "none", "", (_, a) => a.Self is null },
        { "number", "", (_, a) => PyNumber.IsNumber(a.Self) },
        { "odd", "", (_, a) => PyOperators.Equal(PyOperators.Arithmetic("%", a.Self, 2L), 1L) },
        { "sameas", "other", (_, a) => Same(a.Self, a[0]) },
        { "sequence", "", (_, a) => a.Self is string or SafeText or PyList or PyTuple or PyDict or PyRange or Undefined { IsStrict: false } },
        { "string", "", (_, a) => a.Self is string or SafeText },
        { "test", "", (_, a) => Find(Py.Str(a.Self)) is not null },
        { "true", "", (_, a) => a.Self is true },
        { "undefined", "", (_, a) => a.Self is Undefined },
        { "upper", "", (_, a) => StringMethods.Cased(Py.Str(a.Self), PyChars.IsUpper) },
    };

    static Tests()
    {
        foreach ((string alias, string of) in new[]
        {
            ("==", "eq"), ("equalto", "eq"), ("!=", "ne"), (">", "gt"), ("greaterthan", "gt"), (">=", "ge"),
            ("<", "lt"), ("lessthan", "lt"), ("<=", "le"),
        })
        {
            Table.Alias(alias, of);
        }
    }

    /// <summary>A test by name; null where there is none.</summary>
    public static Native? Find(string name) => Table.GetValueOrDefault(name);

    /// <summary>Identity: of objects by reference, of values that Python shares by type and value.</summary>
    private static bool Same(object? a, object? b) => ReferenceEquals(a, b)
        || (a is bool or long or string && a.GetType() == b?.GetType() && PyOperators.Equal(a, b));
}
