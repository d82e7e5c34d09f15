// HTML escaping as markupsafe does it. Chat templates render without automatic escaping, so this serves the filters
// escape, forceescape, safe and striptags, and what is added to text they marked.
using System.Net;
using System.Text.RegularExpressions;

namespace PeftAlign.Models.Templates.Jinja;

internal static partial class Markup
{
    /// <summary>The text of a value with HTML's special characters escaped, unless it is marked as safe.</summary>
    public static string Escape(object? value) => value is SafeText safe ? safe.Text : EscapeText(Py.Str(value));

    public static string EscapeText(string text)
    {
        PyText.Scan(text);
        Meter.Current.Characters(text.Length);
        return text.Replace("&", "&amp;").Replace(">", "&gt;").Replace("<", "&lt;").Replace("'", "&#39;").Replace("\"", "&#34;");
    }

    /// <summary>The arguments of a safe format string, escaped.</summary>
    public static object? EscapeArguments(object? arguments) => arguments switch
    {
        PyTuple tuple => new PyTuple([.. tuple.Items.Select(EscapeArguments)]),
        string text => EscapeText(text),
        _ => arguments,
    };

    /// <summary>Removes comments and tags, joins white space, and resolves entities.</summary>
    public static string StripTags(string text)
    {
        PyText.Scan(text);
        Meter.Current.Characters(2L * text.Length);
        string bare = Tags().Replace(Comments().Replace(text, ""), "");
        return WebUtility.HtmlDecode(string.Join(' ', StringMethods.SplitSpace(bare, -1)));
    }

    [GeneratedRegex("<!--.*?-->", RegexOptions.Singleline | RegexOptions.NonBacktracking)]
    private static partial Regex Comments();

    [GeneratedRegex("<.*?>", RegexOptions.Singleline | RegexOptions.NonBacktracking)]
    private static partial Regex Tags();
}
