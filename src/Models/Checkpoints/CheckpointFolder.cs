// The weights of a model folder, whichever way they are stored. Files are looked for in transformers' order:
// model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Checkpoints;

/// <summary>The tensors of a model folder, or of one weights file. They stay valid after it is disposed.</summary>
public sealed partial class CheckpointFolder : IDisposable
{
    private const string Single = "model.safetensors";
    private const string Index = "model.safetensors.index.json";
    private const string Pickled = "pytorch_model.bin";
    private const string PickledIndex = "pytorch_model.bin.index.json";
    private const string Releases = "shards and index belong to different releases, fetch them again";

    private readonly List<ITensorFile> files = [];
    private readonly Dictionary<string, (ITensorFile File, StoredTensor Tensor)> tensors = [];
    private readonly List<StoredTensor> all = [];
    private readonly Dictionary<string, string> renamed = [];
    private readonly List<string> warnings = [];

    private CheckpointFolder(string path) => Path = path;

    /// <summary>The folder, or the weights file, as it was given.</summary>
    public string Path { get; }

    /// <summary>Facts about all tensors, shard by shard, in the order of their data.</summary>
    public IReadOnlyCollection<StoredTensor> Tensors => all;

    /// <summary>Names of all tensors.</summary>
    public IReadOnlyCollection<string> Names => tensors.Keys;

    /// <summary>What is odd but does not stop: to be shown to the user once.</summary>
    public IReadOnlyList<string> Warnings => warnings;

    /// <summary>Opens a folder's weights and checks all headers; no data are read.</summary>
    /// <param name="path">A model folder, or a .safetensors or .bin file.</param>
    /// <exception cref="UserErrorException">There are no weights, or a file is broken; the message names file, tensor and reason.</exception>
    public static CheckpointFolder Open(string path)
    {
        var folder = new CheckpointFolder(path);
        try
        {
            folder.OpenFiles();
            return folder;
        }
        catch
        {
            folder.Dispose();
            throw;
        }
    }

    private void OpenFiles()
    {
        if (File.Exists(Path)) Add(OpenOne(Path), null);
        else if (!Directory.Exists(Path)) throw Fault.In(Path, "there is no such folder; check the path.");
        else if (Has(Single)) Add(OpenOne(In(Single)), null);
        else if (Has(Index)) OpenShards(In(Index));
        else if (Has(Pickled)) Add(OpenOne(In(Pickled)), null);
        else if (Has(PickledIndex)) OpenShards(In(PickledIndex));
        else throw Fault.In(Path, $"the folder has no weights: none of {Single}, {Index}, {Pickled}, {PickledIndex} is there{WhatElse()}.");
    }

    /// <summary>Whether a folder has weights of any kind, whole or not.</summary>
    /// <param name="folder">A model folder.</param>
    public static bool HasWeights(string folder) => ((string[])[Single, Index, Pickled, PickledIndex]).Any(name => File.Exists(System.IO.Path.Combine(folder, name)));

    private string In(string name) => System.IO.Path.Combine(Path, name);

    private bool Has(string name) => File.Exists(In(name));

    private string WhatElse()
    {
        string[] foreign = [".gguf", ".h5", ".msgpack", ".pth", ".pt", ".onnx"];
        var other = Directory.EnumerateFiles(Path).Select(f => System.IO.Path.GetFileName(f)!)
            .Where(f => foreign.Contains(System.IO.Path.GetExtension(f))).Order(StringComparer.Ordinal).ToList();
        return other.Count == 0 ? "" : $"; {Fault.Some(other)} is of a format that is not read, take the safetensors release";
    }

    private static ITensorFile OpenOne(string file) => System.IO.Path.GetExtension(file) == ".bin" ? PickleFile.Open(file) : SafetensorsFile.Open(file);

    private void OpenShards(string index)
    {
        var map = ShardIndex.Read(index);
        var unlisted = new List<string>();
        foreach (var shard in map.Values.Distinct().Order(StringComparer.Ordinal))
            Add(OpenOne(In(shard)), name => map.TryGetValue(name, out var place) ? place == shard : Unlisted(name));
        foreach (var (name, shard) in map)
            if (!tensors.ContainsKey(name)) throw Fault.In(index, name, $"the index places it in {Fault.Quote(shard)}, which does not hold it; {Releases}.");
        if (unlisted.Count > 0)
            warnings.Add($"{index}: weight_map leaves out {unlisted.Count} of the tensors that the shards hold: {Fault.Some(unlisted)}; they are read from their shards.");

        bool Unlisted(string name)
        {
            unlisted.Add(name);
            return true;
        }
    }

    private void Add(ITensorFile file, Func<string, bool>? wanted)
    {
        files.Add(file);
        foreach (var tensor in file.Tensors)
        {
            if (wanted?.Invoke(tensor.Name) == false) continue;
            if (!tensors.TryAdd(tensor.Name, (file, tensor)))
                throw Fault.In(tensor.File, tensor.Name, $"{Fault.Quote(System.IO.Path.GetFileName(tensors[tensor.Name].Tensor.File))} beside it holds it too; {Releases}.");
            all.Add(tensor);
        }
    }

    /// <summary>True if there is a tensor of this name.</summary>
    public bool Contains(string name) => tensors.ContainsKey(name);

    /// <summary>Facts about a tensor.</summary>
    /// <exception cref="UserErrorException">There is none of this name.</exception>
    public StoredTensor Find(string name) => Entry(name).Tensor;

    /// <summary>A tensor; over the mapped file, without a copy, from safetensors.</summary>
    /// <exception cref="UserErrorException">There is none of this name.</exception>
    public Tensor Tensor(string name) => Entry(name).File.Tensor(renamed.GetValueOrDefault(name, name));

    /// <summary>A tensor that must have a certain shape.</summary>
    /// <exception cref="UserErrorException">It is missing, or has another shape; the message names both shapes.</exception>
    public Tensor Tensor(string name, params ReadOnlySpan<long> shape)
    {
        var stored = Find(name);
        if (!shape.SequenceEqual([.. stored.Shape]))
            throw Fault.In(stored.File, name, $"its shape is {Fault.Shape(stored.Shape)} but config.json asks for {Fault.Shape(shape.ToArray())}. {OtherModel}.");
        return Tensor(name);
    }

    /// <summary>Lets go of the memory that a tensor was read into: of a large folder that is read once, one tensor after another. Tensors over it stay
    /// valid and have the file's values.</summary>
    internal void Forget(string name) => Entry(name).File.Forget(renamed.GetValueOrDefault(name, name));

    private (ITensorFile File, StoredTensor Tensor) Entry(string name) =>
        tensors.TryGetValue(name, out var entry) ? entry
        : throw Fault.In(Path, name, $"it is not among the {tensors.Count} tensors of the weights. {OtherModel}, or the download is incomplete.");

    /// <summary>Gives a tensor another name than its file does.</summary>
    internal void Rename(string stored, string name)
    {
        var (file, tensor) = Entry(stored);
        tensors.Remove(stored);
        tensors.Add(name, (file, tensor with { Name = name }));
        all[all.IndexOf(tensor)] = tensor with { Name = name };
        renamed.Add(name, stored);
    }

    /// <summary>Lets go of the files; tensors made from them stay valid.</summary>
    public void Dispose()
    {
        foreach (var file in files) file.Dispose();
    }
}
