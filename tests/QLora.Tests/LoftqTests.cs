// LoftQ's start: what a product of the rank can make up for of what quantising lost; and the pairs of base and adapter that more
// alternations make (golden/peft/inits: one and five).

using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Decoders;
using PeftAlign.Peft.Lora;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora.Tests;

public class LoftqTests
{
    private static readonly string[] Modules = ["self_attn.q_proj", "mlp.down_proj"];

    [TestCase(6)]
    [TestCase(4)]
    public void Start_IsTheGoldens_WhateverTheScale(double alpha)
    {
        using var scope = torch.NewDisposeScope();
        using var golden = Golden.Tensors("peft", "inits", "golden.safetensors");
        var model = Base();
        var sites = Adapter(alpha).Attach(model.Outline("base"), 1);
        Assert.That(sites, Has.Count.EqualTo(4));
        foreach (var site in sites)
        {
            var (low, name) = ((LowRank)site.Delta, $"loftq1.{site.Module}");
            Assert.That(QuantizedProduct.Full(model.Quantized[site.Module + ".weight"], torch.float32).equal(golden.Tensor(name + ".base")), Is.True, "the base is plain NF4");
            Assert.That(Golden.Worst(low.B.mm(low.A) * low.Scale, golden.Tensor(name + ".BA")), Is.LessThanOrEqualTo(1e-5), site.Module);
        }
    }

    // With all directions nothing of the loss stays: the model is the unquantised one.
    [Test]
    public void Start_OfFullRank_GivesTheUnquantisedModel()
    {
        using var scope = torch.NewDisposeScope();
        var model = Base();
        var sites = Adapter(32, rank: 32, targets: ["q_proj"]).Attach(model.Outline("base"), 1);
        foreach (var site in sites)
        {
            var low = (LowRank)site.Delta;
            var whole = QuantizedProduct.Full(model.Quantized[site.Module + ".weight"], torch.float32) + low.B.mm(low.A) * low.Scale;
            Assert.That(Golden.Worst(whole, model.Outline("base").Modules.Single(m => m.Name == site.Module).Unquantized()!), Is.LessThanOrEqualTo(1e-5));
        }
    }

    // What quantize --loftq-rank writes: base and product are the goldens', the other matrices plain NF4.
    [TestCase(1)]
    [TestCase(5)]
    public void Pair_IsTheGoldens(int iterations)
    {
        using var scope = torch.NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var golden = Golden.Tensors("peft", "inits", "golden.safetensors");
        var adapter = Adapter(6);
        var (facts, files) = LoftqFolder.Write(folder.Path, Golden.Path("peft", "base-llama"), "four", Single, [], ModelArchitectures.BuiltIn, adapter, iterations);
        var (read, plain) = (ModelFolder.Load(folder.Path, architectures: ModelGoldenTests.Architectures, device: TestDevice.Here), Base());
        var sites = adapter.Load(read.Outline("four"), files);
        Assert.That(sites, Has.Count.EqualTo(4).And.Count.EqualTo(facts.Modules));
        foreach (var site in sites)
        {
            var (low, name, parts) = ((LowRank)site.Delta, $"loftq{iterations}.{site.Module}", read.Quantized[site.Module + ".weight"].Parts);
            Assert.That(parts[""].equal(golden.Tensor(name + ".packed")), Is.True, name + ": codes");
            Assert.That(Golden.Worst(parts[".absmax"], golden.Tensor(name + ".absmax")), Is.LessThanOrEqualTo(iterations == 1 ? 0 : 1e-6), name + ": factors");
            Assert.That(Golden.Worst(low.B.mm(low.A) * low.Scale, golden.Tensor(name + ".BA")), Is.LessThanOrEqualTo(1e-5), name);
        }
        foreach (var (name, matrix) in plain.Quantized.Where(q => !sites.Any(s => q.Key == s.Module + ".weight")))
            Assert.That(matrix.Parts[""].equal(read.Quantized[name].Parts[""]), Is.True, name);
        var lengths = Golden.Json("peft", "inits", "golden.json")[$"loftq{iterations}"]!["modules"]!.AsObject().Select(m => (double)m.Value!["|W - Q - BA|_F"]!);
        Assert.That(facts.Left, Is.EqualTo(Math.Sqrt(lengths.Sum(length => length * length))).Within(0.001).Percent);
        Assert.That((string)files.Config["base_model_name_or_path"]!, Is.EqualTo("four"));
    }

