// Writing a model folder's weights: one file, or shards with an index, divided as transformers divides them.

using System.Globalization;
using System.Text.RegularExpressions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Checkpoints;

public sealed partial class CheckpointFolder
{
    /// <summary>transformers' default.</summary>
    public const long DefaultShardBytes = 50_000_000_000;

    private static readonly Dictionary<string, string> Pt = new() { ["format"] = "pt" };

    /// <summary>Writes tensors that are at hand; they stay the caller's.</summary>
    /// <inheritdoc cref="Write(string, IReadOnlyCollection{PendingTensor}, IReadOnlyDictionary{string, string}, long)"/>
    public static void Write(string folder, IEnumerable<KeyValuePair<string, Tensor>> tensors, IReadOnlyDictionary<string, string>? metadata = null, long maxShardBytes = DefaultShardBytes) =>
        Write(folder, [.. tensors.Select(t => PendingTensor.Of(t.Key, t.Value))], metadata, maxShardBytes);

    /// <summary>
    /// Writes model.safetensors, or model-00001-of-0000N.safetensors and the index. Each file appears by rename, the
    /// index last; weights of an earlier writing in other files are removed at the end. Tied tensors: write one name.
    /// </summary>
    /// <param name="folder">Made if it is not there.</param>
    /// <param name="tensors">Divided into shards in this order.</param>
    /// <param name="metadata">Texts for every file; null stands for {"format": "pt"}.</param>
    /// <param name="maxShardBytes">A shard grows up to this size; one larger tensor is a shard by itself.</param>
    public static void Write(string folder, IReadOnlyCollection<PendingTensor> tensors, IReadOnlyDictionary<string, string>? metadata = null, long maxShardBytes = DefaultShardBytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxShardBytes);
        Directory.CreateDirectory(folder);
        var shards = Divide(tensors, maxShardBytes);
        var written = new HashSet<string>();
        var map = new Dictionary<string, string>();
        for (var k = 0; k < shards.Count; k++)
        {
            var name = shards.Count == 1 ? Single : string.Create(CultureInfo.InvariantCulture, $"model-{k + 1:00000}-of-{shards.Count:00000}.safetensors");
            SafetensorsWriter.Write(System.IO.Path.Combine(folder, name), shards[k], metadata ?? Pt);
            written.Add(name);
            foreach (var tensor in shards[k])
                if (!map.TryAdd(tensor.Name, name)) throw new ArgumentException($"two tensors are called {Fault.Quote(tensor.Name)}; a checkpoint holds each name once");
        }
        if (shards.Count > 1)
        {
            var count = tensors.Sum(t => t.Shape.Aggregate(1L, (product, size) => product * size));
            AtomicFile.Write(System.IO.Path.Combine(folder, Index), ShardIndex.Text(map, tensors.Sum(t => t.Bytes), count));
            written.Add(Index);
        }
        RemoveOthers(folder, written);
    }

    private static List<List<PendingTensor>> Divide(IReadOnlyCollection<PendingTensor> tensors, long maxShardBytes)
    {
        var shards = new List<List<PendingTensor>>();
        var current = new List<PendingTensor>();
        var bytes = 0L;
        foreach (var tensor in tensors)
        {
            if (tensor.Bytes > maxShardBytes)
            {
                shards.Add([tensor]);
                continue;
            }
            if (bytes + tensor.Bytes > maxShardBytes)
            {
                shards.Add(current);
                (current, bytes) = ([], 0);
            }
            current.Add(tensor);
            bytes += tensor.Bytes;
        }
        if (current.Count > 0 || shards.Count == 0) shards.Add(current);
        return shards;
    }

    private static void RemoveOthers(string folder, HashSet<string> written)
    {
        foreach (var file in Directory.EnumerateFiles(folder))
        {
            var name = System.IO.Path.GetFileName(file);
            if (!written.Contains(name) && (name is Single or Index || Shard().IsMatch(name))) File.Delete(file);
        }
    }

    [GeneratedRegex(@"\Amodel-\d{5}-of-\d{5}\.safetensors\z")]
    private static partial Regex Shard();
}
