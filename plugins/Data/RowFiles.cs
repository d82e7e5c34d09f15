// Files of rows as data sets are published: JSON lines or one JSON list, plain or gzipped; a folder holds a file per split.

using System.IO.Compression;
using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;

namespace PeftAlign.Data;

internal static class RowFiles
{
    /// <summary>A key that stands twice is an error.</summary>
    internal static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    private static readonly string[] Endings = [".jsonl", ".jsonl.gz", ".json", ".json.gz"];

    /// <summary>The file of a path: itself, or a folder's file for the split (train where none is asked for).</summary>
    /// <exception cref="UserErrorException">There is none.</exception>
    internal static string Find(string reader, string? path, string? split)
    {
        if (path is null) throw new UserErrorException($"Reader {reader} needs 'path', a file or a folder of files.");
        if (File.Exists(path))
            return split is null ? path : throw new UserErrorException($"Reader {reader}: {path} is one file, which has no splits; leave 'split' ({split}) out, or give the folder.");
        if (!Directory.Exists(path)) throw new UserErrorException($"There is no file or folder '{path}'; reader {reader} needs one.");
        var named = Endings.Select(ending => Path.Combine(path, (split ?? "train") + ending)).ToList();
        return named.FirstOrDefault(File.Exists) ?? throw new UserErrorException($"Reader {reader}: the folder '{path}' has no file of the split '{split ?? "train"}'; looked for {string.Join(", ", named.Select(Path.GetFileName))}.");
    }

    /// <summary>The rows of a file as they are, numbered from 1: lines of .jsonl, entries of .json.</summary>
    /// <exception cref="UserErrorException">The file is damaged, or a row is no object; file and row are named.</exception>
    internal static IEnumerable<DataRecord> Read(string path)
    {
        if (!Path.GetFileName(path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? path[..^3] : path).EndsWith(".json", StringComparison.OrdinalIgnoreCase))
        {
            foreach (var record in new JsonlReader(new JsonlOptions { Path = path }).Read(null)) yield return record;
            yield break;
        }
        long row = 0;
        foreach (var entry in List(path))
            yield return new DataRecord(entry as JsonObject ?? throw new UserErrorException($"{path}, row {row + 1}: not a JSON object."), Path.GetFileName(path), ++row);
    }

    private static JsonArray List(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            using var plain = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionMode.Decompress) : (Stream)file;
            return JsonNode.Parse(plain, documentOptions: Strict) as JsonArray ?? throw new UserErrorException($"{path}: a .json file of rows holds one list; name a file of lines .jsonl.");
        }
        catch (Exception e) when (e is JsonException or InvalidDataException or ArgumentException)
        {
            throw new UserErrorException($"{path}: not valid JSON: {e.Message}", e);
        }
    }
}
