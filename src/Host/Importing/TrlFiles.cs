// The files on this disk that a configuration of TRL means by its data sets: those which datasets 5.2 (`load_dataset`) takes for a split of
// a folder, or that data_files names. Facts: the patterns of datasets' data_files.py.

using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace PeftAlign.Host.Importing;

internal static partial class TrlFiles
{
    private const string Separators = "[-._ 0-9]";
    private const string Json = "json", Csv = "csv", Other = "";

    private static readonly string[] Readable = [".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv"];

    // Never rows, whatever their ending.
    private static readonly string[] Ignored = ["README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dummy_data.zip", "dataset_dict.json"];

    // The module that datasets reads an ending by; at equal counts those that stand first here go first.
    private static readonly (string Module, string[] Endings)[] Modules =
    [
        (Other, ["parquet", "lance", "vortex", "arrow"]), (Json, ["jsonl", "json"]), (Csv, ["csv"]), (Other, ["zip", "xml", "txt"]), (Csv + "\t", ["tsv"]), (Other, ["toml", "tar"]), (Json, ["ndjson"]),
        (Other, "md gpq geoparquet conll conllu hdf5 h5 tsfile png jpg jpeg gif bmp webp tif tiff wav mp3 flac ogg mp4 pdf".Split(' ')),
    ];

    private static readonly Dictionary<string, (string Module, int Rank)> Endings = Modules.SelectMany(of => of.Endings.Select(ending => (of.Module, ending))).Select((of, rank) => (of.Module, of.ending, rank)).ToDictionary(of => of.ending, of => (of.Module, of.rank));

    private static readonly (string Split, string[] Words)[] Keywords =
        [("train", ["train", "training"]), ("validation", ["validation", "valid", "dev", "val"]), ("test", ["test", "testing", "eval", "evaluation"])];

    // Of a word, in datasets' order: files come as the first pattern finds them, then as the next does.
    private static readonly string[] OfFolders = ["^{0}$", $"^{{0}}{Separators}", $"{Separators}{{0}}$", $"{Separators}{{0}}{Separators}"];
    private static readonly string[] OfNames = [$"^{{0}}{Separators}", $"{Separators}{{0}}{Separators}"];

    /// <summary>The reader of ours for a file.</summary>
    internal static string Reader(string path) => path.EndsWith(".csv", StringComparison.OrdinalIgnoreCase) ? "csv" : "jsonl";

    /// <summary>The files of a split in a folder, in datasets' order, and of one format: that of most files. None where it holds none, or any that no reader here takes, or a card that says which.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="split">train, test ...</param>
    internal static IReadOnlyList<string> OfFolder(string folder, string split)
    {
        if (!Directory.Exists(folder) || NamesItsFiles(Path.Combine(folder, "README.md"))) return [];
        var files = Directory.GetFiles(folder, "*", new EnumerationOptions { RecurseSubdirectories = true }).Select(path => (Path: path, Inside: Path.GetRelativePath(folder, path)))
            .Where(file => IsSeen(file.Inside)).OrderBy(file => file.Path, StringComparer.Ordinal).ToList();
        if (files.Any(file => Path.GetFileName(file.Inside) is "task.toml" or "instruction.md" || file.Inside.EndsWith(".eval", StringComparison.Ordinal))) return []; // other tools' folders, which go another way
        var bySplit = new[] { Sharded(files), Named(files, OfFolders, inside => inside.Split('/').SkipLast(1)), Named(files, OfNames, inside => [Path.GetFileName(inside)]) }.FirstOrDefault(found => found.Count > 0)
            ?? [.. files.Select(file => ("train", file.Path))];
        var splits = bySplit.Distinct().ToLookup(file => file.Split, file => file.Path);
        if (splits.Select(Module).Distinct().ToList() is not [var module] || module is not (Json or Csv)) return [];
        var chosen = splits[split].Where(path => Suffixes(path).Any(ending => Endings.GetValueOrDefault(ending).Module?.TrimEnd('\t') == module)).ToList();
        return chosen.All(path => Has(path, Readable)) ? chosen : [];
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

    private static List<(string Split, string Path)> Named(List<(string Path, string Inside)> files, string[] patterns, Func<string, IEnumerable<string>> parts) =>
        [.. Keywords.SelectMany(split => split.Words.SelectMany(word => patterns.Select(pattern => string.Format(CultureInfo.InvariantCulture, pattern, word))
            .SelectMany(pattern => files.Where(file => parts(file.Inside).Any(part => Regex.IsMatch(part, pattern, RegexOptions.CultureInvariant))).Select(file => (split.Split, file.Path)))))];

    // Files of no known ending count where a split is looked for, and are left out of it afterwards.
    private static bool IsSeen(string inside) =>
        inside.Split('/') is var parts && !Ignored.Contains(parts[^1]) && !parts.Any(part => part.StartsWith('.')) && !parts.SkipLast(1).Any(part => part.StartsWith("__", StringComparison.Ordinal));

    private static IEnumerable<string> Suffixes(string path) => Path.GetFileName(path).Split('.').Skip(1);

    // The module of the ending that most files of a split have.
    private static string Module(IEnumerable<string> paths) => paths.SelectMany(Suffixes).Where(Endings.ContainsKey)
        .CountBy(ending => ending).OrderByDescending(of => of.Value).ThenBy(of => Endings[of.Key].Rank).Select(of => Endings[of.Key].Module).FirstOrDefault(Other);

    private static string Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : "";

    [GeneratedRegex(@"^data/(\w[\w.-]*)-[0-9]{5}-of-[0-9]{5}[^/]*\.[^/]*$")]
    private static partial Regex Shard();

    [GeneratedRegex(@"^\w+(\.\w+)*$")]
    private static partial Regex Word();
}
