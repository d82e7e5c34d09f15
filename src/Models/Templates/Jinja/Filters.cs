// The table of Jinja's filters and the short ones among them. Left out, since a template's text must not depend on
// chance or terminal: random, pprint, urlize.
namespace PeftAlign.Models.Templates.Jinja;

internal static class Filters
{
    private static readonly NativeTable Table = new()
    {
        { "abs", "", (_, a) => PyNumber.Absolute(NumberFilters.Number(a.Self)) },
        { "attr", "name", (_, a) => Members.OnlyAttribute(a.Self, Py.Str(a[0])) },
        { "batch", "linecount fill_with?", (_, a) => SequenceFilters.Batch(a) },
        { "capitalize", "", (_, a) => TextFilters.Keep(a.Self, PyChars.Capitalize) },
        { "center", "width?", (_, a) => TextFilters.Center(a) },
        { "default", "default_value? boolean?", (_, a) =>
            a.Self is Undefined || (a.Truth(1) && !Py.Truth(a.Self)) ? a.Or(0, "") : a.Self },
        { "dictsort", "case_sensitive? by? reverse?", (_, a) => SequenceFilters.DictSort(a) },
        { "escape", "", (_, a) => a.Self as SafeText ?? new SafeText(Markup.EscapeText(Py.Str(a.Self))) },
        { "filesizeformat", "binary?", (_, a) => NumberFilters.FileSize(a) },
        { "first", "", (_, a) => SequenceFilters.First(a.Self) },
        { "float", "default?", (_, a) => NumberFilters.ToFloat(a) },
        { "forceescape", "", (_, a) => new SafeText(Markup.EscapeText(Py.Str(a.Self))) },
        { "format", "*args **kwargs", (_, a) => TextFilters.Format(a) },
        { "groupby", "attribute default? case_sensitive?", (run, a) => SequenceFilters.GroupBy(run, a) },
        { "indent", "width? first? blank?", (_, a) => TextFilters.Indent(a) },
        { "int", "default? base?", (_, a) => NumberFilters.ToInteger(a) },
        { "items", "", (_, a) => SequenceFilters.Items(a.Self) },
        { "join", "d? attribute?", (run, a) => SequenceFilters.Join(run, a) },
        { "last", "", (_, a) => SequenceFilters.Last(a.Self) },
        { "length", "", (_, a) =>
            (long)(Py.Length(a.Self) ?? throw Fault.Type($"object of type '{Py.TypeName(a.Self)}' has no len()")) },
        { "list", "", (_, a) => new PyList(Py.ToList(a.Self)) },
        { "lower", "", (_, a) => TextFilters.Keep(a.Self, PyChars.Lower) },
        { "map", "*args **kwargs", (run, a) => SequenceFilters.Map(run, a) },
        { "max", "case_sensitive? attribute?", (run, a) => SequenceFilters.Extreme(run, a, sign: 1) },
        { "min", "case_sensitive? attribute?", (run, a) => SequenceFilters.Extreme(run, a, sign: -1) },
        { "reject", "*args **kwargs", (run, a) => SequenceFilters.Select(run, a, keep: false, attribute: false) },
        { "rejectattr", "*args **kwargs", (run, a) => SequenceFilters.Select(run, a, keep: false, attribute: true) },
        { "replace", "old new count?", (_, a) => TextFilters.Replace(a) },
        { "reverse", "", (_, a) => SequenceFilters.Reverse(a.Self) },
        { "round", "precision? method?", (_, a) => NumberFilters.Round(a) },
        { "safe", "", (_, a) => new SafeText(Py.Str(a.Self)) },
        { "select", "*args **kwargs", (run, a) => SequenceFilters.Select(run, a, keep: true, attribute: false) },
        { "selectattr", "*args **kwargs", (run, a) => SequenceFilters.Select(run, a, keep: true, attribute: true) },
        { "slice", "slices fill_with?", (_, a) => SequenceFilters.Slice(a) },
        { "sort", "reverse? case_sensitive? attribute?", (run, a) => SequenceFilters.Sort(run, a) },
        { "string", "", (_, a) => a.Self as SafeText ?? (object)Py.Str(a.Self) },
        { "striptags", "", (_, a) => Markup.StripTags(Py.Str(a.Self)) },
        { "sum", "attribute? start?", (run, a) => SequenceFilters.Sum(run, a) },
        { "title", "", (_, a) => TextFilters.Keep(a.Self, TextFilters.Title) },
        { "tojson", "ensure_ascii? indent? separators? sort_keys?", (_, a) => TextFilters.ToJson(a) },
        { "trim", "chars?", (_, a) => TextFilters.Keep(a.Self, s => PyText.Strip(s, a.Text(0), left: true, right: true)) },
        { "truncate", "length? killwords? end? leeway?", (_, a) => TextFilters.Truncate(a) },
        { "unique", "case_sensitive? attribute?", (run, a) => SequenceFilters.Unique(run, a) },
        { "upper", "", (_, a) => TextFilters.Keep(a.Self, PyChars.Upper) },
        { "urlencode", "", (_, a) => TextFilters.UrlEncode(a.Self) },
        { "wordcount", "", (_, a) => TextFilters.WordCount(Py.Str(a.Self)) },
        { "wordwrap", "width? break_long_words? wrapstring? break_on_hyphens?", (_, a) => WordWrap.Apply(a) },
        { "xmlattr", "autospace?", (_, a) => TextFilters.XmlAttributes(a) },
    };

    // What transformers leaves as it was, or lm-evaluation-harness adds.
    private static readonly NativeTable OfTasks = new()
    {
        { "regex_replace", "pattern repl count?", (run, a) => TextFilters.RegexReplace(run, a) },
        { "tojson", "indent?", (_, a) => TextFilters.ToHtmlJson(a) },
    };

    static Filters()
    {
        Table.Alias("count", "length");
        Table.Alias("d", "default");
        Table.Alias("e", "escape");
    }

    /// <summary>A filter by name; null where there is none.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="ofTask">Whether a task's template asks; else a chat template.</param>
    public static Native? Find(string name, bool ofTask) => (ofTask ? OfTasks.GetValueOrDefault(name) : null) ?? Table.GetValueOrDefault(name);
}
