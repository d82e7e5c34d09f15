// Reading safetensors: the header is checked in full at opening, tensors are views of the mapped file.
// Format: https://github.com/huggingface/safetensors, README, "Format".

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Checkpoints;

/// <summary>An open safetensors file. Its tensors stay valid after it is disposed.</summary>
public sealed class SafetensorsFile : ITensorFile
{
    private readonly MappedFile map;
    private readonly Dictionary<string, SafetensorsPlace> places = [];
    private readonly long dataStart;

    private SafetensorsFile(string path, SafetensorsHeader header, MappedFile map)
    {
        this.map = map;
        Path = path;
        dataStart = header.DataStart;
        Metadata = header.Metadata;
        Tensors = header.Places.ConvertAll(p => p.Tensor);
        foreach (var place in header.Places) places.Add(place.Tensor.Name, place);
    }

    /// <summary>The path as it was given.</summary>
    public string Path { get; }

    /// <summary>Texts of the header's __metadata__.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>All tensors in the order of their data.</summary>
    public IReadOnlyList<StoredTensor> Tensors { get; }

    /// <summary>Opens a file and checks its header and that every byte belongs to one tensor; no data are read.</summary>
    /// <exception cref="UserErrorException">It cannot be read or is not valid; the message names file, tensor and reason.</exception>
    public static SafetensorsFile Open(string path)
    {
        using var stream = MappedFile.OpenFile(path);
        try
        {
            var header = SafetensorsHeader.Read(stream.SafeFileHandle, path);
            return new SafetensorsFile(path, header, MappedFile.Map(stream));
        }
        catch (IOException e)
        {
            throw Fault.Unreadable(path, e);
        }
    }

    /// <summary>True if the file has a tensor of this name.</summary>
    public bool Contains(string name) => places.ContainsKey(name);

    /// <summary>Facts about a tensor.</summary>
    /// <exception cref="UserErrorException">There is none of this name.</exception>
    public StoredTensor Find(string name) => Place(name).Tensor;

    /// <summary>A tensor over the mapped file, without a copy. The map lives as long as any tensor over it.</summary>
    /// <exception cref="UserErrorException">There is none of this name.</exception>
    public Tensor Tensor(string name)
    {
        var place = Place(name);
        return map.Tensor(dataStart + place.Begin, [.. place.Tensor.Shape], place.Tensor.DType);
    }

    /// <summary>Lets go of a tensor's pages; tensors over them stay valid and have the file's values.</summary>
    void ITensorFile.Forget(string name)
    {
        var place = Place(name);
        map.Forget(dataStart + place.Begin, place.End - place.Begin);
    }

    private SafetensorsPlace Place(string name) =>
        places.TryGetValue(name, out var place) ? place : throw Fault.In(Path, name, $"it is not in the file, which holds {places.Count} tensors.");

    /// <summary>Lets go of the file; tensors made from it stay valid.</summary>
    public void Dispose() => map.Dispose();
}