    // Weights in bfloat16 stay what the quantisation's state says they were, and more turns leave less; skipped layers stay.
    [Test]
    public void Pair_OfANarrowModel_ComesNearerWithEachTurn()
    {
        using var scope = torch.NewDisposeScope();
        using var folder = new TemporaryFolder();
        var from = ModelGoldenTests.Full(folder.Path);
        var options = new FourBitOptions { Skip = ["v_proj"] };
        var left = new[] { 1, 2, 6 }.Select(iterations =>
        {
            var to = Path.Combine(folder.Path, $"four-{iterations}");
            var (facts, files) = LoftqFolder.Write(to, from, to, new FourBitQuantization(FourBitCode.Nf4, options), options.Skip, ModelArchitectures.BuiltIn, Adapter(8, rank: 8, targets: ["q_proj", "down_proj"]), iterations);
            var model = ModelFolder.Load(to, architectures: ModelGoldenTests.Architectures, device: TestDevice.Here);
            Assert.That(model.Quantized.Values.Select(m => m.StoredType), Is.All.EqualTo(torch.bfloat16));
            Assert.That(model.Weights.Keys.Count(k => k.EndsWith("v_proj.weight", StringComparison.Ordinal)), Is.EqualTo(2));
            Assert.That(files.Tensors.Values.Select(t => t.dtype), Is.All.EqualTo(torch.float32));
            Assert.That(facts.Left, Is.LessThan(facts.Lost));
            return facts.Left;
        }).ToList();
        Assert.That(left, Is.Ordered.Descending);
    }

    [Test]
    public void Pair_RefusesWhatItCannotMakeUpFor()
    {
        using var scope = torch.NewDisposeScope();
        using var folder = new TemporaryFolder();
        void Write(string from, params string[] targets) => LoftqFolder.Write(folder.Path, from, "four", Single, [], ModelGoldenTests.Architectures, Adapter(4, targets: targets), 2);
        Assert.That(() => Write(Golden.Path("peft", "base-llama"), "lm_head"), Throws.TypeOf<UserErrorException>().With.Message.Contains("lm_head").And.Message.Contains("not quantised"));
        Assert.That(() => Write(Golden.Path("peft", "base-llama"), "embed_tokens"), Throws.TypeOf<UserErrorException>().With.Message.Contains("embed_tokens").And.Message.Contains("not quantised"));
        Assert.That(() => Write(Golden.Path("nf4", "llama-nf4-double"), "q_proj"), Throws.TypeOf<UserErrorException>().With.Message.Contains("quantization_config").And.Message.Contains("full weights"));
        Assert.That(Directory.EnumerateFileSystemEntries(folder.Path), Is.Empty);
    }

    [Test]
    public void MoreTurns_AreNoTrainings()
    {
        using var scope = torch.NewDisposeScope();
        var five = PluginParts.Make<IPeftAdapter, LoraOptions>(new LoraPlugin(), "lora", new LoraOptions { Init = "loftq", LoftqIter = 5 });
        Assert.That(() => five.Attach(Base().Outline("base"), 1), Throws.TypeOf<UserErrorException>().With.Message.Contains("quantize").And.Message.Contains("--loftq-iter 5").And.Message.Contains("init_adapter"));
    }

    // Its folder is any LoRA folder: read over the same quantised base it needs nothing else.
    [Test]
    public void Folder_IsAPlainPair()
    {
        using var scope = torch.NewDisposeScope();
        var (outline, adapter) = (Base().Outline("base"), Adapter(6));
        var sites = adapter.Attach(outline, 1);
        var files = adapter.Save(outline, sites);
        Assert.That((bool)files.Config["init_lora_weights"]!, Is.True);
        foreach (var (made, read) in sites.Zip(adapter.Load(outline, files)))
            foreach (var (role, tensor) in made.Delta.Parameters) Assert.That(read.Delta.Parameters[role].equal(tensor), Is.True, made.Module);
    }

    [Test]
    public void Start_NeedsTheFullWeights()
    {
        using var scope = torch.NewDisposeScope();
        var four = ModelFolder.Load(Golden.Path("nf4", "llama-nf4-double"), architectures: ModelGoldenTests.Architectures, device: TestDevice.Here);
        Assert.That(() => Adapter(6).Attach(four.Outline("four"), 1), Throws.TypeOf<UserErrorException>().With.Message.Contains("unquantised").And.Message.Contains("nf4"));
        Assert.That(() => Adapter(6).Attach(ModelFolder.Load(Golden.Path("peft", "base-llama"), device: TestDevice.Here).Outline("full"), 1), Throws.TypeOf<UserErrorException>().With.Message.Contains("unquantised"));
    }

    [Test]
    public void Start_DoesNotGoWithDora()
    {
        using var scope = torch.NewDisposeScope();
        var dora = PluginParts.Make<IPeftAdapter, LoraOptions>(new LoraPlugin(), "lora", new LoraOptions { Init = "loftq", UseDora = true });
        Assert.That(() => dora.Attach(Base().Outline("base"), 1), Throws.TypeOf<UserErrorException>().With.Message.Contains("use_dora"));
    }

    private static FourBitQuantization Single => new(FourBitCode.Nf4, new FourBitOptions { DoubleQuant = false });

    private static DecoderModel Base() => ModelFolder.Load(Golden.Path("peft", "base-llama"), quantization: Single, device: TestDevice.Here);

    private static IPeftAdapter Adapter(double alpha, int rank = 4, string[]? targets = null) =>
        PluginParts.Make<IPeftAdapter, LoraOptions>(new LoraPlugin(), "lora", new LoraOptions { Init = "loftq", Rank = rank, Alpha = alpha, Targets = [.. targets ?? Modules] });
}
