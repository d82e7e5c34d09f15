// Tiny models of every family made with transformers, with switches that the larger reference set leaves alone: biases, partial
// rotation, windows in some layers, caps switched off, heads of other kinds. They run everywhere.

using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Tests.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class ArchitectureFixtureTests : ScopedTest
{
    private const double Tolerance = 1e-4;

    private static string Folder(string name) => Checkout.Fixture("architectures", name);

    [TestCase("llama-biases")]
    [TestCase("llama-yarn-mscale")]
    [TestCase("mistral")]
    [TestCase("qwen2-windows")]
    [TestCase("qwen3")]
    [TestCase("gemma2")]
    [TestCase("phi3-partial")]
    [TestCase("gpt2")]
    [TestCase("gpt-neo")]
    public void Decoders(string name)
    {
        using var golden = GoldenFolder.Expected(Folder(name));
        var warnings = new List<string>();
        var model = ModelFolder.Load(Folder(name), warnings.Add, device: TestDevice.Here);
        Assert.That(warnings, Is.Empty);
        foreach (var (row, logits) in Rows(golden.Tensor("input_ids"), golden.Tensor("logits")))
            Assert.That(Tiny.Worst(GoldenFolder.Logits(model, row), logits), Is.LessThan(Tolerance));
    }

    [TestCase("roberta")]
    [TestCase("deberta-own-keys")]
    [TestCase("deberta-far")]
    [TestCase("llama-score")]
    [TestCase("gpt2-score")]
    [TestCase("gemma2-score")]
    public void SequenceClassifiers(string name)
    {
        using var golden = GoldenFolder.Expected(Folder(name));
        var warnings = new List<string>();
        var model = ClassifierFolder.Load(Folder(name), warnings.Add, device: TestDevice.Here);
        Assert.That(warnings, Is.Empty);
        var rows = Rows(golden.Tensor("input_ids"), golden.Tensor("logits")).ToList();
        Assert.That(rows[0].Row[^1], Is.Zero, "a row that ends with the padding id");
        var scores = model.Score([.. rows.Select(r => r.Row)]);
        foreach (var (score, (_, logits)) in scores.Zip(rows)) Assert.That(score, Is.EqualTo(logits.data<float>().ToArray().Select(v => (double)v)).Within(Tolerance));
        // A shorter row beside them changes nothing.
        var among = model.Score([rows[1].Row, rows[0].Row[..5], rows[0].Row]);
        Assert.That(among[0], Is.EqualTo(scores[1]).Within(1e-5));
        Assert.That(among[2], Is.EqualTo(scores[0]).Within(1e-5));
    }

    // The hub's GPT-2 lacks the prefix of the base model and holds the masks of its attention.
    [Test]
    public void Names_without_the_prefix_and_tables_of_old_files_are_read()
    {
        var folder = Shared.Scratch();
        Shared.Copy(Folder("gpt2"), folder);
        using (var file = Models.Checkpoints.SafetensorsFile.Open(Path.Combine(Folder("gpt2"), "model.safetensors")))
        {
            var renamed = file.Tensors.ToDictionary(t => t.Name["transformer.".Length..], t => file.Tensor(t.Name));
            renamed["h.0.attn.bias"] = torch.ones([1, 1, 32, 32]);
            Models.Checkpoints.CheckpointFolder.Write(folder, renamed);
        }
        var warnings = new List<string>();
        var (before, now) = (ModelFolder.Load(Folder("gpt2"), device: TestDevice.Here), ModelFolder.Load(folder, warnings.Add, device: TestDevice.Here));
        Assert.That(warnings, Is.Empty);
        Assert.That(Tiny.Worst(GoldenFolder.Logits(now, [3, 5, 8]), GoldenFolder.Logits(before, [3, 5, 8])), Is.Zero);
    }

    private static IEnumerable<(int[] Row, Tensor Logits)> Rows(Tensor ids, Tensor logits) =>
        Enumerable.Range(0, (int)ids.size(0)).Select(b => (ids.select(0, b).data<long>().ToArray().Select(i => (int)i).ToArray(), logits.select(0, b)));
}
