// RoBERTa and DeBERTa V3 classifiers against transformers: logits, gradients, and rows alone against rows in a batch.

using PeftAlign.Abstractions;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Tests.Checkpoints;
using PeftAlign.Models.Tests.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Classifiers;

public sealed class ClassifierGoldenTests : ScopedTest
{
    private const double Tolerance = 1e-4;

    private static readonly string[] Folders = ["roberta-reward", "roberta-toxicity", "deberta-v3-reward"];

    [TestCaseSource(nameof(Folders))]
    public void Logits(string name)
    {
        var folder = Shared.Golden("models", name);
        using var golden = new GoldenFolder(folder);
        var warnings = new List<string>();
        var model = ClassifierFolder.Load(folder, warnings.Add, device: TestDevice.Here);
        Assert.That(warnings, Is.Empty);
        var expected = golden.Tensor("logits");
        Assert.That(model.Labels, Is.EqualTo(expected.size(1)));
        var rows = golden.Rows();
        var scores = model.Score(rows);
        for (var b = 0; b < rows.Length; b++)
        {
            Assert.That(scores[b], Is.EqualTo(expected.select(0, b).data<float>().ToArray().Select(v => (double)v)).Within(Tolerance), $"row {b}");
            Assert.That(model.Score([rows[b]])[0], Is.EqualTo(scores[b]).Within(1e-5), $"row {b} alone");
        }
        Assert.That(model.Score([.. rows.Reverse()]).Reverse().SelectMany(s => s), Is.EqualTo(scores.SelectMany(s => s)).Within(1e-5), "the order of rows");
    }

    [TestCaseSource(nameof(Folders))]
    public void Gradients(string name)
    {
        var folder = Shared.Golden("models", name);
        using var golden = new GoldenFolder(folder);
        var model = ClassifierFolder.Load(folder, device: TestDevice.Here);
        foreach (var (weight, tensor) in model.Weights.ToList()) model.SetWeight(weight, tensor.detach().clone().requires_grad_());
        var logits = model.Logits(golden.Rows());
        (logits.select(1, model.Labels - 1) * torch.tensor(new float[] { 1, -0.5f, 0.25f }, device: TestDevice.Here)).sum().backward();
        using var expected = GoldenFolder.Expected(folder);
        var whole = expected.Tensors.Select(t => t.Name).Where(n => n.StartsWith("grad.", StringComparison.Ordinal)).ToList();
        Assert.That(whole, Has.Count.EqualTo(3));
        foreach (var tensor in whole)
        {
            var reference = golden.Tensor(tensor);
            Assert.That(Tiny.Worst(model.Weights[tensor["grad.".Length..]].grad!, reference), Is.LessThanOrEqualTo(Tolerance * reference.abs().max().item<float>()), tensor);
        }
        foreach (var norm in golden.Json.GetProperty("grad_norm").EnumerateObject())
        {
            var value = norm.Value.GetDouble();
            // Gradients that are nothing but rounding (a key's bias shifts all scores alike) have no digits to compare.
            Assert.That(model.Weights[norm.Name].grad!.norm().item<double>(), Is.EqualTo(value).Within(Math.Max(1e-5, Tolerance * value)), norm.Name);
        }
    }

    [Test]
    public void Rows_that_the_model_cannot_take_are_refused()
    {
        var model = ClassifierFolder.Load(Shared.Golden("models", "roberta-reward"), device: TestDevice.Here);
        Assert.That(() => model.Score([[]]), Throws.TypeOf<UserErrorException>().With.Message.Contains("no token"));
        Assert.That(() => model.Score([[0, 128]]), Throws.TypeOf<UserErrorException>().With.Message.Contains("128"));
        Assert.That(() => model.Score([new int[65]]), Throws.TypeOf<UserErrorException>().With.Message.Contains("64"));
        Assert.That(() => ClassifierFolder.Load(Shared.Golden("models", "llama"), device: TestDevice.Here), Throws.TypeOf<UserErrorException>().With.Message.Contains("ForSequenceClassification"));
    }
}
