// What a user types and what comes back: stdout, stderr and the exit code of the real dispatcher.

using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Tests;

public class CommandLineTests
{
    private static (int Code, string Out, string Err) Run(params string[] args) => Run(ProbeCommands.Entries, args);

    private static (int Code, string Out, string Err) Run(IReadOnlyList<CommandEntry> commands, params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(commands, results, remarks).RunAsync(args).GetAwaiter().GetResult();
        return (code, results.ToString(), remarks.ToString());
    }

    [Test]
    public void HelpListsEveryCommandOfTheProductAndNoOther()
    {
        var (code, text, err) = Run(Catalogue.Commands, "--help");
        Assert.That((code, err), Is.EqualTo((0, "")));
        var listed = text.Split('\n').SkipWhile(line => line != "commands:").Skip(1).TakeWhile(line => line.Length > 0).Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[0]);
        Assert.That(listed, Is.EqualTo(Catalogue.Commands.Where(command => !command.IsHidden).Select(command => command.Name)));
    }

    [Test]
    public void EveryCommandOfTheProductHasItsOwnHelp([ValueSource(nameof(ProductCommands))] string name)
    {
        var (code, text, err) = Run(Catalogue.Commands, name, "--help");
        Assert.That((code, err), Is.EqualTo((0, "")));
        // A command that only groups others shows theirs; options are those of the others.
        Assert.That(text, Does.Contain($"peftalign {name}").And.Contain(text.Contains("\nCommands:\n") ? "[command]" : "--json"));
        Assert.That(Run(Catalogue.Commands, "help", name).Out, Is.EqualTo(text));
    }

    private static IEnumerable<string> ProductCommands() => Catalogue.Commands.Select(command => command.Name);

    [Test]
    public void VersionIsTheAssemblysOwn()
    {
        var (code, text, _) = Run("--version");
        Assert.That(code, Is.EqualTo(0));
        Assert.That(text, Does.Match(@"^peftalign \d+\.\d+\.\d+\n$"));
    }

    // The value, the limit and the next action, on one line each.
    [TestCase("ecko", "peftalign: ecko: no such command; did you mean echo?\n")]
    [TestCase("wiat", "peftalign: wiat: no such command; did you mean wait?\n")]
    [TestCase("quxquux", "peftalign: quxquux: no such command; peftalign --help lists them\n")]
    [TestCase("score", "peftalign: score: not built yet in this version; peftalign --help lists what is\n")]
    [TestCase("serve", "peftalign: serve: not built yet in this version; peftalign --help lists what is\n")]
    [TestCase("", "peftalign: peftalign: needs a command; peftalign --help lists them\n")]
    [TestCase("--helq", "peftalign: --helq: no such option; did you mean --help?\n")]
    [TestCase("echo --txt=hello", "peftalign: echo --txt: no such option; did you mean --text?\n")]
    [TestCase("echo -x", "peftalign: echo -x: no such option; peftalign echo --help says what it takes\n")]
    [TestCase("wait --seed 3", "peftalign: wait --seed: makes no difference to this command; peftalign wait --help says what it takes\n")]
    [TestCase("wait now", "peftalign: wait now: one argument too many; peftalign wait --help says what it takes\n")]
    [TestCase("box opne", "peftalign: box opne: no such command; did you mean open?\n")]
    [TestCase("echo --quiet -v", "peftalign: --quiet -v: one says less and the other more; give one of them\n")]
    [TestCase("throw user", "peftalign: rank 0: is at least 1; give --rank 8\n")]
    public void AMistakeIsOneLineAndCodeTwo(string line, string message)
    {
        var (code, text, err) = Run(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.That((code, text, err), Is.EqualTo((2, "", message)));
    }

    // --type is near, and not what was meant.
    [Test]
    public void AnOptionOfOtherCommandsIsNotTakenForANearName() =>
        Assert.That(Run(Catalogue.Commands, "adapter", "combine", "--adapter", "a", "--adapter", "b", "--out", "c", "--dtype", "float32"), Is.EqualTo((2, "", "peftalign: adapter combine --dtype: makes no difference to this command; peftalign adapter combine --help says what it takes\n")));

    // The value that is wrong, wherever it stands, and no type of .NET.
    [TestCase("--eos 1.5", "--eos 1.5: is a whole number of at most 2147483647")]
    [TestCase("--eos x --eos 3", "--eos x: is a whole number of at most 2147483647")]
    [TestCase("--max-new-tokens 2.5", "--max-new-tokens 2.5: is a whole number of at most 2147483647")]
    [TestCase("--temperature hot", "--temperature hot: is a number")]
    public void AValueOfAnotherKindIsNamed(string flags, string said)
    {
        var (code, text, err) = Run(Catalogue.Commands, ["generate", "--model", "m", "--prompt", "a", .. flags.Split(' ')]);
        Assert.That((code, text, err), Is.EqualTo((2, "", $"peftalign: generate: {said}; peftalign generate --help says what it takes\n")));
    }

    [TestCase("echo --device tpu", "--device tpu: is cpu, cuda or cuda:N")]
    [TestCase("echo --device cuda:x", "--device cuda:x: is cpu, cuda or cuda:N")]
    [TestCase("echo --dtype float61", "--dtype float61: is one of float32, bfloat16, float16; did you mean float16?")]
    [TestCase("echo --threads 0", "--threads 0: is a whole number from 1 to 4096")]
    [TestCase("echo --threads", "'--threads'")]
    [TestCase("echo --seed -1", "--seed -1: is a whole number from 0")]
    [TestCase("box", "Required command")]
    public void ABadValueIsNamed(string line, string part)
    {
        var (code, text, err) = Run(line.Split(' '));
        Assert.That((code, text), Is.EqualTo((2, "")));
        Assert.That(err, Does.Contain(part).And.StartsWith("peftalign: "));
        Assert.That(err.Split('\n'), Has.Length.EqualTo(2));
    }

    [Test]
    public void GlobalOptionsMayStandBeforeTheCommand()
    {
        var before = Run("--device", "cpu", "--json", "--seed", "7", "echo", "--text", "hi");
        var behind = Run("echo", "--text", "hi", "--device", "cpu", "--json", "--seed", "7");
        Assert.That(before, Is.EqualTo(behind));
        var document = JsonNode.Parse(before.Out)!;
        Assert.That(((string?)document["text"], (string?)document["device"], (long?)document["seed"]), Is.EqualTo(("hi", "cpu", 7L)));
    }

    [Test]
    public void EveryGlobalOptionArrives()
    {
        var (code, text, _) = Run("echo", "--device", "cpu", "--dtype", "bfloat16", "--threads", "3", "--seed", "9223372036854775807");
        Assert.That(code, Is.EqualTo(0));
        Assert.That(text, Does.Contain("Device = cpu, Dtype = bfloat16, Threads = 3, Seed = 9223372036854775807"));
        Assert.That(Run("echo").Out, Does.Contain("Device = , Dtype = , Threads = , Seed = "));
    }

    [Test]
    public void QuietAndVerboseChangeTheRemarksOnly()
    {
        Assert.That(Run("echo").Err, Is.EqualTo("remark\n"));
        Assert.That(Run("echo", "--quiet").Err, Is.EqualTo(""));
        Assert.That(Run("echo", "-v").Err, Is.EqualTo("remark\ndetail\n"));
        Assert.That(Run("echo", "-v").Out, Is.EqualTo(Run("echo", "--quiet").Out));
    }

    [Test]
    public void AFailureIsCodeOneAndShowsItsPlaceOnlyUnderV()
    {
        Assert.That(Run("throw", "work"), Is.EqualTo((1, "", "peftalign: first line second line (-v shows where)\n")));
        Assert.That(Run("throw", "work", "-v").Err, Does.Contain("InvalidOperationException").And.Contain("   at "));
        Assert.That(Run("throw", "code"), Is.EqualTo((1, "", "")));
        // Nobody interrupted: what cancels by itself is a failure.
        Assert.That(Run("throw", "cancelled"), Is.EqualTo((1, "", "peftalign: the work was cancelled, though nobody asked for it (The operation was canceled): a time limit inside the program, or a fault of it (-v shows where)\n")));
    }

    [Test]
    public void AnArgumentThatBeginsWithAtIsText() => Assert.That(Run("echo", "--text", "@home").Out, Does.StartWith("@home\n"));

    [TestCase("doc", "did you mean doctor?")]
    [TestCase("docter", "did you mean doctor?")]
    [TestCase("dr", null)]
    [TestCase("score", null)]
    public void ASuggestionIsNearOrNone(string given, string? expected) => Assert.That(Near.DidYouMean(given, ["doctor", "report"]), Is.EqualTo(expected));
}
