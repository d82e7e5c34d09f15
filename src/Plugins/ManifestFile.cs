// Reads and writes plugin.json. Written by the build; read strictly, since everything later trusts it.

using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace PeftAlign.Plugins;

internal static class ManifestFile
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly JsonDocumentOptions Strict = new() { AllowDuplicateProperties = false };

    /// <summary>Reads a folder's plugin.json.</summary>
    /// <exception cref="PluginException">It is not there, is no JSON, or lacks a field; the message names file and remedy.</exception>
    public static PluginManifest Read(string folder)
    {
        var file = Path.Combine(folder, PluginManifest.FileName);
        if (!File.Exists(file)) throw new PluginException($"{folder}: no {PluginManifest.FileName} there, so it is no plugin. Give the folder that the plugin's build wrote, or build it again.");
        try
        {
            return Parse(JsonNode.Parse(File.ReadAllText(file), documentOptions: Strict) as JsonObject ?? throw new FormatException("it is no JSON object"));
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException or IOException or UnauthorizedAccessException)
        {
            throw new PluginException($"{file}: cannot be read as a plugin's description ({e.Message.TrimEnd('.')}). Build or install the plugin again.", e);
        }
    }

    /// <summary>Writes a folder's plugin.json in one step.</summary>
    public static void Write(string folder, PluginManifest manifest)
    {
        var file = Path.Combine(folder, PluginManifest.FileName);
        AtomicFile.Write(file, ToJson(manifest).ToJsonString(Indented) + "\n");
    }

    private static PluginManifest Parse(JsonObject json)
    {
        var manifest = new PluginManifest(
            Text(json, "id"), Text(json, "version"), (int)Whole(json, "apiLevel"), Text(json, "entryAssembly"),
            [.. Items(json, "provides").Select(Provided)],
            [.. Items(json, "files").Select(file => new PluginFile(Text(file, "path"), Text(file, "sha256")))]);
        return manifest.Files.GroupBy(file => file.Path).FirstOrDefault(group => group.Count() > 1) is { } twice ? throw new FormatException($"'files' lists '{twice.Key}' twice") : manifest;
    }

    private static ProvidedContract Provided(JsonObject json) => new(
        Text(json, "kind"), Text(json, "name"), (int)Whole(json, "resultVersion"), Options(json), Optional(json, "docs"))
    {
        Alias = Optional(json, "alias"),
        Inputs = Optional(json, "inputs"),
        Traits = Texts(json, "traits"),
    };

    private static OptionsSchema Options(JsonObject json)
    {
        var schema = new OptionsSchema([.. Items(json, "options").Select(Option)]);
        foreach (var option in schema.Options.Where(option => option.OnlyWith != ""))
            if (schema.Find(option.OnlyWith.Split('=', 2)[0]) is null) throw new FormatException($"'onlyWith' of '{option.Name}' is '{option.OnlyWith}', not OPTION=VALUE or OPTION");
        return schema;
    }

    private static OptionSchema Option(JsonObject json)
    {
        var type = Text(json, "type");
        return new OptionSchema(Text(json, "name"), OptionType.Parse(type) ?? throw new FormatException($"'{type}' is no option type"), json["default"]?.DeepClone())
        {
            Minimum = Limit(json, "minimum"),
            ExclusiveMinimum = json["exclusiveMinimum"]?.GetValue<bool>() ?? false,
            Maximum = Limit(json, "maximum"),
            Choices = Texts(json, "choices"),
            Aliases = Texts(json, "aliases"),
            Names = Optional(json, "names"),
            Required = json["required"]?.GetValue<bool>() ?? false,
            Filled = json["filled"]?.GetValue<bool>() ?? false,
            Recorded = json["recorded"]?.GetValue<bool>() ?? false,
            PerModel = json["perModel"]?.GetValue<bool>() ?? false,
            OnlyWith = Optional(json, "onlyWith"),
            Docs = Optional(json, "docs"),
        };
    }

    public static JsonObject ToJson(PluginManifest manifest) => new()
    {
        ["id"] = manifest.Id,
        ["version"] = manifest.Version,
        ["apiLevel"] = manifest.ApiLevel,
        ["entryAssembly"] = manifest.EntryAssembly,
        ["provides"] = new JsonArray([.. manifest.Provides.Select(ToJson)]),
        ["files"] = new JsonArray([.. manifest.Files.Select(file => new JsonObject { ["path"] = file.Path, ["sha256"] = file.Sha256 })]),
    };

    public static JsonObject ToJson(ProvidedContract provided)
    {
        var json = new JsonObject { ["kind"] = provided.Kind, ["name"] = provided.Name, ["resultVersion"] = provided.ResultVersion };
        if (provided.Docs.Length > 0) json["docs"] = provided.Docs;
        if (provided.Alias.Length > 0) json["alias"] = provided.Alias;
        if (provided.Inputs.Length > 0) json["inputs"] = provided.Inputs;
        if (provided.Traits.Count > 0) json["traits"] = Texts(provided.Traits);
        json["options"] = new JsonArray([.. provided.Options.Options.Select(ToJson)]);
        return json;
    }

    private static JsonObject ToJson(OptionSchema option)
    {
        var json = new JsonObject { ["name"] = option.Name, ["type"] = option.Type.ToString(), ["default"] = option.Default?.DeepClone() };
        if (option.Minimum is { } low) json["minimum"] = Numbers.ToJson(low);
        if (option.ExclusiveMinimum) json["exclusiveMinimum"] = true;
        if (option.Maximum is { } high) json["maximum"] = Numbers.ToJson(high);
        if (option.Choices.Count > 0) json["choices"] = Texts(option.Choices);
        if (option.Aliases.Count > 0) json["aliases"] = Texts(option.Aliases);
        if (option.Names.Length > 0) json["names"] = option.Names;
        if (option.Required) json["required"] = true;
        if (option.Filled) json["filled"] = true;
        if (option.Recorded) json["recorded"] = true;
        if (option.PerModel) json["perModel"] = true;
        if (option.OnlyWith.Length > 0) json["onlyWith"] = option.OnlyWith;
        if (option.Docs.Length > 0) json["docs"] = option.Docs;
        return json;
    }

    private static JsonArray Texts(IReadOnlyList<string> texts) => new([.. texts.Select(text => JsonValue.Create(text))]);

    private static string Text(JsonObject json, string name) =>
        json[name] is JsonValue value && value.TryGetValue<string>(out var text) ? text : throw new FormatException($"'{name}' is missing or no text");

    private static string Optional(JsonObject json, string name) => json.ContainsKey(name) ? Text(json, name) : "";

    private static double? Limit(JsonObject json, string name) => json[name] is not { } node ? null : Numbers.Double(node) ?? throw new FormatException($"'{name}' is no number");

    private static long Whole(JsonObject json, string name) =>
        json[name] is { } node && Numbers.Long(node) is { } number and >= int.MinValue and <= int.MaxValue ? number : throw new FormatException($"'{name}' is missing or no whole number");

    private static IEnumerable<JsonObject> Items(JsonObject json, string name) =>
        (json[name] as JsonArray ?? throw new FormatException($"'{name}' is missing or no list")).Select(item => item as JsonObject ?? throw new FormatException($"'{name}' holds something that is no object"));

    private static IReadOnlyList<string> Texts(JsonObject json, string name) => !json.ContainsKey(name) ? []
        : json[name] is not JsonArray texts ? throw new FormatException($"'{name}' is no list")
        : [.. texts.Select(item => item is JsonValue value && value.TryGetValue<string>(out var text) ? text : throw new FormatException($"'{name}' holds something that is no text"))];
}
