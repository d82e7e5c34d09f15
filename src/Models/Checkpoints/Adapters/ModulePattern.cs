// How PEFT matches module names: a list entry is a whole name or a dotted suffix, a text is a regular expression for the
// whole name, a key of rank_pattern or alpha_pattern is one for a dotted suffix. Expressions come from files, so matching
// is linear in time where the expression allows it, and else has a time limit. They are Python's, whose named groups are spelt in its own way.

using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using PeftAlign.Core.Metrics;

namespace PeftAlign.Models.Checkpoints;

/// <summary>PEFT's rules for module names.</summary>
public static class ModulePattern
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(1);

    /// <summary>True if a list entry of target_modules or exclude_modules means this module.</summary>
    public static bool IsTarget(string module, string entry) =>
        module == entry || (module.Length > entry.Length && module[module.Length - entry.Length - 1] == '.' && module.EndsWith(entry, StringComparison.Ordinal));

    /// <summary>The expression of a text: it must match the whole name.</summary>
    /// <param name="text">A regular expression.</param>
    /// <param name="file">Named in the error.</param>
    /// <exception cref="Abstractions.UserErrorException">It is no regular expression.</exception>
    public static Func<string, bool> Whole(string text, string file) => Make($@"\A(?:{Net(text)})\z", text, file);

    /// <summary>The expression of a key of rank_pattern or alpha_pattern.</summary>
    /// <inheritdoc cref="Whole"/>
    public static Func<string, bool> Key(string text, string file) => Make($@"\A(?:.*\.)?(?:{Net(text)})\z", text, file);

    /// <summary>The number of a module's block by an entry of layers_pattern; null where it has none, and null too where an alternative matched that says no number.</summary>
    /// <param name="text">What stands before the number; null = whatever stands before a name's first number.</param>
    /// <param name="file">Named in the error.</param>
    /// <returns>Of a module whether the expression matches, and the number.</returns>
    /// <exception cref="Abstractions.UserErrorException">It is no regular expression.</exception>
    public static Func<string, (bool Matches, long? Number)> Block(string? text, string file)
    {
        // Without a group around the text, as in PEFT: its alternatives are the whole expression's.
        var find = Matching(text is null ? @"\A(?:.*?\.[^.]*\.(?<idx>\d+)\.)" : $@"\A(?:(?:^|.*?\.){Net(text)}\.(?<idx>\d+)\.)", text ?? "", file);
        return module =>
        {
            var match = find(module);
            return (match.Success, long.TryParse(match.Groups["idx"].Value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null);
        };
    }

    private static Func<string, bool> Make(string expression, string text, string file)
    {
        var find = Matching(expression, text, file);
        return module => find(module).Success;
    }

    private static Func<string, Match> Matching(string expression, string text, string file)
    {
        var regex = Parse(expression, text, file);
        return module =>
        {
            try
            {
                return PatientMatch.Of(() => regex.Match(module));
            }
            catch (RegexMatchTimeoutException e)
            {
                throw Fault.In(file, $"{Fault.Quote(text)} takes longer than {Limit.TotalSeconds} s on the module name {Fault.Quote(module)}, {PatientMatch.Tries} times; write a simpler expression, or a list of names.", e);
            }
        };
    }

    // (?P<name> and (?P=name), outside of classes and not behind a backslash.
    private static string Net(string text)
    {
        var net = new StringBuilder();
        var inClass = false;
        for (var k = 0; k < text.Length; k++)
        {
            var rest = text.AsSpan(k);
            if (text[k] == '\\' && k + 1 < text.Length)
            {
                net.Append(text, k++, 2);
                continue;
            }
            if (text[k] == '[' && !inClass)
            {
                // A bracket that opens a class's list is one of its characters.
                var first = rest.StartsWith("[^") ? 2 : 1;
                inClass = true;
                var open = rest.Length > first && rest[first] == ']' ? first + 1 : first;
                net.Append(rest[..open]);
                k += open - 1;
                continue;
            }
            if (text[k] == ']') inClass = false;
            if (!inClass && rest.StartsWith("(?P<")) { net.Append("(?<"); k += 3; }
            else if (!inClass && rest.StartsWith("(?P=") && rest.IndexOf(')') is > 4 and var end) { net.Append(@"\k<").Append(rest[4..end]).Append('>'); k += end; }
            else net.Append(text[k]);
        }
        return net.ToString();
    }

    private static Regex Parse(string expression, string text, string file)
    {
        try
        {
            return new Regex(expression, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant, Limit);
        }
        catch (NotSupportedException)
        {
            return new Regex(expression, RegexOptions.CultureInvariant, Limit); // looks ahead or behind
        }
        catch (RegexParseException e)
        {
            throw Fault.In(file, $"{Fault.Quote(text)} is no regular expression ({e.Error}).", e);
        }
    }
}
