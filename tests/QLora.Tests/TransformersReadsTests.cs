// transformers and bitsandbytes load what quantize writes, decode it to our matrices and compute our logits with them, on rows that
// divide by the block, where their decoder for processors is sound. Their product for processors rounds to bfloat16 where the
// processor can, whatever the compute dtype, so the logits are of the decoded matrices. Needs a Python with both: PEFTALIGN_PEERS_PYTHON names it.

using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Peft.Lora;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora.Tests;

public class TransformersReadsTests
{
    private static readonly int[] Ids = [1, 17, 5, 99, 3, 64, 120, 8];

    private const string Script = """
        import sys, torch
        from safetensors.torch import save_file
        from transformers import AutoModelForCausalLM
        torch.set_num_threads(1)
        model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)
        import bitsandbytes
        four = [(name, module) for name, module in model.named_modules() if type(module).__name__ == "Linear4bit"]
        matrices = {name: bitsandbytes.functional.dequantize_4bit(module.weight.data, module.weight.quant_state).float() for name, module in four}
        for name, module in four:
            full = torch.nn.Linear(module.in_features, module.out_features, bias=False)
            full.weight = torch.nn.Parameter(matrices[name])
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, full)
        if len(sys.argv) > 4:
            from peft import PeftModel
            model = PeftModel.from_pretrained(model, sys.argv[1], subfolder=sys.argv[4], is_trainable=True)
            assert all(module.lora_A["default"].weight.requires_grad for module in model.modules() if hasattr(module, "lora_A"))
        with torch.no_grad():
            logits = model(torch.tensor([[int(i) for i in sys.argv[3].split(",")]])).logits[0].float()
        save_file({"logits": logits.contiguous(), **{name + ".weight": matrix.contiguous() for name, matrix in matrices.items()}}, sys.argv[2])
        """;

    [TestCase("nf4", true)]
    [TestCase("nf4", false)]
    [TestCase("fp4", true)]
    public void Folder_IsLoadedByTransformers_AndItsLogitsAreOurs(string type, bool doubleQuant)
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_PEERS_PYTHON") is not { Length: > 0 } python) { Assert.Ignore("PEFTALIGN_PEERS_PYTHON names no Python with transformers and bitsandbytes"); return; }
        using var scope = torch.NewDisposeScope();
        using var folder = new TemporaryFolder();
        var (full, four) = (Model(folder), Path.Combine(folder.Path, "four"));
        var quantization = new FourBitQuantization(type == "nf4" ? FourBitCode.Nf4 : FourBitCode.Fp4, new FourBitOptions { DoubleQuant = doubleQuant });
        QuantizedFolder.Write(four, full, quantization, [], ModelArchitectures.BuiltIn);
        var said = Path.Combine(folder.Path, "logits.safetensors");
        Run(python, four, said);
        using var theirs = SafetensorsFile.Open(said);
        using var off = torch.no_grad();
        var model = ModelFolder.Load(four, architectures: ModelGoldenTests.Architectures);
        Assert.That(theirs.Tensors.Select(t => t.Name).Where(name => name != "logits"), Is.EquivalentTo(model.Quantized.Keys));
        foreach (var (name, matrix) in model.Quantized) Assert.That(QuantizedProduct.Full(matrix, torch.float32).equal(theirs.Tensor(name)), Is.True, name);
        var ours = new LogProbEngine(model).Logits([new CompletionGroup(Ids, [Completion.Of([1])])], ForwardMode.Plain)[0];
        Assert.That(Golden.Worst(ours.narrow(0, 0, Ids.Length), theirs.Tensor("logits")), Is.LessThanOrEqualTo(1e-4));
    }

    // LoftQ's pair: the base is loaded by transformers, the adapter beside it by PEFT, and their logits are ours.
    [Test]
    public void Pair_IsLoadedByPeft()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_PEERS_PYTHON") is not { Length: > 0 } python) { Assert.Ignore("PEFTALIGN_PEERS_PYTHON names no Python with transformers, bitsandbytes and PEFT"); return; }
        using var scope = torch.NewDisposeScope();
        using var folder = new TemporaryFolder();
        var (four, said) = (Path.Combine(folder.Path, "four"), Path.Combine(folder.Path, "logits.safetensors"));
        var lora = PluginParts.Make<IPeftAdapter, LoraOptions>(new LoraPlugin(), "lora", new LoraOptions { Init = "loftq", Rank = 4, Alpha = 6, Targets = ["all-linear"] });
        var (facts, files) = LoftqFolder.Write(four, Model(folder), four, new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions()), [], ModelArchitectures.BuiltIn, lora, 3);
        Assert.That(facts.Modules, Is.EqualTo(14));
        AdapterFolder.Write(Path.Combine(four, "loftq_init"), files.Config.ToDictionary(c => c.Key, c => (object?)(c.Value is null ? null : JsonSerializer.SerializeToElement(c.Value))), files.Tensors);
        Run(python, four, said, "loftq_init");
        using var theirs = SafetensorsFile.Open(said);
        using var off = torch.no_grad();
        var model = ModelFolder.Load(four, architectures: ModelGoldenTests.Architectures);
        var mode = new ForwardMode { Deltas = lora.Load(model.Outline(four), files).ToDictionary(s => s.Module, s => s.Delta) };
        var ours = new LogProbEngine(model).Logits([new CompletionGroup(Ids, [Completion.Of([1])])], mode)[0];
        Assert.That(Golden.Worst(ours.narrow(0, 0, Ids.Length), theirs.Tensor("logits")), Is.LessThanOrEqualTo(1e-4));
    }

    private static string Model(TemporaryFolder folder)
    {
        var full = Directory.CreateDirectory(Path.Combine(folder.Path, "full")).FullName;
        var settings = new JsonObject { ["vocab_size"] = 128, ["hidden_size"] = 64, ["intermediate_size"] = 192, ["num_hidden_layers"] = 2, ["num_attention_heads"] = 4, ["max_position_embeddings"] = 64, ["initializer_range"] = 0.1 };
        ModelFolder.Initialise(full, "llama", settings, 3);
        return full;
    }

    private static void Run(string python, string folder, string target, params string[] adapter)
    {
        var start = new ProcessStartInfo(python, ["-c", Script, folder, target, string.Join(',', Ids), .. adapter]) { RedirectStandardError = true, RedirectStandardOutput = true };
        start.Environment["HF_HUB_OFFLINE"] = "1";
        using var process = Process.Start(start)!;
        var error = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, error.Result);
    }
}
