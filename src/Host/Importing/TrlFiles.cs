// The files on this disk that a configuration of TRL means by its data sets: those which datasets 5.2 (`load_dataset`) takes for a split of
// a folder, or that data_files names. Facts: the patterns of datasets' data_files.py.

using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PeftAlign.Host.Importing;

internal static partial class TrlFiles
{
    private static readonly string[] Readable = [".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv"];
    private static readonly string[] Data = [.. Readable, ".parquet", ".arrow", ".tsv", ".txt", ".zst", ".zip", ".xml"];

    private static readonly (string Split, string[] Words)[] Keywords =
        [("train", ["train", "training"]), ("validation", ["validation", "valid", "dev", "val"]), ("test", ["test", "testing", "eval", "evaluation"])];

    /// <summary>The reader of ours for a file.</summary>
    internal static string Reader(string path) => path.EndsWith(".csv", StringComparison.OrdinalIgnoreCase) ? "csv" : "jsonl";

    /// <summary>The files of a split in a folder, in datasets' order; none where it holds none, or any that no reader here takes, or a card that says which.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="split">train, test ...</param>
    internal static IReadOnlyList<string> OfFolder(string folder, string split)
    {
        if (!Directory.Exists(folder) || NamesItsFiles(Path.Combine(folder, "README.md"))) return [];
        var files = Directory.GetFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true }).Select(path => (Path: path, Inside: Path.GetRelativePath(folder, path)))
            .Where(file => Has(file.Inside, Data) && !file.Inside.Split('/').Any(part => part.StartsWith('.') || part.StartsWith("__", StringComparison.Ordinal))).OrderBy(file => file.Path, StringComparer.Ordinal).ToList();
        var bySplit = new[] { Sharded(files), Named(files, InFolder), Named(files, InFile) }.FirstOrDefault(found => found.Count > 0);
        var chosen = bySplit is null ? split == "train" ? files.Select(file => file.Path) : [] : bySplit.Where(file => file.Split == split).Select(file => file.Path);
        return chosen.Distinct().ToList() is var all && all.All(path => Has(path, Readable)) ? all : [];
    }

    /// <summary>The files of an entry of `datasets`; none where they are not here, or it asks for more than files: columns, a share of the rows, a configuration.</summary>
    /// <param name="entry">With path, data_dir, data_files, split.</param>
    internal static IReadOnlyList<string> OfEntry(JsonNode? entry)
    {
        if (entry is not JsonObject asked || asked.Any(key => key.Value is not null && key.Key is not ("path" or "data_dir" or "data_files" or "split"))) return [];
        var (path, split) = (Text(asked["path"]), asked["split"] is { } named ? Text(named) : "train");
        if (path.Length == 0 || !Word().IsMatch(split)) return [];
        var start = Path.Combine(path is "json" or "csv" ? "" : path, Text(asked["data_dir"]));
        if (asked["data_files"] is not { } files) return start.Length == 0 ? [] : OfFolder(start, split);
        // A text or a list is the split train.
        var ofSplit = files is JsonObject bySplit ? bySplit[split] : split == "train" ? files : null;
        var paths = (ofSplit is JsonArray list ? list.Select(Text) : [Text(ofSplit)]).Select(file => Path.Combine(start, file)).ToList();
        return paths.All(file => File.Exists(file) && Has(file, Readable)) ? paths : [];
    }

    private static bool Has(string path, string[] endings) => endings.Any(ending => path.EndsWith(ending, StringComparison.OrdinalIgnoreCase));

    private static bool NamesItsFiles(string card) => File.Exists(card) && new FileInfo(card).Length < 1 << 20 && File.ReadAllText(card).Contains("data_files:", StringComparison.Ordinal);

    private static List<(string Split, string Path)> Sharded(IEnumerable<(string Path, string Inside)> files) =>
        [.. files.Select(file => (Match: Shard().Match(file.Inside), file.Path)).Where(file => file.Match.Success).Select(file => (file.Match.Groups[1].Value, file.Path))];

    private static List<(string Split, string Path)> Named(List<(string Path, string Inside)> files, Func<string, string, bool> isOf) =>
        [.. Keywords.SelectMany(split => split.Words.SelectMany(word => files.Where(file => isOf(file.Inside, word)).Select(file => (split.Split, file.Path))))];

    private static bool InFolder(string inside, string word) =>
        inside.Split('/').SkipLast(1).Any(folder => Regex.IsMatch(folder, $"^(.*[-._ 0-9])?{word}([-._ 0-9].*)?$", RegexOptions.CultureInvariant));

    private static bool InFile(string inside, string word) => Regex.IsMatch(Path.GetFileName(inside), $"^(.*[-._ 0-9])?{word}[-._ 0-9]", RegexOptions.CultureInvariant);

    private static string Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : "";

    [GeneratedRegex(@"^data/(\w[\w.-]*)-[0-9]{5}-of-[0-9]{5}.*\.[^/]*$")]
    private static partial Regex Shard();

    [GeneratedRegex(@"^\w+(\.\w+)*$")]
    private static partial Regex Word();
}
