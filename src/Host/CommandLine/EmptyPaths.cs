// An empty path, or an empty name of a model at the hub, which a shell makes of a variable that is not set. Whatever opens the path would
// say only that some path is empty, so this looks at the parser's result, which knows the option.

using System.CommandLine;
using System.CommandLine.Parsing;

namespace PeftAlign.Host.CommandLine;

internal static class EmptyPaths
{
    /// <summary>Refuses an empty text where a file, a folder or a model of the hub is to be named.</summary>
    /// <param name="command">As it was called, for the message.</param>
    /// <param name="parsed">What was given.</param>
    /// <param name="args">The same, as it was written: of `--model=` with nothing behind it the parser takes the next word for the value.</param>
    /// <exception cref="UserError">An option or argument that is a path is empty.</exception>
    internal static void ThrowIfAny(string command, CommandResult parsed, IReadOnlyList<string> args)
    {
        foreach (var name in args.TakeWhile(arg => arg != "--").Where(arg => arg.StartsWith('-') && arg.EndsWith('=')).Select(arg => arg[..^1]))
            if (parsed.Command.Options.FirstOrDefault(option => option.Name == name || option.Aliases.Contains(name)) is { } option) ThrowIfPath(command, option, option.HelpName, option.Required);
        foreach (var given in parsed.Children.Where(child => child.Tokens.Any(token => token.Value == "")))
        {
            var (symbol, form, isRequired) = given switch
            {
                OptionResult { Option: var option } => ((Symbol)option, option.HelpName, option.Required),
                ArgumentResult { Argument: var argument } => (argument, argument.Name, argument.Arity.MinimumNumberOfValues > 0),
                _ => (parsed.Command, null, false),
            };
            ThrowIfPath(command, symbol, form, isRequired);
        }
    }

    private static void ThrowIfPath(string command, Symbol symbol, string? form, bool isRequired)
    {
        if (form is not null && IsPath(form)) throw new UserError($"{command} {symbol.Name}", "is empty", $"give {form}{Meaning(symbol)}{(isRequired ? "" : $", or leave {symbol.Name} out")}");
    }

    // By the words that help has for paths.
    private static bool IsPath(string form) => form is "F" or "ROWS" or "MANIFEST" or "PYTHON" or "PATH" or "HUB_ID" || form.Contains("DIR", StringComparison.Ordinal) || form.Contains("FILE", StringComparison.Ordinal)
        || ((string[])[".jsonl", ".json", ".yaml", ".csv"]).Any(end => form.EndsWith(end, StringComparison.Ordinal));

    // The beginning of its help.
    private static string Meaning(Symbol symbol) => symbol.Description is { Length: > 0 } text ? $" ({((string[])[". ", " (", ": ", "; "]).Aggregate(text, (rest, end) => rest.Split(end)[0]).TrimEnd('.')})" : "";
}
