// Files of rows as data sets are published: JSON lines or one JSON list, plain or gzipped; a folder holds a file per split.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;

namespace PeftAlign.Data.Files;

internal static class RowFiles
{
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

    /// <summary>The files of a path whose rows name their own split: itself, or all of a folder in the order of their names.</summary>
    /// <exception cref="UserErrorException">There is none.</exception>
    internal static IReadOnlyList<string> All(string reader, string? path)
    {
        if (path is null) throw new UserErrorException($"Reader {reader} needs 'path', a file or a folder of files.");
        if (File.Exists(path)) return [path];
        if (!Directory.Exists(path)) throw new UserErrorException($"There is no file or folder '{path}'; reader {reader} needs one.");
        var files = Directory.GetFiles(path).Where(file => Endings.Any(ending => file.EndsWith(ending, StringComparison.OrdinalIgnoreCase))).Order(StringComparer.Ordinal).ToList();
        return files.Count > 0 ? files : throw new UserErrorException($"Reader {reader}: the folder '{path}' has no file of rows ({string.Join(", ", Endings)}).");
    }

    /// <summary>The rows of a file as they are, numbered from 1: lines of .jsonl, entries of .json.</summary>
    /// <exception cref="UserErrorException">The file is damaged, or a row is no object; file and row are named.</exception>
    internal static IEnumerable<DataRecord> Read(string path)
    {
        if (!IsList(path))
        {
            foreach (var record in new JsonlReader(new JsonlOptions { Path = path }).Read(null)) yield return record;
            yield break;
        }
        using var entries = JsonList.Entries(TextLines.Read(path)).GetEnumerator();
        for (var row = 1L; Next(path, entries); row++)
            yield return new DataRecord(Parsed(path, row, entries.Current), Path.GetFileName(path), row);
    }

    // By the ending; and some data sets are published as JSON lines under the name .json.
    private static bool IsList(string path)
    {
        var plain = path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? path[..^3] : path;
        return plain.EndsWith(".json", StringComparison.OrdinalIgnoreCase) && TextLines.Read(path).FirstOrDefault(line => !string.IsNullOrWhiteSpace(line.Text)).Text?.TrimStart() is not ['{', _, ..];
    }

    private static bool Next(string path, IEnumerator<TextLine> entries)
    {
        try
        {
            return entries.MoveNext();
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{path}: a .json file of rows holds one list of objects, and {e.Message}; mend it, or name a file of lines .jsonl.", e);
        }
    }

    private static JsonObject Parsed(string path, long row, TextLine entry)
    {
        try
        {
            return RowJson.Parse(entry.Text) as JsonObject ?? throw new UserErrorException($"{path}, row {row}: not a JSON object.");
        }
        catch (JsonException e)
        {
            throw new UserErrorException($"{path}, row {row}, which begins in line {entry.Number}: not valid JSON ({RowJson.Cause(e)}); write one list of objects.", e);
        }
    }
}
