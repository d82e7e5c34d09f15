// peftalign models init: every architecture's folder loads again and answers; equal seeds give equal bytes; what cannot be is
// refused and leaves nothing behind.

using PeftAlign.Abstractions;
using PeftAlign.Host.CommandLine;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Host.Tests;

public class ModelsInitTests
{
    private string folder = "";

    private static IReadOnlyList<string> Names => ModelArchitectures.BuiltIn.NamesToMake;

    [SetUp]
    public void MakeFolder() => folder = Directory.CreateTempSubdirectory("peftalign-init-").FullName;

    [TearDown]
    public void Remove() => Directory.Delete(folder, recursive: true);

    private static (int Code, string Out, string Err) Run(params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(["models", "init", .. args]).GetAwaiter().GetResult();
        return (code, results.ToString(), remarks.ToString());
    }

    [Test]
    public void An_interrupt_leaves_nothing()
    {
        var settings = new System.Text.Json.Nodes.JsonObject { ["vocab_size"] = 50, ["pad_token_id"] = 0 };
        var made = Path.Combine(folder, "made");
        Assert.Throws<OperationCanceledException>(() => Host.Running.RunFolder.Fill(made, path => ModelFolder.Initialise(path, "llama", settings, 0, cancel: new CancellationToken(canceled: true))));
        Assert.That(Directory.GetFileSystemEntries(folder), Is.Empty);
        ModelFolder.Initialise(Directory.CreateDirectory(made).FullName, "llama", settings, 0);
        Assert.Throws<OperationCanceledException>(() => AdapterMerge.Write(Directory.CreateDirectory(Path.Combine(folder, "merged")).FullName, made, _ => [], null, null, cancel: new CancellationToken(canceled: true)));
        Assert.That(Directory.GetFiles(Path.Combine(folder, "merged"), "*.safetensors"), Is.Empty);
    }

