// Writing and reading safetensors: bytes of the format, element types, lifetime, atomicity.

using System.Text;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;
using static PeftAlign.Torch.torch;

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class SafetensorsTests
{
    private static string Write(IReadOnlyDictionary<string, string>? metadata, params (string Name, Tensor Tensor)[] tensors)
    {
        var path = Path.Combine(Shared.Scratch(), "x.safetensors");
        SafetensorsWriter.Write(path, tensors.Select(t => KeyValuePair.Create(t.Name, t.Tensor)), metadata);
        return path;
    }

    /// <summary>A file from its header's text and data.</summary>
    private static string Raw(string header, int dataBytes)
    {
        var path = Path.Combine(Shared.Scratch(), "x.safetensors");
        var text = Encoding.UTF8.GetBytes(header);
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)text.Length), .. text, .. new byte[dataBytes]]);
        return path;
    }

    // Widest type first, then by name; header 8-aligned with blanks: the library's rule, worked out by hand.
    [Test]
    public void BytesAreThoseOfTheFormat()
    {
        using var scope = NewDisposeScope();
        var path = Write(new Dictionary<string, string> { ["format"] = "pt" }, ("b", tensor((float[])[1])), ("u", tensor((byte[])[7])), ("a\"é", tensor((float[])[2])), ("l", tensor((long[])[3])));
        var header = """{"__metadata__":{"format":"pt"},"l":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},"a\"é":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]},"u":{"dtype":"U8","shape":[1],"data_offsets":[16,17]}}""";
        var text = Encoding.UTF8.GetBytes(header);
        var padded = (text.Length + 7) / 8 * 8;
        byte[] expected = [.. BitConverter.GetBytes((long)padded), .. text, .. Enumerable.Repeat((byte)' ', padded - text.Length), 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0x80, 0x3f, 7];
        Assert.That(File.ReadAllBytes(path), Is.EqualTo(expected));
    }

    [TestCase(ScalarType.Byte, "U8")]
    [TestCase(ScalarType.Int8, "I8")]
    [TestCase(ScalarType.Int16, "I16")]
    [TestCase(ScalarType.Int32, "I32")]
    [TestCase(ScalarType.Int64, "I64")]
    [TestCase(ScalarType.Float16, "F16")]
    [TestCase(ScalarType.BFloat16, "BF16")]
    [TestCase(ScalarType.Float32, "F32")]
    [TestCase(ScalarType.Float64, "F64")]
    [TestCase(ScalarType.Bool, "BOOL")]
    [TestCase(ScalarType.ComplexFloat32, "C64")]
    public void EveryElementTypeComesBack(ScalarType type, string name)
    {
        using var scope = NewDisposeScope();
        var original = tensor((float[])[0, 1, 3, 120]).to(type);
        var path = Write(null, ("x", original));
        Assert.That(Encoding.UTF8.GetString(File.ReadAllBytes(path)), Does.Contain($"\"dtype\":\"{name}\""));
        using var file = SafetensorsFile.Open(path);
        var back = file.Tensor("x");
        Assert.That(back.dtype, Is.EqualTo(type));
        Assert.That(back.bytes.SequenceEqual(original.bytes));
    }

    [TestCase("F8_E4M3", 1, "8-bit float")]
    [TestCase("F8_E5M2", 1, "8-bit float")]
    [TestCase("F4", 1, "not supported")]
    [TestCase("U16", 2, "not supported")]
    [TestCase("U32", 4, "not supported")]
    [TestCase("U64", 8, "not supported")]
    [TestCase("F8_", 1, "unknown")]
    public void OtherElementTypesAreRefusedByName(string type, int bytes, string reason)
    {
        var path = Raw($$$"""{"layer.w":{"dtype":"{{{type}}}","shape":[1],"data_offsets":[0,{{{bytes}}}]}}""", bytes);
        var error = Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(path).Dispose())!;
        Assert.That(error.Message, Does.StartWith(path).And.Contain("'layer.w'").And.Contain(type).And.Contain(reason));
    }

    [TestCase("""{"a":{"dtype":"U8","shape":[0,9223372036854775807,4],"data_offsets":[0,0]}}""", "overflows")]
    [TestCase("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"stride":[1]}}""", "unknown key 'stride'")]
    [TestCase("""{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}""", "shape twice")]
    [TestCase("""{"a":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}""", "whole numbers")]
    [TestCase("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}}""", "3 entries")]
    [TestCase("""{"__metadata__":{"x":"1","x":"2"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", "twice")]
    [TestCase("""{"__metadata__":{},"__metadata__":{},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", "twice")]
    [TestCase("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}} x""", "not valid JSON")]
    [TestCase("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}""", "not valid JSON")]
    [TestCase("""{"a\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", "not valid JSON")]
    [TestCase("""{"a":[]}""", "must be an object")]
    [TestCase("", "not a JSON object")]
    public void AWrongHeaderIsRefused(string header, string reason)
    {
        var path = Raw(header, 1);
        Assert.That(Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(path).Dispose())!.Message, Does.StartWith(path).And.Contain(reason));
    }

    [Test]
    public void ControlCharactersOfAFileDoNotReachTheTerminal()
    {
        var path = Raw("{\"\\u001b[2J" + new string('n', 5000) + "\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1);
        var message = Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(path).Dispose())!.Message;
        Assert.That(message, Does.Not.Contain('\u001b').And.Contain("\\u001b[2J"));
        Assert.That(message, Has.Length.LessThan(1000));
    }

    [Test]
    public void TensorsOutliveTheFileAndNeverChangeIt()
    {
        var path = Write(null, ("x", tensor((float[])[1, 2, 3])));
        var before = File.ReadAllBytes(path);
        Tensor kept;
        using (var file = SafetensorsFile.Open(path)) kept = file.Tensor("x");
        File.Delete(path);
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.That(kept.data<float>().ToArray(), Is.EqualTo((float[])[1, 2, 3]));
        File.WriteAllBytes(path, before);
        using (var file = SafetensorsFile.Open(path))
        using (var written = file.Tensor("x")) written.mul_(2);
        Assert.That(File.ReadAllBytes(path), Is.EqualTo(before));
        kept.Dispose();
    }

    [Test]
    public void TensorsAreReadWithoutACopy()
    {
        using var scope = NewDisposeScope();
        var path = Write(null, ("a", ones(4)), ("b", zeros(4)));
        using var file = SafetensorsFile.Open(path);
        var (a, again, b) = (file.Tensor("a"), file.Tensor("a"), file.Tensor("b"));
        Assert.That(again.data_ptr(), Is.EqualTo(a.data_ptr()));
        Assert.That(b.data_ptr() - a.data_ptr(), Is.EqualTo((nint)16));
    }

    [Test]
    public void DataThatAreNotAlignedAreReadAllTheSame()
    {
        var path = Raw("""{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}""", 1);
        File.AppendAllBytes(path, BitConverter.GetBytes(1.5f));
        using var file = SafetensorsFile.Open(path);
        using var x = file.Tensor("x");
        Assert.That(x.ToSingle(), Is.EqualTo(1.5f));
        Assert.That((long)x.data_ptr() % 4, Is.Zero);
    }

    [Test]
    public void StridedTensorsAreWrittenInOrder()
    {
        using var scope = NewDisposeScope();
        var path = Write(null, ("t", tensor((float[])[1, 2, 3, 4, 5, 6], [2, 3]).t()));
        using var file = SafetensorsFile.Open(path);
        Assert.That(file.Tensor("t").data<float>().ToArray(), Is.EqualTo((float[])[1, 4, 2, 5, 3, 6]));
    }

    [Test]
    public void AFailedWritingLeavesTheOldFile()
    {
        using var scope = NewDisposeScope();
        var path = Write(null, ("x", ones(2)));
        var before = File.ReadAllBytes(path);
        PendingTensor[] broken = [new("x", ScalarType.Float32, [2], () => throw new IOException("disk full"))];
        Assert.Throws<IOException>(() => SafetensorsWriter.Write(path, broken));
        PendingTensor[] lying = [new("x", ScalarType.Float32, [2], () => ones(3))];
        Assert.Throws<InvalidOperationException>(() => SafetensorsWriter.Write(path, lying));
        Assert.Throws<ArgumentException>(() => SafetensorsWriter.Write(path, [KeyValuePair.Create("x", ones(1)), KeyValuePair.Create("x", ones(1))]));
        Assert.That(File.ReadAllBytes(path), Is.EqualTo(before));
        Assert.That(Directory.GetFiles(Path.GetDirectoryName(path)!), Has.Length.EqualTo(1));
    }

    [Test]
    public void AMissingFileAndAFolderAreUserErrors()
    {
        var folder = Shared.Scratch();
        Assert.That(Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(Path.Combine(folder, "no.safetensors")).Dispose())!.Message, Does.Contain("does not exist"));
        Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(folder).Dispose());
    }

    [Test]
    public void DataBeyondTwoGigabytesAreReached()
    {
        const long Far = 3L << 30;
        var path = Raw($$$"""{"a":{"dtype":"U8","shape":[{{{Far}}}],"data_offsets":[0,{{{Far}}}]},"b":{"dtype":"U8","shape":[3],"data_offsets":[{{{Far}}},{{{Far + 3}}}]}}""", 0);
        using (var stream = File.OpenWrite(path))
        {
            stream.Seek(Far, SeekOrigin.End); // a hole: the file takes no space
            stream.Write([7, 8, 9]);
        }
        using var scope = NewDisposeScope();
        using var file = SafetensorsFile.Open(path);
        Assert.That(file.Tensor("b").data<byte>().ToArray(), Is.EqualTo((byte[])[7, 8, 9]));
        Assert.That(file.Tensor("a").numel(), Is.EqualTo(Far));
        Assert.That(file.Tensor("a")[Far - 1].ToInt64(), Is.Zero);
        File.Delete(path);
    }

    // By a shape that libtorch refuses; a header with such a one is refused before.
    [Test]
    public void AMapStaysWhereATensorOverItCannotBeMade()
    {
        var path = Write(null, ("x", ones(2)));
        using var stream = MappedFile.OpenFile(path);
        using var map = MappedFile.Map(stream);
        Assert.Throws(Is.InstanceOf<TorchException>(), () => map.Tensor(0, [-4], float32));
        Assert.That(map.Read(0, 8), Is.EqualTo(File.ReadAllBytes(path)[..8]));
    }

    // The kernel refuses a writable private map of more than memory and swap: the map is read-only then.
    [Test]
    public void AFileLargerThanMemoryIsMapped()
    {
        const long Huge = 1L << 40;
        var path = Raw($$$"""{"a":{"dtype":"U8","shape":[{{{Huge}}}],"data_offsets":[0,{{{Huge}}}]}}""", 0);
        try
        {
            using var stream = File.OpenWrite(path);
            stream.SetLength(stream.Length + Huge); // a hole: the file takes no space
        }
        catch (IOException e)
        {
            Assert.Ignore($"this file system holds no file of {Huge} bytes with a hole: {e.Message}");
        }
        using (var file = SafetensorsFile.Open(path))
        using (var a = file.Tensor("a"))
            Assert.That(a[Huge - 1].ToInt64(), Is.Zero);
        File.Delete(path);
    }

    [Test]
    public void LinksAreFollowedAndPipesAndDevicesAreNeverOpened()
    {
        var path = Write(null, ("x", ones(2)));
        var link = Path.Combine(Shared.Scratch(), "model.safetensors");
        File.CreateSymbolicLink(link, path);
        using (var file = SafetensorsFile.Open(link)) Assert.That(file.Tensors, Has.Count.EqualTo(1));
        foreach (var target in (string[])["/dev/zero", "/nowhere", link])
        {
            File.Delete(link);
            File.CreateSymbolicLink(link, target);
            Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(link).Dispose(), target);
            Assert.Throws<UserErrorException>(() => ModelConfig.Open(link), target);
        }
        var pipe = Path.Combine(Shared.Scratch(), "pipe.safetensors");
        System.Diagnostics.Process.Start("mkfifo", pipe).WaitForExit();
        Assert.That(Assert.Throws<UserErrorException>(() => SafetensorsFile.Open(pipe).Dispose())!.Message, Does.Contain("it is a named pipe"));
    }
}
