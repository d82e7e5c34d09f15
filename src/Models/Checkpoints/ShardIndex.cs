// model.safetensors.index.json and pytorch_model.bin.index.json: which file of the folder holds which tensor.
// Written as transformers writes it: {"metadata": {...}, "weight_map": {name: file}}, two blanks, sorted keys.

using System.Text.Json;
using PeftAlign.Abstractions;

namespace PeftAlign.Models.Checkpoints;

internal static class ShardIndex
{
    /// <summary>Tensor names and the shards' file names, each a plain name inside the folder.</summary>
    /// <exception cref="UserErrorException">The index is broken or names a file outside its folder.</exception>
    public static Dictionary<string, string> Read(string file)
    {
        if (!StrictJson.Object(file).TryGetProperty("weight_map", out var weights) || weights.ValueKind != JsonValueKind.Object)
            throw Fault.In(file, "it lacks the object weight_map, which says where each tensor lies; copy the index again.");
        var map = new Dictionary<string, string>();
        var known = new HashSet<string>();
        foreach (var entry in weights.EnumerateObject())
        {
            if (entry.Value.ValueKind != JsonValueKind.String) throw Fault.In(file, entry.Name, "its entry in weight_map must be a file name.");
            var shard = entry.Value.GetString()!;
            if (known.Add(shard)) Check(file, entry.Name, shard);
            map.Add(entry.Name, shard);
        }
        return map.Count > 0 ? map : throw Fault.In(file, "weight_map is empty; copy the index again.");
    }

    // A shard is a file of the folder itself. Links are followed: caches of the hub consist of them.
    private static void Check(string file, string tensor, string shard)
    {
        var plain = shard.Length > 0 && shard is not ("." or "..") && shard.IndexOfAny(['/', '\\', '\0']) < 0 && !shard.Contains(':');
        if (!plain) throw Fault.In(file, tensor, $"its shard {Fault.Quote(shard)} is not a plain file name; shards must lie in the folder of the index.");
        var folder = Path.GetDirectoryName(Path.GetFullPath(file))!;
        if (!File.Exists(Path.Combine(folder, shard)))
            throw Fault.In(file, tensor, $"its shard {Fault.Quote(shard)} does not exist in the folder; the download is incomplete, fetch the missing file.");
    }

    public static string Text(IReadOnlyDictionary<string, string> map, long totalBytes, long totalCount) => SortedJson.Text(new Dictionary<string, object?>
    {
        ["metadata"] = new Dictionary<string, object?> { ["total_parameters"] = totalCount, ["total_size"] = totalBytes },
        ["weight_map"] = map.ToDictionary(m => m.Key, m => (object?)m.Value),
    }) + "\n";
}
