// Reading what torch.save wrote (PyTorch 1.6 and later): a zip file with one pickle of names and views, and one stored
// entry for each storage. Tensors are views of the mapped file; those that share a storage share memory.

using System.Text;
using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Checkpoints;

internal sealed class PickleFile : ITensorFile
{
    private const long LongestPickle = 64 << 20;
    private const string Convert = "load it with PyTorch and save it again, or take the checkpoint's safetensors release";

    private static readonly TensorOperator AsStrided = new("aten::as_strided");

    private readonly string path;
    private readonly MappedFile map;
    private readonly Dictionary<string, PickleTensor> views = [];
    private readonly Dictionary<string, ZipEntry> storages = [];

    private PickleFile(string path, MappedFile map) => (this.path, this.map) = (path, map);

    public IReadOnlyList<StoredTensor> Tensors { get; private set; } = [];

    /// <summary>Opens a checkpoint and reads its names and shapes; nothing of the file is run.</summary>
    /// <exception cref="UserErrorException">It is damaged, of the format before PyTorch 1.6, or holds more than tensors.</exception>
    public static PickleFile Open(string path)
    {
        using var stream = MappedFile.OpenFile(path);
        MappedFile? map = null;
        try
        {
            map = MappedFile.Map(stream);
            var file = new PickleFile(path, map);
            file.ReadArchive();
            return file;
        }
        catch (Exception e)
        {
            map?.Dispose();
            if (e is PickleException) throw Fault.In(path, $"{e.Message}.", e);
            if (e is IOException or UnauthorizedAccessException) throw Fault.Unreadable(path, e);
            throw;
        }
    }

    private void ReadArchive()
    {
        CheckFormat();
        var entries = ZipDirectory.Read(map, path);
        if (entries.Keys.Any(name => name.EndsWith("/constants.pkl", StringComparison.Ordinal)))
            throw Fault.In(path, "this is a TorchScript program, which is never run; take the checkpoint's weights.");
        var pickles = entries.Keys.Where(name => name.Count(c => c == '/') == 1 && name.EndsWith("/data.pkl", StringComparison.Ordinal)).ToList();
        if (pickles is not [var pickle]) throw Fault.In(path, $"this zip file holds {pickles.Count} entries ARCHIVE/data.pkl instead of one; torch.save did not write it.");
        var archive = pickle[..^"data.pkl".Length];
        foreach (var (name, entry) in entries)
            if (!entry.IsStored && name.StartsWith(archive, StringComparison.Ordinal))
                throw Fault.In(path, $"{Fault.Quote(name)} is compressed; torch.save stores tensors as they are. Save the checkpoint again with torch.save.");
        CheckByteOrder(entries, archive);
        AddTensors(ReadPickle(entries[pickle]), entries, archive);
    }

    // Before PyTorch 2.1 there was no such entry, and little was the only order.
    private void CheckByteOrder(Dictionary<string, ZipEntry> entries, string archive)
    {
        if (!entries.TryGetValue(archive + "byteorder", out var entry)) return;
        var order = Encoding.ASCII.GetString(map.Read(entry.Offset, (int)Math.Min(entry.Length, 16)));
        if (order != "little") throw Fault.In(path, $"its byte order is {Fault.Quote(order)}; only little is read, {Convert}.");
    }

    private void CheckFormat()
    {
        ReadOnlySpan<byte> legacy = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19]; // torch's magic number, pickled
        var head = map.Read(0, (int)Math.Min(map.Length, 512)).AsSpan();
        if (head.StartsWith("PK\x03\x04"u8)) return;
        if (head.Length > 14 && head[0] == 0x80 && head[2..].StartsWith(legacy))
            throw Fault.In(path, $"this is the pickle format of PyTorch before 1.6 (torch.save without zip), which is not read; {Convert}.");
        if (head.Length > 262 && head[257..].StartsWith("ustar"u8))
            throw Fault.In(path, $"this is the tar format of PyTorch before 0.2, which is not read; {Convert}.");
        if (head.Length > 2 && head[0] == 0x80 && head[1] is >= 2 and <= 5)
            throw Fault.In(path, $"this is a bare pickle, not a checkpoint of torch.save; it is not read. Take the checkpoint's safetensors release.");
        throw Fault.In(path, "this is not a checkpoint of torch.save, which begins with the signature of a zip file; the download is broken, or a placeholder was downloaded.");
    }

    private PickleDict ReadPickle(ZipEntry entry)
    {
        if (entry.Length > LongestPickle) throw Fault.In(path, $"its pickle has {entry.Length} bytes; the limit is {LongestPickle}. Tensors belong into storages.");
        var bytes = map.Read(entry.Offset, (int)entry.Length);
        if (ZipCrc32.Of(bytes) != entry.Crc) throw Fault.In(path, "the checksum of its pickle is wrong; the file is damaged, copy it again.");
        return new Unpickler(bytes).Read() as PickleDict ?? throw Fault.In(path, "it does not hold tensors by name; only state dicts are read.");
    }

    private void AddTensors(PickleDict dict, Dictionary<string, ZipEntry> entries, string archive)
    {
        var tensors = new List<StoredTensor>();
        foreach (var (key, value) in dict.Items)
        {
            if (key is not string name) throw Fault.In(path, "a name of the state dict is no text; only tensors by name are read.");
            if (value is not PickleTensor tensor) throw Fault.In(path, $"entry {Fault.Quote(name)} is no tensor; only tensors by name are read, save the state dict alone.");
            if (!views.TryAdd(name, tensor)) throw Fault.In(path, name, "the file names it twice.");
            var storage = tensor.Storage;
            var part = "data/" + storage.Key;
            if (!entries.TryGetValue(archive + part, out var entry)) throw Fault.In(path, name, $"its storage {Fault.Quote(part)} is not in the file; copy the file again.");
            if (entry.Length / storage.DType.ElementSize() < storage.Count)
                throw Fault.In(path, name, $"its storage {Fault.Quote(part)} has {entry.Length} bytes, too few for {storage.Count} elements of {storage.DType}; copy the file again.");
            storages[storage.Key] = entry;
            tensors.Add(new StoredTensor(name, storage.DType, tensor.Shape, path));
        }
        Tensors = tensors;
    }

    public Tensor Tensor(string name)
    {
        var view = views[name];
        var begin = storages[view.Storage.Key].Offset + view.Offset * view.Storage.DType.ElementSize();
        if (view.Shape.Contains(0)) return torch.empty(view.Shape, view.Storage.DType);
        if (IsContiguous(view)) return map.Tensor(begin, view.Shape, view.Storage.DType);
        var reach = 1L;
        for (var k = 0; k < view.Shape.Length; k++) reach += (view.Shape[k] - 1) * view.Strides[k];
        using var flat = map.Tensor(begin, [reach], view.Storage.DType);
        return (Tensor)AsStrided.Call(flat, view.Shape, view.Strides)[0]!;
    }

    private static bool IsContiguous(PickleTensor view)
    {
        var expected = 1L;
        for (var k = view.Shape.Length - 1; k >= 0; k--)
        {
            if (view.Shape[k] != 1 && view.Strides[k] != expected) return false;
            expected *= view.Shape[k];
        }
        return true;
    }

    public void Dispose() => map.Dispose();
}
