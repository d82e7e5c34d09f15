// Folders of weights: sharding, indexes, which file counts, and the comparison with what a configuration asks for.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class CheckpointFolderTests
{
    private static List<KeyValuePair<string, Tensor>> Tensors(params (string Name, int Floats)[] tensors) =>
        [.. tensors.Select(t => KeyValuePair.Create(t.Name, torch.arange(t.Floats, torch.ScalarType.Float32)))];

    private static string[] Files(string folder) => [.. Directory.GetFiles(folder).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];

    // 40-byte shards: a (24) and b (16) fill one, c (400) is one by itself, d (8) goes on after b would overflow: rule of transformers.
    [Test]
    public void ShardsAreDividedAsTransformersDividesThem()
    {
        using var scope = torch.NewDisposeScope();
        var folder = Shared.Scratch();
        CheckpointFolder.Write(folder, Tensors(("a", 6), ("b", 4), ("c", 100), ("d", 2)), maxShardBytes: 40);
        Assert.That(Files(folder), Is.EqualTo((string[])["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors", "model.safetensors.index.json"]));
        var index = JsonDocument.Parse(File.ReadAllText(Path.Combine(folder, "model.safetensors.index.json"))).RootElement;
        Assert.That(index.GetProperty("metadata").GetProperty("total_size").GetInt64(), Is.EqualTo(448));
        using var back = CheckpointFolder.Open(folder);
        Assert.That(back.Names, Is.EquivalentTo((string[])["a", "b", "c", "d"]));
        Assert.That(Path.GetFileName(back.Find("a").File), Is.EqualTo(Path.GetFileName(back.Find("b").File)));
        Assert.That(back.Tensor("c", 100).data<float>().ToArray(), Is.EqualTo(Enumerable.Range(0, 100).Select(k => (float)k)));
    }

    [Test]
    public void WritingAgainRemovesTheEarlierFiles()
    {
        using var scope = torch.NewDisposeScope();
        var folder = Shared.Scratch();
        File.WriteAllText(Path.Combine(folder, "config.json"), "{}");
        CheckpointFolder.Write(folder, Tensors(("a", 6), ("b", 6)), maxShardBytes: 24);
        CheckpointFolder.Write(folder, Tensors(("a", 6), ("b", 6)));
        Assert.That(Files(folder), Is.EqualTo((string[])["config.json", "model.safetensors"]));
        CheckpointFolder.Write(folder, Tensors(("a", 6), ("b", 6), ("c", 6)), maxShardBytes: 24);
        Assert.That(Files(folder), Has.Length.EqualTo(5));
        using var back = CheckpointFolder.Open(folder);
        Assert.That(back.Names, Has.Count.EqualTo(3));
    }

    [Test]
    public void ATensorInTwoShardsCountsWhereTheIndexSays()
    {
        using var scope = torch.NewDisposeScope();
        var folder = Directory.CreateDirectory(Path.Combine(Shared.Scratch(), new string('f', 200))).FullName; // of a long path the name is told all the same
        SafetensorsWriter.Write(Path.Combine(folder, "1.safetensors"), [KeyValuePair.Create("a", torch.zeros(2)), KeyValuePair.Create("b", torch.zeros(2))]);
        SafetensorsWriter.Write(Path.Combine(folder, "2.safetensors"), [KeyValuePair.Create("a", torch.ones(2))]);
        var index = Path.Combine(folder, "model.safetensors.index.json");
        File.WriteAllText(index, """{"weight_map":{"a":"2.safetensors","b":"1.safetensors"}}""");
        using (var good = CheckpointFolder.Open(folder)) Assert.That(good.Tensor("a").sum().ToSingle(), Is.EqualTo(2));
        SafetensorsWriter.Write(Path.Combine(folder, "2.safetensors"), [KeyValuePair.Create("a", torch.ones(2)), KeyValuePair.Create("c", torch.ones(2))]);
        SafetensorsWriter.Write(Path.Combine(folder, "1.safetensors"), [KeyValuePair.Create("c", torch.zeros(2)), KeyValuePair.Create("b", torch.zeros(2))]);
        Assert.That(Assert.Throws<UserErrorException>(() => CheckpointFolder.Open(folder).Dispose())!.Message, Does.Contain("'c'").And.Contain("1.safetensors").And.Contain("2.safetensors"));
    }

    [TestCase("../x.safetensors")]
    [TestCase("sub/x.safetensors")]
    [TestCase("..")]
    [TestCase("")]
    [TestCase("a\\u0000b")]
    [TestCase("C:x")]
    public void AShardMustBeAFileOfTheFolder(string shard)
    {
        var folder = Shared.Scratch();
        Directory.CreateDirectory(Path.Combine(folder, "sub"));
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), "{\"weight_map\":{\"a\":\"" + shard + "\"}}");
        Assert.That(Assert.Throws<UserErrorException>(() => CheckpointFolder.Open(folder).Dispose())!.Message, Does.Contain("plain file name"));
    }

    [Test]
    public void AFolderWithoutWeightsSaysWhatItHolds()
    {
        var folder = Shared.Scratch();
        File.WriteAllText(Path.Combine(folder, "model.gguf"), "x");
        Assert.That(Assert.Throws<UserErrorException>(() => CheckpointFolder.Open(folder).Dispose())!.Message, Does.Contain("model.safetensors").And.Contain("model.gguf"));
        Assert.That(Assert.Throws<UserErrorException>(() => CheckpointFolder.Open(folder + "-no").Dispose())!.Message, Does.Contain("no such folder"));
    }

    [Test]
    public void ShapesAndMissingTensorsAreAllCounted()
    {
        using var scope = torch.NewDisposeScope();
        var folder = Shared.Scratch();
        CheckpointFolder.Write(folder, Tensors(("a", 6), ("b", 4), ("extra", 1)));
        using var weights = CheckpointFolder.Open(folder);
        var wrong = Assert.Throws<UserErrorException>(() => weights.Require(new Dictionary<string, long[]> { ["a"] = [7], ["b"] = [2, 2] }))!.Message;
        Assert.That(wrong, Does.Contain("2 of 2").And.Contain("'a' is [6] and should be [7]").And.Contain("'b' is [4] and should be [2, 2]"));
        var missing = Assert.Throws<UserErrorException>(() => weights.Require(new Dictionary<string, long[]> { ["a"] = [6], ["z"] = [1] }))!.Message;
        Assert.That(missing, Does.Contain("1 of 2").And.Contain("'z'"));
        weights.Require(new Dictionary<string, long[]> { ["a"] = [6], ["b"] = [4] }, name => name == "extra");
        Assert.That(weights.Warnings, Is.Empty);
        weights.Require(new Dictionary<string, long[]> { ["a"] = [6], ["b"] = [4] });
        Assert.That(weights.Warnings.Single(), Does.Contain("1 of 3").And.Contain("'extra'"));
        Assert.That(Assert.Throws<UserErrorException>(() => weights.Tensor("a", 3, 2))!.Message, Does.Contain("[6]").And.Contain("[3, 2]"));
    }

    [TestCase(torch.ScalarType.Float32)]
    [TestCase(torch.ScalarType.Float64)]
    [TestCase(torch.ScalarType.Float16)]
    [TestCase(torch.ScalarType.BFloat16)]
    public void NumbersThatAreNoneAreCounted(torch.ScalarType type)
    {
        using var scope = torch.NewDisposeScope();
        var folder = Shared.Scratch();
        var values = Enumerable.Range(-50, 101).Select(k => (float)k).ToArray();
        (values[3], values[77], values[100]) = (float.NaN, float.PositiveInfinity, float.NegativeInfinity);
        CheckpointFolder.Write(folder, [KeyValuePair.Create("bad", torch.tensor(values).to(type)), KeyValuePair.Create("good", torch.full([70], type == torch.ScalarType.Float16 ? 65504 : 3e38, type)), KeyValuePair.Create("whole", torch.full([9], -1, torch.ScalarType.Int64))]);
        using var weights = CheckpointFolder.Open(folder);
        Assert.That(weights.CountNonFinite("bad"), Is.EqualTo(3));
        Assert.That(weights.CountNonFinite("good"), Is.Zero);
        Assert.That(weights.CountNonFinite("whole"), Is.Zero);
    }
}
