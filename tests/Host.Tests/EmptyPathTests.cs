// An empty path, on any command: one line that names the option and says what to give, before anything is opened.

using System.CommandLine;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Tests;

public sealed class EmptyPathTests
{
    private static readonly string[] Forms = ["DIR", "F.jsonl", "F.json", "FILE", "DIR_OR_FILE", "NAME_OR_DIR", "NAME_OR_FILE", "FILE_OR_FOLDER", "MANIFEST.yaml", "CONFIG.yaml", "F", "F.csv", "FILE.md", "NAME|F.yaml", "PATH", "MANIFEST", "HUB_ID"];

    private static IEnumerable<TestCaseData> Paths()
    {
        var frame = new CommandFrame(TextWriter.Null, TextWriter.Null);
        return Catalogue.Commands.Where(entry => entry.BuildFor is null && !entry.IsHidden).SelectMany(entry => Leaves(entry.Build(frame), entry.Name)).SelectMany(leaf =>
            leaf.Command.Options.Where(option => Forms.Contains(option.HelpName)).Select(option => Case(leaf.Line, option.Name, option.HelpName!, [option.Name, ""], option.Required))
            .Concat(leaf.Command.Arguments.Where(argument => Forms.Contains(argument.Name)).Select(argument => Case(leaf.Line, argument.Name, argument.Name, [.. leaf.Command.Arguments.Select(other => other == argument ? "" : "x")], argument.Arity.MinimumNumberOfValues > 0))));
    }

    private static TestCaseData Case(string line, string name, string form, string[] given, bool required) => new TestCaseData(line, name, form, given, required).SetArgDisplayNames(line, name);

    private static IEnumerable<(Command Command, string Line)> Leaves(Command command, string line) =>
        command.Subcommands.Count == 0 ? [(command, line)] : command.Subcommands.SelectMany(sub => Leaves(sub, $"{line} {sub.Name}"));

    [TestCaseSource(nameof(Paths))]
    public void An_empty_path_names_its_option(string line, string name, string form, string[] given, bool required)
    {
        var (code, said) = Run([.. line.Split(' '), .. given]);
        Assert.That(code, Is.EqualTo(2), said);
        Assert.That(said, Does.StartWith($"peftalign: {line} {name}: is empty; give {form}").And.EndWith(required ? ")\n" : $"or leave {name} out\n"));
    }

    [TestCase("train sft --model= --data y --out z", "train --model: is empty; give DIR (The model's folder)")]
    [TestCase("train sft --data y --out z --model=", "train --model: is empty; give DIR (The model's folder)")]
    [TestCase("train sft --model '' --data y --out z", "train --model: is empty; give DIR (The model's folder)")]
    [TestCase("train sft --model x --data '' --out z", "train --data: is empty; give F.jsonl (The rows)")]
    [TestCase("train sft --model x --data y --out ''", "train --out: is empty; give DIR (Where everything goes)")]
    [TestCase("train sft --model x --data y --out z --init-adapter ''", "train --init-adapter: is empty; give PATH (A PEFT folder to start from), or leave --init-adapter out")]
    [TestCase("train sft --model x --data y --out z --eval-data ''", "train --eval-data: is empty; give F.jsonl (A data set whose loss is measured), or leave --eval-data out")]
    [TestCase("score --in rows.jsonl --model=", "score --model: is empty; give DIR (A model folder)")]
    public void What_an_unset_variable_leaves_is_told(string line, string said)
    {
        var folder = Directory.CreateTempSubdirectory("peftalign-empty-").FullName;
        try
        {
            Assert.That(Product.Run(folder, 2, folder, Product.Host, [.. line.Split(' ').Select(word => word == "''" ? "" : word)]), Does.EndWith($"peftalign: {said}\n"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    // A text may be empty.
    [Test]
    public void An_empty_text_is_no_empty_path()
    {
        Assert.That(Run("tokenize", "--model", "/no/such/folder", "--text", "").Said, Does.Contain("/no/such/folder"));
    }

    private static (int Code, string Said) Run(params string[] args)
    {
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, TextWriter.Null, remarks).RunAsync(args).GetAwaiter().GetResult();
        return (code, remarks.ToString());
    }
}
