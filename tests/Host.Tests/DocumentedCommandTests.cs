// Every command line that README and docs show exists: its command, its sub-commands and each of its flags.

using System.CommandLine;
using System.Text.RegularExpressions;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Tests;

public partial class DocumentedCommandTests
{
    private static IEnumerable<TestCaseData> Shown() => Lines().Select(line => new TestCaseData(line.File, line.Text) { TestName = $"Shown({line.File}: {line.Text})" });

    /// <summary>Each command line with the page that shows it.</summary>
    internal static IEnumerable<(string File, string Text)> Lines()
    {
        foreach (var file in Directory.GetFiles(Path.Combine(Checkout.Root, "docs"), "*.md").Append(Path.Combine(Checkout.Root, "README.md")).Order(StringComparer.Ordinal))
        {
            // A backslash at a line's end goes on in the next.
            var lines = File.ReadAllText(file).Replace("\\\n", " ", StringComparison.Ordinal).Split('\n');
            foreach (var text in lines.SelectMany(line => Call().Matches(line).Select(m => m.Value)).Distinct())
                yield return (Path.GetFileName(file), text.Trim());
        }
    }

    [Test]
    public void Help_shows_nothing_that_is_not_built()
    {
        using var text = new StringWriter();
        var dispatcher = new Dispatcher(Catalogue.Commands, text, TextWriter.Null);
        Assert.That((dispatcher.RunAsync(["--help"]).Result, dispatcher.RunAsync(["run", "--help"]).Result), Is.EqualTo((0, 0)));
        Assert.That(text.ToString(), Does.Match("(?m)^  eval ").And.Contain("--jobs").And.Not.Contain("launcher").And.Not.Contain("slurm"));
        foreach (var name in PlannedParts.Commands.Except(Catalogue.Commands.Select(c => c.Name))) Assert.That(text.ToString(), Does.Not.Match($"(?m)^  {name} "), name);
    }

    // In a code span, or alone on a line of a block.
    [GeneratedRegex(@"(?<=`|^\s*)(\./)?peftalign [a-z][^`#]*")]
    private static partial Regex Call();

    [TestCaseSource(nameof(Shown))]
    public void What_is_shown_exists(string file, string text)
    {
        var words = text.Split([' ', '\t', '(', ')', '[', ']', ','], StringSplitOptions.RemoveEmptyEntries);
        var entry = Catalogue.Commands.FirstOrDefault(c => c.Name == words[1]);
        Assert.That(entry, Is.Not.Null, $"{file}: there is no command {words[1]}");
        if (entry!.BuildFor is not null) return; // its flags are its method's; the tests of train run them
        var commands = new List<Command> { entry.Build(new CommandFrame(TextWriter.Null, TextWriter.Null)) };
        var open = commands[0].Subcommands.Count > 0;
        foreach (var word in words.Skip(2))
        {
            if (word.StartsWith("--", StringComparison.Ordinal))
            {
                var flag = word.Split('=', '|')[0].TrimEnd('.', ';', ':');
                Assert.That(commands.Any(c => c.Options.Any(o => o.Name == flag || o.Aliases.Contains(flag))) || flag is "--help" or "--version", $"{file}: {commands[0].Name} has no option {flag}");
            }
            else if (open)
            {
                var names = word.Split('|');
                var found = names.Select(name => commands[0].Subcommands.FirstOrDefault(c => c.Name == name)).ToList();
                Assert.That(found, Has.None.Null, $"{file}: {entry.Name} has not all of {word}");
                commands = [.. found.OfType<Command>()];
                open = commands is [{ Subcommands.Count: > 0 }];
            }
        }
    }
}
