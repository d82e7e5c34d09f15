// A quantised layer and whole 4-bit folders as transformers writes them: outputs, gradients, logits; and our folders against its.

using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora.Tests;

public class ModelGoldenTests
{
    /// <summary>The built-in architectures, reading 4-bit folders.</summary>
    internal static ModelArchitectures Architectures { get; } = ModelArchitectures.BuiltIn.Reading(config =>
        new[] { FourBitCode.Nf4, FourBitCode.Fp4 }.Select(code => new FourBitQuantization(code, new FourBitOptions())).FirstOrDefault(q => q.Reads(config)));

    // One layer with bias, in float32 and bfloat16: y, dx and the bias's gradient.
    [TestCase("f32", 1e-6)]
    [TestCase("bf16", 2.0 / 128)]
    public void Layer_ComputesAndDifferentiatesAsTheLibrarys(string type, double tolerance)
    {
        using var scope = torch.NewDisposeScope();
        using var file = Golden.Tensors("nf4", "linear.safetensors");
        var dtype = type == "f32" ? torch.float32 : torch.bfloat16;
        using var matrix = new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions()).Quantize("w", file.Tensor("w").to(dtype), KernelPlace.Processor);
        Assert.That(matrix.Parts[""].equal(file.Tensor($"{type}.packed")), Is.True);
        var (x, bias) = (file.Tensor("x").to(dtype).clone().requires_grad_(), file.Tensor("bias").to(dtype).clone().requires_grad_());
        var y = new Layer("w", null, bias) { Quantized = (matrix, dtype) }.Product(x);
        y.backward(file.Tensor("dy").to(dtype));
        foreach (var (ours, name) in new[] { (y, "y"), (x.grad!, "dx"), (bias.grad!, "dbias") })
        {
            var theirs = file.Tensor($"{type}.{name}");
            Assert.That(Golden.Worst(ours, theirs), Is.LessThanOrEqualTo(tolerance * Math.Max(1, theirs.abs().max().item<float>())), name);
        }
    }

    // A float32 model whose products are made in bfloat16: the input is rounded, the output comes back as float32.
    [Test]
    public void ComputeDtype_RoundsInputAndMatrix()
    {
        using var scope = torch.NewDisposeScope();
        using var file = Golden.Tensors("nf4", "linear.safetensors");
        using var matrix = new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions { ComputeDtype = "bfloat16" }).Quantize("w", file.Tensor("w").to(torch.bfloat16), KernelPlace.Processor);
        var x = file.Tensor("x").clone().requires_grad_();
        var y = new Layer("w", null) { Quantized = (matrix, torch.float32) }.Product(x);
        Assert.That(y.dtype, Is.EqualTo(torch.float32));
        var expected = file.Tensor("bf16.y").to(torch.float32) - file.Tensor("bias").to(torch.bfloat16).to(torch.float32);
        Assert.That(Golden.Worst(y, expected), Is.LessThanOrEqualTo(2.0 / 128 * file.Tensor("bf16.y").abs().max().item<float>()));
        y.backward(file.Tensor("dy"));
        Assert.That(x.grad!.dtype, Is.EqualTo(torch.float32));
    }

    [TestCase("llama-nf4-double", 2e-5)]
    [TestCase("llama-nf4-single", 2e-5)]
    [TestCase("llama-fp4-double", 2e-5)]
    public void Folder_GivesTheGoldenLogits(string name, double tolerance)
    {
        using var scope = torch.NewDisposeScope();
        var folder = Golden.Path("nf4", name);
        var warnings = new List<string>();
        var model = ModelFolder.Load(folder, warnings.Add, Architectures, device: TestDevice.Here);
        Assert.That(warnings, Is.Empty);
        Assert.That(model.Quantized.Keys.Select(k => k[..^".weight".Length]), Is.EquivalentTo(Golden.Json("nf4", name, "golden.json")["linear_modules_in_4_bit"]!.AsArray().Select(m => (string)m!)));
        using var golden = Golden.Tensors("nf4", name, "golden.safetensors");
        foreach (var part in golden.Tensors.Where(t => t.Name.StartsWith("dequant.", StringComparison.Ordinal)))
            Assert.That(QuantizedProduct.Full(model.Quantized[part.Name["dequant.".Length..] + ".weight"], torch.float32).cpu().equal(golden.Tensor(part.Name)), Is.True, part.Name);
        Assert.That(Logits(model, golden, golden.Tensor("logits")), Is.LessThanOrEqualTo(tolerance));
    }

    // Weights and arithmetic in bfloat16, as far as two orders of its roundings agree.
    [Test]
    public void Folder_InBfloat16_IsNearTheGolden()
    {
        using var scope = torch.NewDisposeScope();
        using var golden = Golden.Tensors("nf4", "llama-nf4-double", "golden.safetensors");
        var model = ModelFolder.Load(Golden.Path("nf4", "llama-nf4-double"), architectures: Architectures, dtype: torch.bfloat16, device: TestDevice.Here);
        var differs = (double)Golden.Json("nf4", "llama-nf4-double", "golden.json")["notes"]!["bf16_logits_differ_by"]!;
        Assert.That(Logits(model, golden, golden.Tensor("logits")), Is.LessThanOrEqualTo(2 * differs));
    }

    // transformers' own folder of these weights, byte for byte.
    [Test]
    public void Quantize_WritesTheSameWeightsFileAsTransformers()
    {
        using var scope = torch.NewDisposeScope();
        using var folder = new TemporaryFolder();
        var (from, to) = (Full(folder.Path), Path.Combine(folder.Path, "four"));
        var facts = QuantizedFolder.Write(to, from, new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions()), [], ModelArchitectures.BuiltIn);
        Assert.That((facts.Quantized, facts.Kept), Is.EqualTo((14, 0)));
        Assert.That(File.ReadAllBytes(Path.Combine(to, "model.safetensors")), Is.EqualTo(File.ReadAllBytes(Golden.Path("nf4", "llama-nf4-double", "model.safetensors"))));
        var config = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(Path.Combine(to, "config.json")))!["quantization_config"]!;
        Assert.That(config.ToJsonString(), Is.EqualTo(Golden.Json("nf4", "llama-nf4-double", "config.json")["quantization_config"]!.ToJsonString()));
    }

    [Test]
    public void Quantize_WhileLoading_IsTheFolder_AndSkipsWhatItIsTold()
    {
        using var scope = torch.NewDisposeScope();
        using var folder = new TemporaryFolder();
        var options = new FourBitOptions { Skip = ["down_proj", "model.layers.1"] };
        var from = Full(folder.Path);
        var loaded = ModelFolder.Load(from, quantization: new FourBitQuantization(FourBitCode.Nf4, options), device: TestDevice.Here);
        Assert.That(loaded.Quantized, Has.Count.EqualTo(6));
        var to = Path.Combine(folder.Path, "four");
        QuantizedFolder.Write(to, from, new FourBitQuantization(FourBitCode.Nf4, options), options.Skip, ModelArchitectures.BuiltIn);
        var read = ModelFolder.Load(to, architectures: Architectures, device: TestDevice.Here);
        Assert.That(read.Quantized.Keys, Is.EquivalentTo(loaded.Quantized.Keys));
        foreach (var (name, matrix) in loaded.Quantized)
            foreach (var (part, tensor) in matrix.Parts) Assert.That(read.Quantized[name].Parts[part].equal(tensor), Is.True, name + part);
        Assert.That(File.ReadAllText(Path.Combine(to, "config.json")), Does.Contain("lm_head").And.Contain("down_proj"));
        Assert.That(() => QuantizedFolder.Write(Path.Combine(folder.Path, "again"), to, new FourBitQuantization(FourBitCode.Nf4, options), [], Architectures), Throws.TypeOf<UserErrorException>().With.Message.Contains("quantised already"));
    }

    [Test]
    public void Quantize_KeepsAHeadThatConfigJsonSaysIsTied()
    {
        using var scope = torch.NewDisposeScope();
        using var folder = new TemporaryFolder();
        var (from, to, warnings) = (Full(folder.Path), Path.Combine(folder.Path, "four"), new List<string>());
        var plain = ModelFolder.Load(from, quantization: new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions()), device: TestDevice.Here);
        var config = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(Path.Combine(from, "config.json")))!;
        config["tie_word_embeddings"] = true;
        File.WriteAllText(Path.Combine(from, "config.json"), config.ToJsonString());
        QuantizedFolder.Write(to, from, new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions()), [], ModelArchitectures.BuiltIn, warn: warnings.Add);
        Assert.That(warnings.Single(), Does.Contain("tie_word_embeddings"));
        var read = ModelFolder.Load(to, warnings.Add, Architectures, device: TestDevice.Here);
        Assert.That((read.Spec.TiedHead, read.Head.equal(plain.Head), warnings.Count), Is.EqualTo((false, true, 1)));
    }

    [Test]
    public void Folder_WithoutAPluginForItsFormat_NamesIt() =>
        Assert.That(() => ModelFolder.Load(Golden.Path("nf4", "llama-nf4-double"), device: TestDevice.Here), Throws.TypeOf<UserErrorException>().With.Message.Contains("quantization_config").And.Message.Contains("peft.qlora"));

    [TestCase(".absmax")]
    [TestCase(".quant_map")]
    [TestCase(".nested_absmax")]
    [TestCase("")]
    public void Folder_ThatLacksAPart_IsRefused(string part)
    {
        using var scope = torch.NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var file = Golden.Tensors("nf4", "llama-nf4-double", "model.safetensors");
        var left = "model.layers.1.self_attn.k_proj.weight" + part;
        File.Copy(Golden.Path("nf4", "llama-nf4-double", "config.json"), Path.Combine(folder.Path, "config.json"));
        CheckpointFolder.Write(folder.Path, file.Tensors.Where(t => t.Name != left).Select(t => KeyValuePair.Create(t.Name, file.Tensor(t.Name))));
        Assert.That(() => ModelFolder.Load(folder.Path, architectures: Architectures, device: TestDevice.Here), Throws.TypeOf<UserErrorException>().With.Message.Contains("model.layers.1.self_attn.k_proj.weight"));
    }

    // What is merged is what the adapter was trained over: the decoded matrices, in the type they came from or the one asked for.
    [Test]
    public void Merge_WithoutChanges_WritesTheDecodedBase()
    {
        using var scope = torch.NewDisposeScope();
        using var folder = new TemporaryFolder();
        var (_, all, decoded) = AdapterMerge.Write(folder.Path, Golden.Path("nf4", "llama-nf4-double"), _ => [], Architectures, torch.float32);
        Assert.That(decoded, Is.EqualTo(14));
        var (plain, four) = (ModelFolder.Load(folder.Path, device: TestDevice.Here), ModelFolder.Load(Golden.Path("nf4", "llama-nf4-double"), architectures: Architectures, device: TestDevice.Here));
        foreach (var (name, matrix) in four.Quantized) Assert.That(plain.Weights[name].equal(QuantizedProduct.Full(matrix, torch.float32)), Is.True, name);
        Assert.That(all, Is.EqualTo(plain.Weights.Count));
    }

    internal static double Logits(DecoderModel model, SafetensorsFile golden, Tensor expected)
    {
        using var off = torch.no_grad();
        var (ids, mask) = (golden.Tensor("input_ids"), golden.Tensor("attention_mask"));
        var rows = Enumerable.Range(0, (int)ids.size(0)).Select(b =>
        {
            var kept = mask.select(0, b).data<long>().ToArray();
            return ids.select(0, b).data<long>().ToArray().Where((_, t) => kept[t] == 1).Select(id => (int)id).ToArray();
        }).ToList();
        var ours = new LogProbEngine(model).Logits([.. rows.Select(row => new CompletionGroup(row, [Completion.Of([1])]))], ForwardMode.Plain);
        return ours.Select((logits, b) =>
        {
            var from = Array.IndexOf(mask.select(0, b).data<long>().ToArray(), 1L);
            return Golden.Worst(logits.to(torch.float32), expected.select(0, b).narrow(0, from, logits.size(0)));
        }).Max();
    }

    // The golden model before it was quantised.
    internal static string Full(string folder)
    {
        var from = Directory.CreateDirectory(Path.Combine(folder, "full")).FullName;
        File.Copy(Golden.Path("nf4", "llama-nf4-double", "original.safetensors"), Path.Combine(from, "model.safetensors"));
        var config = Golden.Json("nf4", "llama-nf4-double", "config.json");
        config.Remove("quantization_config");
        File.WriteAllText(Path.Combine(from, "config.json"), config.ToJsonString());
        return from;
    }
}
