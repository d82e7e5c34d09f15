// pytorch_model.bin as PyTorch 2.13 wrote it (Fixtures/README.md): numbers, views and sharing are right, and whatever is
// not a tensor is refused by name, without being run.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class PickleTests
{
    private static CheckpointFolder Open(string name) => CheckpointFolder.Open(Shared.Fixture("pickles", name));

    private static float[] Floats(Tensor tensor) => tensor.to(torch.ScalarType.Float32).contiguous().data<float>().ToArray();

    [Test]
    public void ViewsHaveTheirNumbers()
    {
        using var scope = torch.NewDisposeScope();
        using var file = Open("kinds.bin");
        float[] all = [.. Enumerable.Range(0, 24).Select(k => (float)k)];
        Assert.That(Floats(file.Tensor("whole", 4, 6)), Is.EqualTo(all));
        Assert.That(Floats(file.Tensor("transposed", 6, 4)), Is.EqualTo(all.OrderBy(v => v % 6).ThenBy(v => v)));
        Assert.That(Floats(file.Tensor("part", 2, 3)), Is.EqualTo((float[])[8, 9, 10, 14, 15, 16]));
        Assert.That(Floats(file.Tensor("every_second", 12)), Is.EqualTo(all.Where(v => v % 2 == 1)));
        Assert.That(Floats(file.Tensor("parameter", 2)), Is.EqualTo((float[])[1, -2]));
        Assert.That(file.Tensor("scalar").ToSingle(), Is.EqualTo(2.5f));
        Assert.That(file.Tensor("empty").shape, Is.EqualTo((long[])[0, 3]));
    }

    [TestCase("f64", torch.ScalarType.Float64)]
    [TestCase("f16", torch.ScalarType.Float16)]
    [TestCase("bf16", torch.ScalarType.BFloat16)]
    [TestCase("i64", torch.ScalarType.Int64)]
    [TestCase("i32", torch.ScalarType.Int32)]
    [TestCase("i16", torch.ScalarType.Int16)]
    [TestCase("i8", torch.ScalarType.Int8)]
    [TestCase("u8", torch.ScalarType.Byte)]
    [TestCase("bool", torch.ScalarType.Bool)]
    [TestCase("c64", torch.ScalarType.ComplexFloat32)]
    public void EveryElementTypeIsRead(string name, torch.ScalarType type)
    {
        using var scope = torch.NewDisposeScope();
        using var file = Open("kinds.bin");
        var tensor = file.Tensor("as_" + name);
        Assert.That(tensor.dtype, Is.EqualTo(type));
        Assert.That(file.Find("as_" + name).Bytes, Is.EqualTo(3 * type.ElementSize()));
        if (type == torch.ScalarType.ComplexFloat32) Assert.That(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(tensor.bytes).ToArray(), Is.EqualTo((float[])[0, 0, 1, 0, 3, 0]));
        else Assert.That(Floats(tensor), Is.EqualTo(type == torch.ScalarType.Bool ? (float[])[0, 1, 1] : [0, 1, 3]));
    }

    [Test]
    public void ViewsOfOneStorageShareMemory()
    {
        using var scope = torch.NewDisposeScope();
        using var file = Open("kinds.bin");
        var (whole, part) = (file.Tensor("whole"), file.Tensor("part"));
        Assert.That(part.data_ptr() - whole.data_ptr(), Is.EqualTo((nint)(8 * sizeof(float))));
        part.add_(100);
        Assert.That(Floats(whole)[8], Is.EqualTo(108));
        using var again = Open("kinds.bin");
        Assert.That(Floats(again.Tensor("whole"))[8], Is.EqualTo(8), "the file itself does not change");
    }

    [TestCase("module.bin")]
    [TestCase("protocol4.bin")]
    [TestCase("rezipped.bin")]
    [TestCase("shards")]
    public void AStateDictHasItsNumbers(string name)
    {
        using var scope = torch.NewDisposeScope();
        using var file = Open(name);
        var expected = JsonSerializer.Deserialize<Dictionary<string, float[]>>(File.ReadAllText(Shared.Fixture("pickles", "module.json")))!;
        Assert.That(file.Names, Is.EquivalentTo(expected.Keys));
        foreach (var (key, numbers) in expected) Assert.That(Floats(file.Tensor(key)), Is.EqualTo(numbers), key);
        Assert.That(file.Tensor("0.weight").shape, Is.EqualTo((long[])[2, 3]));
    }

    [TestCase("legacy.bin", "before 1.6")]
    [TestCase("tar.bin", "tar format")]
    [TestCase("bare-pickle.bin", "bare pickle")]
    [TestCase("whole-module.bin", "torch.nn.modules.container.Sequential")]
    [TestCase("evil.bin", "posix.system")]
    [TestCase("evil-eval.bin", "__builtin__.eval")]
    [TestCase("script.bin", "TorchScript")]
    [TestCase("float8.bin", "float8")]
    [TestCase("sparse.bin", "torch._utils._rebuild_sparse_tensor")]
    [TestCase("nested.bin", "'model' is no tensor")]
    [TestCase("compressed.bin", "is compressed")]
    [TestCase("big-endian.bin", "'big'")]
    [TestCase("shape-beyond-storage.bin", "beyond its storage")]
    [TestCase("storage-missing.bin", "'data/9' is not in the file")]
    [TestCase("storage-path.bin", "'data/../../' is not in the file")]
    [TestCase("expanded.bin", "more elements than its storage")]
    [TestCase("negative-stride.bin", "whole numbers from 0")]
    public void WhatIsNotTensorsIsRefusedByName(string name, string reason)
    {
        var error = Assert.Throws<UserErrorException>(() => Open(name).Dispose())!;
        Assert.That(error.Message, Does.StartWith(Shared.Fixture("pickles", name)).And.Contain(reason));
        Assert.That(File.Exists("/tmp/peftalign-was-here"), Is.False);
    }
}
