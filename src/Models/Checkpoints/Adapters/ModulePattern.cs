// How PEFT matches module names: a list entry is a whole name or a dotted suffix, a text is a regular expression for the
// whole name, a key of rank_pattern or alpha_pattern is one for a dotted suffix. Expressions come from files, so matching
// is linear in time where the expression allows it, and else has a time limit.

using System.Text.RegularExpressions;

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
    public static Func<string, bool> Whole(string text, string file) => Make($@"\A(?:{text})\z", text, file);

    /// <summary>The expression of a key of rank_pattern or alpha_pattern.</summary>
    /// <inheritdoc cref="Whole"/>
    public static Func<string, bool> Key(string text, string file) => Make($@"\A(?:.*\.)?(?:{text})\z", text, file);

    private static Func<string, bool> Make(string expression, string text, string file)
    {
        var regex = Parse(expression, text, file);
        return module =>
        {
            try
            {
                return regex.IsMatch(module);
            }
            catch (RegexMatchTimeoutException e)
            {
                throw Fault.In(file, $"{Fault.Quote(text)} takes longer than {Limit.TotalSeconds} s on the module name {Fault.Quote(module)}; write a simpler expression, or a list of names.", e);
            }
        };
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
