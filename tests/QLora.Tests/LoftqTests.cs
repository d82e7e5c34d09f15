// LoftQ's start: what a product of the rank can make up for of what quantising lost (golden/peft/inits, one alternation).

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
        var four = ModelFolder.Load(Golden.Path("nf4", "llama-nf4-double"), architectures: ModelGoldenTests.Architectures);
        Assert.That(() => Adapter(6).Attach(four.Outline("four"), 1), Throws.TypeOf<UserErrorException>().With.Message.Contains("unquantised").And.Message.Contains("nf4"));
        Assert.That(() => Adapter(6).Attach(ModelFolder.Load(Golden.Path("peft", "base-llama")).Outline("full"), 1), Throws.TypeOf<UserErrorException>().With.Message.Contains("unquantised"));
    }

    [Test]
    public void Start_DoesNotGoWithDora()
    {
        using var scope = torch.NewDisposeScope();
        var dora = PluginParts.Make<IPeftAdapter, LoraOptions>(new LoraPlugin(), "lora", new LoraOptions { Init = "loftq", UseDora = true });
        Assert.That(() => dora.Attach(Base().Outline("base"), 1), Throws.TypeOf<UserErrorException>().With.Message.Contains("use_dora"));
    }

    private static DecoderModel Base() => ModelFolder.Load(Golden.Path("peft", "base-llama"), quantization: new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions { DoubleQuant = false }));

    private static IPeftAdapter Adapter(double alpha, int rank = 4, string[]? targets = null) =>
        PluginParts.Make<IPeftAdapter, LoraOptions>(new LoraPlugin(), "lora", new LoraOptions { Init = "loftq", Rank = rank, Alpha = alpha, Targets = [.. targets ?? Modules] });
}
