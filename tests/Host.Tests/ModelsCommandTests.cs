// peftalign models info: what it says of a folder and of a file, what --verify finds, and that libtorch stays closed
// where no number is read.

using System.Text.Json.Nodes;
using PeftAlign.Host.CommandLine;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Host.Tests;

public class ModelsCommandTests
{
    private const string Config = """{"model_type":"llama","architectures":["LlamaForCausalLM"],"hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,"vocab_size":4,"max_position_embeddings":32,"dtype":"bfloat16","tie_word_embeddings":true}""";

    private string folder = "";

    [SetUp]
    public void MakeModel()
    {
        using var scope = torch.NewDisposeScope();
        folder = Directory.CreateTempSubdirectory("peftalign-models-").FullName;
        File.WriteAllText(Path.Combine(folder, "config.json"), Config);
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), "{}");
        File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), """{"chat_template":"{{ messages }}"}""");
        Write(1);
    }

    [TearDown]
    public void Remove() => Directory.Delete(folder, recursive: true);

    private void Write(float value) => CheckpointFolder.Write(folder, new Dictionary<string, Tensor>
    {
        ["model.embed_tokens.weight"] = torch.full([4, 8], value, torch.ScalarType.BFloat16),
        ["model.norm.weight"] = torch.ones([8]),
        ["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones([2]),
    });

    private static (int Code, string Out, string Err) Run(params string[] args)
    {
        using var results = new StringWriter();
        using var remarks = new StringWriter();
        var code = new Dispatcher(Catalogue.Commands, results, remarks).RunAsync(["models", "info", .. args]).GetAwaiter().GetResult();
        return (code, results.ToString(), remarks.ToString());
    }

    [Test]
    public void AFolderIsDescribed()
    {
        var (code, text, err) = Run(folder, "--json");
        Assert.That((code, err), Is.EqualTo((0, "")));
        var found = JsonNode.Parse(text)!;
        Assert.That(((string)found["model_type"]!, (int)found["layers"]!, (int)found["head_dim"]!, (string)found["dtype"]!), Is.EqualTo(("llama", 1, 4, "bfloat16")));
        Assert.That(((long)found["parameters"]!, (int)found["tensors"]!, (long)found["bytes"]!), Is.EqualTo((40L, 3, 104L)));
        Assert.That((long)found["dtypes"]!["bfloat16"]!["elements"]!, Is.EqualTo(32));
        Assert.That(((bool)found["tie_word_embeddings"]!, (bool)found["head_stored"]!), Is.EqualTo((true, false)));
        Assert.That(((string)found["tokenizer"]![0]!, (string)found["chat_template"]!), Is.EqualTo(("tokenizer.json", "tokenizer_config.json")));
        Assert.That(found["verified"], Is.Null);
        Assert.That(Run(folder).Out, Does.Contain("llama (LlamaForCausalLM)").And.Contain("40 in 3 tensors, 104 bytes in 1 file").And.Contain("tied to the embedding"));
    }

    [Test]
    public void AHeadBesideItsEmbeddingIsCompared()
    {
        using var scope = torch.NewDisposeScope();
        var rows = torch.arange(1 << 18, torch.ScalarType.Float32).view(1 << 15, 8);
        var other = rows.clone();
        other.select(0, 256).fill_(1); // between the pages of the sample
        (string, Tensor)[] embedding = [("model.embed_tokens.weight", rows)];
        string Says(params (string Name, Tensor Tensor)[] tensors)
        {
            CheckpointFolder.Write(folder, tensors.ToDictionary(t => t.Name, t => t.Tensor));
            return Run(folder).Out;
        }
        Assert.That(Says([.. embedding, ("lm_head.weight", rows)]), Does.Contain("the file holds a copy, by a sample"));
        Assert.That(Run(folder, "--verify").Out, Does.Contain("the file holds a copy\n"));
        Assert.That(Says(("lm_head.weight", rows)), Does.Contain("which the file holds as the head"));
        Assert.That(Says([.. embedding, ("lm_head.weight", rows + 1)]), Does.Contain("of its own: the file holds another one"));
        Assert.That(Run(folder).Err, Does.Contain("warning:").And.Contain("tie_word_embeddings").And.Contain("lm_head.weight"));
        Says([.. embedding, ("lm_head.weight", other)]);
        var (_, text, err) = Run(folder, "--verify", "--json");
        Assert.That((bool)JsonNode.Parse(text)!["head_tied"]!, Is.False);
        Assert.That(err, Does.Contain("another lm_head.weight"));
    }

    [Test]
    public void VerifyCountsNumbersThatAreNone()
    {
        var sound = Run(folder, "--verify", "--json");
        Assert.That((sound.Code, JsonNode.Parse(sound.Out)!["verified"]!["non_finite"]!.AsObject().Count), Is.EqualTo((0, 0)));
        Write(float.NaN);
        Assert.That(Run(folder).Code, Is.Zero);
        var (code, text, _) = Run(folder, "--verify");
        Assert.That(code, Is.EqualTo(1));
        Assert.That(text, Does.Contain("1 with NaN or infinity").And.Contain("model.embed_tokens.weight: 32"));
    }

    [Test]
    public void LibtorchStaysClosedWhereNoNumberIsRead()
    {
        using var process = ProcessTests.Start("PeftAlign.Host.dll", new Dictionary<string, string> { ["PEFTALIGN_NATIVE"] = "/nonexistent" }, "models", "info", folder, "--json");
        Assert.That((long)JsonNode.Parse(process.StandardOutput.ReadToEnd())!["parameters"]!, Is.EqualTo(40));
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero);
    }

    [Test]
    public void AFileAloneIsDescribedToo()
    {
        var (code, text, _) = Run(Path.Combine(folder, "model.safetensors"), "--json");
        Assert.That((code, (long)JsonNode.Parse(text)!["parameters"]!, JsonNode.Parse(text)!["model_type"]), Is.EqualTo((0, 40L, (JsonNode?)null)));
    }

    [Test]
    public void PackedBytesHoldTwoParameters()
    {
        using var scope = torch.NewDisposeScope();
        CheckpointFolder.Write(folder, new Dictionary<string, Tensor>
        {
            ["a.weight"] = torch.zeros([32, 1], torch.ScalarType.Byte),
            ["a.weight.absmax"] = torch.zeros(1),
            ["a.weight.quant_map"] = torch.zeros(16),
            ["a.weight.quant_state.bitsandbytes__nf4"] = torch.zeros([80], torch.ScalarType.Byte),
            ["norm.weight"] = torch.zeros(3),
        });
        Assert.That((long)JsonNode.Parse(Run(folder, "--json").Out)!["parameters"]!, Is.EqualTo(67));
    }

    [Test]
    public void BrokenFilesAreTheUsersMistake()
    {
        File.WriteAllBytes(Path.Combine(folder, "model.safetensors"), new byte[7]);
        var (code, text, err) = Run(folder);
        Assert.That((code, text), Is.EqualTo((2, "")));
        Assert.That(err, Does.StartWith($"peftalign: {folder}/model.safetensors: the file has 7 bytes").And.Not.Contain("   at "));
        Assert.That(Run(folder + "-no").Code, Is.EqualTo(2));
        File.Delete(Path.Combine(folder, "config.json"));
        File.WriteAllText(Path.Combine(folder, "adapter_config.json"), "{}");
        Assert.That(Run(folder).Err, Does.Contain("adapter info"));
    }
}
