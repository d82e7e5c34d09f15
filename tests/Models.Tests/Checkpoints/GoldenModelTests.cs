// The reference model folders: every header, every configuration, and the writer's bytes against the library's.

using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class GoldenModelTests
{
    private static readonly string[] Models =
    [
        "llama", "llama3-gqa-tied", "llama-sharded", "mistral-window", "mistral-full", "qwen2", "qwen3", "gemma2", "phi3", "gpt2", "gpt-neo",
        "roberta-reward", "roberta-toxicity", "deberta-v3-reward",
    ];

    [TestCaseSource(nameof(Models))]
    public void EveryTensorIsReadAndFinite(string model)
    {
        var folder = Shared.Golden("models", model);
        var config = ModelConfig.Open(folder);
        using var checkpoint = CheckpointFolder.Open(folder);
        Assert.That(checkpoint.Warnings, Is.Empty);
        Assert.That(config.HeadDim * config.HeadCount, Is.GreaterThan(0));
        foreach (var stored in checkpoint.Tensors)
        {
            using var scope = torch.NewDisposeScope();
            var tensor = checkpoint.Tensor(stored.Name);
            Assert.That(tensor.shape, Is.EqualTo(stored.Shape));
            Assert.That(tensor.dtype, Is.EqualTo(stored.DType));
            Assert.That(tensor.isfinite().all().ToBoolean(), stored.Name);
        }
    }

    [TestCaseSource(nameof(Models))]
    public void WritingAgainGivesTheSameBytes(string model)
    {
        var folder = Shared.Golden("models", model);
        foreach (var path in Directory.EnumerateFiles(folder, "*.safetensors"))
        {
            using var file = SafetensorsFile.Open(path);
            var copy = Path.Combine(Shared.Scratch(), "x.safetensors");
            SafetensorsWriter.Write(copy, file.Tensors.Reverse().Select(t => KeyValuePair.Create(t.Name, file.Tensor(t.Name))), file.Metadata);
            Assert.That(File.ReadAllBytes(copy).AsSpan().SequenceEqual(File.ReadAllBytes(path)), path);
        }
    }

    [Test]
    public void EveryReferenceFileOpens()
    {
        var root = Shared.Golden();
        var files = Directory.EnumerateFiles(root, "*.safetensors", SearchOption.AllDirectories).Where(f => !f.Contains("badfiles")).ToList();
        Assert.That(files, Has.Count.GreaterThan(20));
        foreach (var path in files)
        {
            using var file = SafetensorsFile.Open(path);
            foreach (var stored in file.Tensors) file.Tensor(stored.Name).Dispose();
        }
        foreach (var path in Directory.EnumerateFiles(root, "config.json", SearchOption.AllDirectories).Where(f => !f.Contains("badfiles")))
            Assert.That(ModelConfig.Open(path).ModelType, Is.Not.Empty, path);
    }
}