    [Test]
    public void The_help_names_what_can_be_made() =>
        Assert.That(string.Join(' ', Run("--help").Out.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)), Does.Contain($"A model_type: {string.Join(", ", Names)}, or a plugin's."));

    [TestCaseSource(nameof(Names))]
    public void A_new_model_loads_and_answers(string name)
    {
        using var scope = torch.NewDisposeScope();
        string Make(string to, string seed)
        {
            var made = Path.Combine(folder, to);
            var (code, _, err) = Run(name, "--out", made, "--set", "vocab_size=50", "--set", "pad_token_id=0", "--seed", seed);
            Assert.That((code, err), Is.EqualTo((0, "")));
            return made;
        }
        var (one, same, other) = (Make("one", "3"), Make("same", "3"), Make("other", "4"));
        byte[] Bytes(string made) => File.ReadAllBytes(Path.Combine(made, "model.safetensors"));
        Assert.That(Bytes(same), Is.EqualTo(Bytes(one)));
        Assert.That(Bytes(other), Is.Not.EqualTo(Bytes(one)));
        // transformers tells 30 from 30.0 and refuses the first where it wants a float.
        foreach (var option in ModelArchitectures.BuiltIn.Find(name).InitOptions.Where(o => o.Type == "number"))
            Assert.That(File.ReadAllText(Path.Combine(one, "config.json")), Does.Match($"\"{option.Name}\": [0-9]*[.eE]"));
        var warnings = new List<string>();
        var model = ModelFolder.Load(one, warnings.Add);
        Assert.That(warnings, Is.Empty);
        var answer = new LogProbEngine(model).Score([new CompletionGroup([1, 2], [Completion.Of([3, 4, 5])])], ForwardMode.Plain).Single();
        // Nearly uniform, since new weights are small.
        Assert.That(answer.LogProb, Is.EqualTo(-3 * Math.Log(50)).Within(0.5));
    }

    [Test]
    public void Weights_in_bfloat16_and_in_shards_are_those_of_float32_rounded()
    {
        using var scope = torch.NewDisposeScope();
        var (wide, narrow) = (Path.Combine(folder, "wide"), Path.Combine(folder, "narrow"));
        Assert.That(Run("llama", "--out", wide, "--set", "vocab_size=50").Code, Is.Zero);
        var (code, _, err) = Run("llama", "--out", narrow, "--set", "vocab_size=50", "--dtype", "bfloat16", "--shard-size", "0.05MB", "--threads", "1");
        Assert.That((code, err), Is.EqualTo((0, "")));
        var files = Directory.GetFiles(narrow, "*.safetensors");
        Assert.That(files, Has.Length.GreaterThan(1));
        Assert.That(files.Max(file => new FileInfo(file).Length), Is.LessThan(60_000));
        Assert.That(File.ReadAllText(Path.Combine(narrow, "config.json")), Does.Contain("\"torch_dtype\": \"bfloat16\""));
        using var a = CheckpointFolder.Open(wide);
        using var b = CheckpointFolder.Open(narrow);
        Assert.That(b.Names, Is.EquivalentTo(a.Names));
        foreach (var name in a.Names) Assert.That(b.Tensor(name).equal(a.Tensor(name).to(torch.bfloat16)), name);
    }

    [Test]
    public void What_no_disk_holds_is_refused_before_the_first_weight()
    {
        var (code, _, err) = Run("llama", "--out", Path.Combine(folder, "made"), "--set", "vocab_size=16000000", "--set", "hidden_size=262144");
        Assert.That(code, Is.EqualTo(2), err);
        Assert.That(err, Does.Match(@"the result takes [0-9.]+ GB and .* has [0-9.]+ GB free; make room there, or give --out a folder on another disk"));
        Assert.That(Directory.EnumerateFileSystemEntries(folder), Is.Empty);
    }

    // What has an entry is made, and nothing else.
    [Test]
    public void Help_names_what_can_be_made()
    {
        using var results = new StringWriter();
        Assert.That(new Dispatcher(Catalogue.Commands, results, TextWriter.Null).RunAsync(["models", "init", "--help"]).GetAwaiter().GetResult(), Is.Zero);
        var help = string.Join(' ', results.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        Assert.That(help, Does.Contain($"A model_type: {string.Join(", ", Names)}, or a plugin's."));
    }

    [Test]
    public void A_size_without_a_unit_is_refused()
    {
        var (code, _, err) = Run("llama", "--out", Path.Combine(folder, "made"), "--set", "vocab_size=50", "--shard-size", "5");
        Assert.That(code, Is.EqualTo(2));
        Assert.That(err, Does.Contain("--shard-size 5: is a size such as 5GB or 500MB; leave it out for 50GB"));
    }

    // Where the key is absent, transformers' classes take 32000 and 128004 and make no embedding of fewer rows.
    [TestCase("phi3", "null")]
    [TestCase("phi3", "7")]
    [TestCase("smollm3", "null")]
    public void Padding_that_a_small_vocabulary_lacks_is_named_as_none(string name, string pad)
    {
        var made = Path.Combine(folder, "made");
        var (code, _, err) = Run([name, "--out", made, "--set", "vocab_size=50", .. pad == "null" ? (string[])[] : ["--set", $"pad_token_id={pad}"]]);
        Assert.That((code, err), Is.EqualTo((0, "")));
        Assert.That(File.ReadAllText(Path.Combine(made, "config.json")), Does.Contain($"\"pad_token_id\": {pad}"));
    }

    [TestCase("llma", "", "'llma' is not known; known are cohere, falcon, gemma")]
    [TestCase("gemma3", "", "make gemma3_text, its text part alone")]
    [TestCase("llama", "vocab_size", "is KEY=VALUE")]
    [TestCase("llama", "hiden_size=8", "did you mean hidden_size?")]
    [TestCase("llama", "hidden_size=x", "must be a whole number")]
    [TestCase("llama", "hidden_size=8.5", "must be a whole number")]
    [TestCase("llama", "rms_norm_eps=0", "must be in (0,)")]
    [TestCase("llama", "tie_word_embeddings=1", "must be true or false")]
    [TestCase("llama", "hidden_size=16", "vocab_size is missing")]
    [TestCase("llama", "vocab_size=16 num_attention_heads=3", "a divisor of hidden_size, which is 64")]
    public void A_mistake_is_one_message_and_leaves_nothing(string name, string settings, string message)
    {
        var target = Path.Combine(folder, "made");
        var (code, text, err) = Run([name, "--out", target, .. settings.Split(' ', StringSplitOptions.RemoveEmptyEntries).SelectMany(s => (string[])["--set", s])]);
        Assert.That((code, text), Is.EqualTo((2, "")), err);
        Assert.That(err, Does.Contain(message));
        Assert.That(Directory.EnumerateFileSystemEntries(folder), Is.Empty);
    }

    [Test]
    public void A_folder_with_files_is_left_alone()
    {
        File.WriteAllText(Path.Combine(folder, "mine.txt"), "x");
        var (code, _, err) = Run("llama", "--out", folder, "--set", "vocab_size=8");
        Assert.That((code, Directory.GetFiles(folder)), Is.EqualTo((2, (string[])[Path.Combine(folder, "mine.txt")])));
        Assert.That(err, Does.Contain("is there and not empty; name another folder, or remove it"));
    }
}
