// Task and group files of lm-evaluation-harness as JSON: YAML read, `include` followed, and what no version of a task without
// Python can have (functions, hub datasets) refused by name with its line.

using System.Globalization;
using System.Numerics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Eval.Tasks;

internal static partial class TaskYaml
{
    private const int MostIncludes = 16;

    /// <summary>Every task or group file: the file itself, or the .yaml files below a folder that name a task or group.</summary>
    /// <param name="path">It.</param>
    /// <param name="warn">Told of keys that the harness never finds.</param>
    /// <exception cref="UserErrorException">A file is missing or broken.</exception>
    internal static IEnumerable<(string File, JsonObject Content)> ReadAll(string path, Action<string> warn)
    {
        if (File.Exists(path)) return [(path, Read(path, 0, warn))];
        if (!Directory.Exists(path)) throw new UserErrorException($"{path} is not there; give a task file (.yaml) or a folder of them.");
        var files = Directory.EnumerateFiles(path, "*.y*ml", SearchOption.AllDirectories).Where(f => Path.GetExtension(f) is ".yaml" or ".yml").Order(StringComparer.Ordinal).ToList();
        var found = files.Select(f => (File: f, Content: Read(f, 0, warn))).Where(f => f.Content["task"] is not null || f.Content["group"] is not null).ToList();
        return found.Count > 0 ? found : throw new UserErrorException($"{path} holds no task: none of its {files.Count} .yaml files has a field task or group.");
    }

    private static JsonObject Read(string file, int depth, Action<string> warn)
    {
        if (depth > MostIncludes) throw new UserErrorException($"{file}: includes go more than {MostIncludes} files deep; look for a file that includes itself.");
        string text;
        try
        {
            text = RegularFile.Text(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UserErrorException($"{file} cannot be read: {e.Message}", e);
        }
        Refuse(file, text);
        var document = DocumentTrees.Read(text);
        if (document.Root is not { } root) throw new UserErrorException(string.Join(Environment.NewLine, document.Faults.Select(f => $"{file}:{f.Line}:{f.Column}: {f.Message}")));
        if (root.Kind != "mapping") throw new UserErrorException($"{file} is a {root.Kind}; a task file is a mapping with a field task or group.");
        // An answer of the map filter is a text, and a key that is none is never found.
        bool IsFound(DocumentEntry key)
        {
            if (!key.IsPlain || !NoText().IsMatch(key.Key)) return true;
            warn($"{file}:{key.Line}: the key {key.Key} of mapping_dict is no text to YAML and equals no answer, as in lm-evaluation-harness; write '{key.Key}' in quotes for the text");
            return false;
        }
        var own = (JsonObject)Json(root, IsFound)!;
        if (own["include"] is not { } include) return own;
        own.Remove("include");
        string Named(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var name) ? name
            : throw new UserErrorException($"{file}: 'include: {node?.ToJsonString() ?? "null"}' is no file's name; write the path of a task file.");
        // Of several files with a field the last counts, and the file's own field before all.
        var included = new JsonObject();
        foreach (var node in include is JsonArray several ? several.ToList() : [include])
            foreach (var (key, value) in Read(Path.Combine(Path.GetDirectoryName(file)!, Named(node)), depth + 1, warn))
                included[key] = value?.DeepClone();
        foreach (var (key, value) in included) own.TryAdd(key, value?.DeepClone());
        return own;
    }

    // Before the YAML reader speaks of tags: what a function is needed for is not said there.
    private static void Refuse(string file, string text)
    {
        var lines = text.Split('\n');
        var line = Array.FindIndex(lines, l => l.Contains("!function", StringComparison.Ordinal) && !l.TrimStart().StartsWith('#'));
        if (line >= 0) throw new UserErrorException($"{file}:{line + 1}: '{lines[line].Trim()}' names a Python function, which cannot be run here; write the field as a Jinja template, or make the data file hold what the function makes.");
    }

    private static JsonNode? Json(DocumentNode node, Func<DocumentEntry, bool> isFound, bool isMap = false) => node.Kind switch
    {
        "mapping" => new JsonObject(node.Entries.Where(e => !isMap || isFound(e)).Select(e => new KeyValuePair<string, JsonNode?>(e.Key, Json(e.Value, isFound, e.Key == "mapping_dict")))),
        "list" => new JsonArray([.. node.Items.Select(item => Json(item, isFound))]),
        "text" => node.Text,
        "boolean" => node.Text.StartsWith('t') || node.Text.StartsWith('T'),
        "number" when Whole(node.Text) is { } whole => JsonNode.Parse(whole.ToString(CultureInfo.InvariantCulture)),
        "number" when !double.IsFinite(node.Number) => JsonValue.Create(node.Text),
        "number" => node.Number == Math.Floor(node.Number) && Math.Abs(node.Number) < 1e15 && !node.Text.Contains('.') && !node.Text.Contains('e') ? JsonNode.Parse(((long)node.Number).ToString(CultureInfo.InvariantCulture)) : TaskColumns.Float(node.Number),
        _ => null,
    };

    // With all its digits, as PyYAML reads it; null for another number.
    private static BigInteger? Whole(string text) =>
        BigInteger.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number
        : text.StartsWith("0x", StringComparison.Ordinal) && BigInteger.TryParse("0" + text[2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number) ? number
        : null;

    // Nothing, truth values, whole numbers, numbers and dates of YAML 1.1, which PyYAML reads and with it the harness.
    [GeneratedRegex(@"^(?:~?|null|Null|NULL|yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF|[-+]?0b[01_]+|[-+]?0x[0-9a-fA-F_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+|[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?)\z", RegexOptions.CultureInvariant)]
    private static partial Regex NoText();
}
