// The command's own rules: which options go together, what a row without the wanted field is told, and what only a process of
// its own shows: standard input, the launcher, and that libtorch stays closed.

using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using System.Text.Json;

namespace PeftAlign.Host.Tests.Tokenize;

public class TokenizeCommandTests
{
    private static string Model => Golden.Path("golden/tokenizers/trained/qwen2_split");

    private Cli cli = null!;

    [SetUp]
    public void MakeFolder() => cli = new Cli();

    [TearDown]
    public void RemoveFolder() => cli.Dispose();

    [TestCase("", "tokenize: needs --text or --in")]
    [TestCase("--text a --in f", "--text --in: one row or a file of rows")]
    [TestCase("--text 1 --decode --chat", "--decode --chat: one makes text of ids")]
    [TestCase("--text a --add-generation-prompt", "--add-generation-prompt: means something with --chat only")]
    [TestCase("--text a --chat-template chatml", "--chat-template chatml: means something with --chat only")]
    [TestCase("--text a --chat", "has no chat template; give --chat-template with a .jinja file or one of alpaca, chatml")]
    [TestCase("--text a --chat --chat-template nothing", "Chat template nothing: there is no such template")]
    [TestCase("--text 1,x --decode", "--text 1,x: 'x' is no token id")]
    [TestCase("--text -1 --decode", "--text -1: '-1' is no token id")]
    [TestCase("--in no-such-file.jsonl", "no-such-file.jsonl: no such file; give a file of JSON lines (plain or .gz), or - for standard input")]
    [TestCase("--in /", "/: is a folder")]
    [TestCase("--text a --device cpu", "tokenize --device: makes no difference to this command")]
    public void AMistakeIsOneLineAndCodeTwo(string line, string message)
    {
        var outcome = Cli.Run(["--model", Model, .. line.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);
        Assert.That((outcome.Code, outcome.Out), Is.EqualTo((2, "")), outcome.Err);
        Assert.That(outcome.Err, Does.StartWith("peftalign: ").And.Contain(message));
        Assert.That(outcome.Err.Split('\n'), Has.Length.EqualTo(2));
    }

    [TestCase("{\"txt\":\"a\"}", "", "has no \"text\"; give rows like {\"text\": ...}")]
    [TestCase("{\"text\":7}", "", "\"text\" holds 7; it must be a text")]
    [TestCase("{\"messages\":[]}", "", "has no \"text\"; add --chat for rows with messages")]
    [TestCase("{\"ids\":[1]}", "", "has no \"text\"; add --decode for rows with ids")]
    [TestCase("{\"text\":\"a\"}", "--decode", "has no \"ids\"; leave --decode out for rows with text")]
    [TestCase("{\"ids\":[-4]}", "--decode", "\"ids\" holds -4; ids are whole numbers")]
    [TestCase("{\"text\":\"a\"}", "--chat", "has no \"messages\"; give a list of objects with role and content")]
    [TestCase("{\"messages\":{}}", "--chat", "\"messages\" holds an object; it must be a list")]
    [TestCase("{\"messages\":[7]}", "--chat", "Chat template chatml: a message is an object")]
    [TestCase("{\"messages\":[],\"now\":\"soon\"}", "--chat", "\"now\" is 'soon'; give a time like 2024-07-26T09:05:03")]
    [TestCase("{\"messages\":[],\"tools\":{}}", "--chat", "\"tools\" holds an object; it must be a list")]
    [TestCase("{\"messages\":[],\"add_generation_prompt\":1}", "--chat", "\"add_generation_prompt\" holds 1; it must be true or false")]
    [TestCase("{\"messages\":[],\"truncation\":true}", "--chat", "\"truncation\" needs \"max_length\"")]
    [TestCase("{\"messages\":[],\"max_length\":8}", "--chat", "\"max_length\" alone cuts nothing")]
    public void ARowsMistakeNamesFileAndLine(string row, string option, string message)
    {
        var good = option == "--chat" ? "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}" : option == "--decode" ? "{\"ids\":[64]}" : "{\"text\":\"a\"}";
        var input = cli.Path("in.jsonl");
        File.WriteAllText(input, $"{good}\n\n{row}\n{good}\n");
        string[] options = option == "--chat" ? ["--chat", "--chat-template", "chatml"] : option == "" ? [] : [option];
        var outcome = Cli.Run(["--model", Model, "--in", input, .. options]);
        Assert.That((outcome.Code, outcome.Rows.Count), Is.EqualTo((2, 1)), "the row before it has its result");
        Assert.That(outcome.Err, Does.StartWith($"peftalign: {input}, line 3: ").And.Contain(message));
    }

    [Test]
    public void ATextAndARowGiveTheSameLine()
    {
        var expected = "{\"ids\":[39,385,78,0,220],\"tokens\":[\"H\",\"ell\",\"o\",\"!\",\"Ġ\"]}\n";
        Assert.That(Cli.Run("--model", Model, "--text", "Hello! "), Is.EqualTo(new Outcome(0, expected, "")).Using<Outcome>(Same));
        Assert.That(Cli.Run("--model", System.IO.Path.Combine(Model, "tokenizer.json"), "--json", "--text", "Hello! ").Out, Is.EqualTo(expected));
        var zipped = cli.Path("in.jsonl.gz");
        using (var zip = new GZipStream(File.Create(zipped), CompressionLevel.Optimal)) zip.Write("{\"text\":\"Hello! \",\"id\":7}\n"u8);
        Assert.That(Cli.Run("--model", Model, "--in", zipped).Out, Is.EqualTo(expected));
        Assert.That(Cli.Run("--model", Model, "--decode", "--text", "[39, 385 78,0,220]").Out, Is.EqualTo("{\"text\":\"Hello! \"}\n"));
        Assert.That(Cli.Run("--model", Model, "--text", "").Out, Is.EqualTo("{\"ids\":[],\"tokens\":[]}\n"));
    }

    [Test]
    public void ThreadsChangeNothing()
    {
        var input = cli.Path("many.jsonl");
        File.WriteAllLines(input, Enumerable.Range(0, 700).Select(k => k == 650 ? "{\"text\":7}" : $"{{\"text\":\"Hello {k}! {new string('o', k % 90)}\"}}"));
        var one = Cli.Run("--model", Model, "--in", input, "--threads", "1");
        Assert.That((one.Code, one.Rows.Count), Is.EqualTo((2, 650)), "what stands before the mistake has its results");
        Assert.That(one.Err, Does.StartWith($"peftalign: {input}, line 651: "));
        Assert.That(Cli.Run("--model", Model, "--in", input, "--threads", "3"), Is.EqualTo(one).Using<Outcome>(Same));
    }

    [TestCase("1")]
    [TestCase("3")]
    public void RowsBeforeWhatCannotBeReadHaveTheirResults(string threads)
    {
        using var bytes = new MemoryStream();
        using (var zip = new GZipStream(bytes, CompressionLevel.Optimal, leaveOpen: true))
            for (var k = 0; k < 2000; k++) zip.Write(Encoding.UTF8.GetBytes($"{{\"text\":\"row {k}\"}}\n"));
        var input = cli.Path("cut.jsonl.gz");
        File.WriteAllBytes(input, bytes.ToArray()[..(int)(bytes.Length * 2 / 3)]);
        var outcome = Cli.Run("--model", Model, "--in", input, "--threads", threads);
        Assert.That(outcome.Code, Is.EqualTo(2));
        Assert.That(outcome.Rows.Count % 64, Is.GreaterThan(0), "the last batch is no whole one");
        Assert.That(outcome.Err, Does.Contain($"cut off after line {outcome.Rows.Count};"));
    }

    [Test]
    public void AStatisticWithoutAnAnswerIsTheUsersMistakeToo()
    {
        CommandLine.CommandEntry fails = new("fails", "", frame =>
        {
            var command = new System.CommandLine.Command("fails");
            frame.OnRun(command, CommandLine.Uses.Nothing, (_, _, _) => throw new PeftAlign.Core.Statistics.StatisticsException("x has 1 values; add some"));
            return command;
        });
        using var remarks = new StringWriter();
        Assert.That(new CommandLine.Dispatcher([fails], TextWriter.Null, remarks).RunAsync(["fails"]).Result, Is.EqualTo(2));
        Assert.That(remarks.ToString(), Is.EqualTo("peftalign: x has 1 values; add some\n"));
    }

    // Through the launcher, with the pipe still open: the first answer must be there before the second question.
    [Test]
    public void RowsStreamThroughThePipe()
    {
        var start = new ProcessStartInfo(System.IO.Path.Combine(Checkout.Root, "peftalign"), ["tokenize", "--model", Model, "--in", "-"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(false),
        };
        start.Environment["LC_ALL"] = "en_US.ISO-8859-1";
        using var process = Process.Start(start)!;
        foreach (var (text, ids) in new[] { ("Hello", "[39,385,78]"), ("ü", "[127,120]") })
        {
            process.StandardInput.WriteLine($"{{\"text\":\"{text}\"}}");
            process.StandardInput.Flush();
            var line = process.StandardOutput.ReadLineAsync();
            Assert.That(line.Wait(TimeSpan.FromMinutes(5)), "no row came while the pipe was open");
            Assert.That(JsonDocument.Parse(line.Result!).RootElement.GetProperty("ids").GetRawText(), Is.EqualTo(ids));
        }
        process.StandardInput.WriteLine("{\"text\":1}");
        process.StandardInput.Close();
        Assert.That(process.StandardOutput.ReadToEnd(), Is.Empty);
        Assert.That(process.StandardError.ReadToEnd(), Does.EndWith("peftalign: standard input, line 3: \"text\" holds 1; it must be a text\n"));
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.EqualTo(2));
    }

    [Test]
    public void LibtorchStaysClosed()
    {
        using var process = ProcessTests.Start(
            "PeftAlign.Host.dll", new Dictionary<string, string> { ["PEFTALIGN_NATIVE"] = "/nonexistent" },
            "tokenize", "--model", Model, "--chat", "--chat-template", "zephyr", "--text", "wörld 😀");
        var text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero);
        Assert.That(JsonDocument.Parse(text).RootElement.GetProperty("text").GetString(), Is.EqualTo("<|user|>\nwörld 😀</s>\n"));
    }

    private static bool Same(Outcome a, Outcome b) => (a.Code, a.Out, a.Err) == (b.Code, b.Out, b.Err);
}
