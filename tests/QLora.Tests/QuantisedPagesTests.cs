// A base that is quantised while it is read, and a folder that is: the pages of the full matrices are let go as each is done.

using System.Text.Json.Nodes;
using PeftAlign.Models;
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
}
