// A base that is quantised while it is read, and a folder that is: the pages of the full matrices are let go as each is done; and what is said of
// the bytes of both.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora.Tests;

public sealed class QuantisedPagesTests
{
    [Test]
    public void Pages_of_what_was_quantised_are_let_go()
    {
        using var scope = torch.NewDisposeScope();
        using var folder = new TemporaryFolder();
        using var target = new TemporaryFolder();
        ModelFolder.Initialise(folder.Path, "llama", new JsonObject { ["vocab_size"] = 64, ["hidden_size"] = 512, ["intermediate_size"] = 1024, ["num_hidden_layers"] = 2, ["num_attention_heads"] = 8 }, seed: 1);
        var nf4 = new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions());
        var whole = new FileInfo(Path.Combine(folder.Path, "model.safetensors")).Length;
        // Embedding, head and norms stay in the mapped file, and are not read here.
        var model = ModelFolder.Load(folder.Path, quantization: nf4);
        Assert.That(model.Quantized, Has.Count.EqualTo(14));
        Assert.That(MappedPages.Resident(folder.Path), Is.LessThan(whole / 10));
        var most = 0L;
        QuantizedFolder.Write(target.Path, folder.Path, nf4, [], ModelArchitectures.BuiltIn, (_, _) => most = Math.Max(most, MappedPages.Resident(folder.Path)));
        Assert.That(most, Is.LessThan(whole / 4));
        foreach (var matrix in model.Quantized.Values) matrix.Dispose();
    }

    // What reads images is copied as it is, and is part of the folder's weights.
    [Test]
    public void The_bytes_that_are_told_are_those_of_both_parts()
    {
        using var scope = torch.NewDisposeScope();
        using var target = new TemporaryFolder();
        var from = Golden.Path("families", "gemma3-images", "base-model");
        var nf4 = new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions());
        var facts = QuantizedFolder.Write(target.Path, from, nf4, [], ModelArchitectures.BuiltIn);
        using var before = CheckpointFolder.Open(from);
        using var after = CheckpointFolder.Open(target.Path);
        Assert.That(facts.Before, Is.EqualTo(before.Names.Sum(name => before.Find(name).Bytes)));
        var model = ModelFolder.Load(from, quantization: nf4);
        var whole = before.Names.Where(name => after.Contains(name) && after.Find(name).DType == before.Find(name).DType).ToList();
        Assert.That(whole, Has.Some.StartsWith("vision_tower."));
        Assert.That(facts.After, Is.EqualTo(whole.Sum(name => after.Find(name).Bytes) + model.Quantized.Values.Sum(matrix => matrix.Bytes)));
        foreach (var matrix in model.Quantized.Values) matrix.Dispose();
    }

    [Test]
    public void Weights_that_no_memory_holds_even_quantised_are_told_as_that()
    {
        var (weight, stored) = (new WeightSpec("layer.weight", [1L << 30, 1L << 20], WeightRole.Matrix), new StoredTensor("layer.weight", torch.bfloat16, [1L << 30, 1L << 20], "file"));
        var nf4 = new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions());
        Assert.That(() => WeightsInMemory.ThrowIfTooMany("folder", [weight], _ => stored, null, nf4), Throws.TypeOf<UserErrorException>().With.Message.StartsWith("folder: quantised, its weights take 562950.0 GB of memory, and this machine has"));
        Assert.That(() => WeightsInMemory.ThrowIfTooMany("folder", [weight], _ => stored, torch.float32, null), Throws.TypeOf<UserErrorException>().With.Message.StartsWith("folder: as float32 its weights take"));
    }
}
