// From a configuration of `trl METHOD --config FILE` (TRL 1.16) to a manifest. Keys that are options of ours by name or alias are
// taken as they are; defaults of TRL that differ from ours are written out; what means something else, or nothing, is said. The
// manifest is read as `run` reads it before it is handed out: what the language refuses is not carried over.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Host.Inspection;
using PeftAlign.Host.SingleTraining;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Importing;

internal sealed partial class TrlImport
{
    private readonly string file, method, root;
    private readonly PluginCatalogue plugins;
    private readonly Dictionary<string, (JsonNode Value, DocumentEntry At)> given = [];
    private readonly Dictionary<string, DocumentEntry> nulls = [];
    private readonly List<string> notes = [], dropped = [], faults = [];

    private TrlImport(string file, string method, PluginCatalogue plugins, string root) => (this.file, this.method, this.plugins, this.root) = (file, method, plugins, root);

    /// <summary>Reads a configuration.</summary>
    /// <param name="text">Its YAML.</param>
    /// <param name="file">Its path, for messages and the experiment's name.</param>
    /// <param name="method">One of <see cref="TrlKeys.Methods"/>.</param>
    /// <param name="plugins">What methods and adapters there are.</param>
    /// <param name="target">The manifest's file, from whose folder its paths go; null for the working directory.</param>
    /// <exception cref="UserErrorException">All mistakes of the file, with their lines.</exception>
    internal static ImportedManifest Read(string text, string file, string method, PluginCatalogue plugins, string? target = null)
    {
        var import = new TrlImport(file, method, plugins, Path.GetDirectoryName(Path.GetFullPath(target ?? "manifest.yaml"))!);
        import.Take(text);
        return import.Map();
    }

    private void Take(string text)
    {
        var document = DocumentTrees.Read(text);
        foreach (var fault in document.Faults) Fault(FormattableString.Invariant($"{file}:{fault.Line}:{fault.Column}: {fault.Message}"));
        if (document.Root is { Kind: not "mapping" } other) Fault(FormattableString.Invariant($"{file}:{other.Line}: a configuration of TRL is a mapping from keys to values, not a {other.Kind}"));
        foreach (var entry in document.Root?.Entries ?? [])
            if (TrlValues.Plain(entry.Value) is { } value) given[entry.Key] = (value, entry);
            else nulls[entry.Key] = entry;
        Throw();
    }

    private void Throw()
    {
        if (faults.Count > 0) throw new UserErrorException(string.Join(Environment.NewLine, faults));
    }

    private string At(DocumentEntry entry) => FormattableString.Invariant($"{file}:{entry.Line}:{entry.Column}");

    // A key may be asked for more than once.
    private void Fault(string line)
    {
        if (!faults.Contains(line)) faults.Add(line);
    }

    private ImportedManifest Map()
    {
        var (peft, fourBit) = (Flag("use_peft") ?? false, Flag("load_in_4bit") ?? false);
        var adapter = peft ? Adapter(fourBit) : null;
        if (!peft && fourBit) dropped.Add("load_in_4bit: a 4-bit base is trained through an adapter only; set use_peft");
        // A key that is not a flag of this method is not an option of its manifest either.
        var flags = TrainFlags.Of(plugins, method, adapter is null ? null : (string?)adapter["type"], quantization: null).All.Where(f => f.Section == "method" && f.IsBuilt).Select(f => f.Schema).ToList();
        var options = new JsonObject { ["type"] = method };
        foreach (var (key, fallback) in TrlKeys.Defaults(method))
            if (!given.ContainsKey(key) && Option(flags, key) is { } option && !JsonNode.DeepEquals(option.Default, fallback) && key is not ("seed" or "save_steps")) options[option.Name] = fallback.DeepClone();
        Length(options);
        Schedule(options);
        Records(options);
        Numbers(options);
        foreach (var (key, (value, at)) in given)
            if (TrlRefusals.Of(method, key, Option(flags, key)?.Choices ?? [], other => given.TryGetValue(other, out var own) ? own.At.Value : null) is { } why) Fault($"{At(at)}: {key}: {value.ToJsonString()}; {why}");
            else Plain(options, flags, key, at);
        var (model, datasets) = (Model(), Datasets(options));
        foreach (var (key, at) in nulls) Null(options, flags, key, at);
        Rename(options);
        DropUnused(options, flags);
        Standing();
        Throw();
        return Checked(new ImportedManifest(Path.GetFileNameWithoutExtension(file), Whole("seed") ?? 42, model, datasets, adapter, options, notes, dropped), flags);
    }

    private void Plain(JsonObject options, List<Plugins.OptionSchema> flags, string key, DocumentEntry at)
    {
        if (TrlKeys.Special.Contains(key)) return;
        if (Option(flags, key) is { } option)
        {
            if (TrlValues.As(option.Type, at.Value) is { } value) options[option.Name] = value;
            else Fault($"{At(at)}: {key} must be {Kind(option.Type)}, but is {given[key].Value.ToJsonString()}");
        }
        else if (TrlKeys.OfLosses.Contains(key))
        {
            if (Number(key) is not 0) notes.Add($"{key} is left out: it has no effect on {method} (TRL takes it and leaves it unused)");
        }
        else if (TrlKeys.WithoutCounterpart.TryGetValue(key, out var known))
        {
            var value = known.Default is JsonValue like && like.TryGetValue<bool>(out _) && TrlValues.Truth(at.Value) is { } flag ? flag : given[key].Value;
            if (!JsonNode.DeepEquals(known.Default, value)) dropped.Add($"{key}: {value.ToJsonString()}; {known.Instead}");
        }
        else if (!TrlKeys.WithoutEffect.Contains(key))
        {
            Unknown(flags, key, at);
        }
    }

    private void Unknown(List<Plugins.OptionSchema> flags, string key, DocumentEntry at)
    {
        var all = TrlKeys.Known.Concat(flags.SelectMany(f => f.Aliases.Prepend(f.Name)));
        Fault($"{At(at)}: '{key}' is no key of TRL's {method} configuration that is known here.{Suggestions.Hint(key, [.. all])}");
    }

    private static string Kind(OptionType type) => (type.Element ?? type).Kind switch
    {
        OptionKind.Bool => "true or false",
        OptionKind.Int or OptionKind.Long or OptionKind.Double => type.Kind is OptionKind.List ? "numbers" : "a number",
        _ => "a value without null",
    };

    // A null is a value: for some keys it is TRL's default, for two a setting of its own, and for the others something that TRL's fields do not describe.
    private void Null(JsonObject options, List<Plugins.OptionSchema> flags, string key, DocumentEntry at)
    {
        if (key == "max_grad_norm")
        {
            options["max_grad_norm"] = 0;
        }
        else if (key == "max_length")
        {
            if (Flag("packing") is true) Fault($"{At(at)}: max_length is null: packs have a length (TRL, too, cannot pack so); give the tokens of a pack, or packing: false");
            options["max_length"] = LearnedPositions.Of(Folder) ?? int.MaxValue;
            notes.Add("max_length: null: TRL cuts no row, and fails on one beyond the positions that a model has learned; here rows are cut where learned positions end, and others are not cut");
        }
        else if (Option(flags, key) is null && !TrlKeys.Known.Contains(key))
        {
            Unknown(flags, key, at);
        }
        else if (!TrlKeys.MayBeNull(key))
        {
            dropped.Add($"{key}: null; TRL has no such value here: its default is taken");
        }
    }

    // Values that TRL calls by another name than it used to.
    private void Rename(JsonObject options)
    {
        foreach (var (key, old, now) in TrlKeys.OldNames)
        {
            if (Text(options[key]) != old) continue;
            options[key] = now;
            if (old is "alphapo") options["cpo_alpha"] = 0.0;
            notes.Add($"{key}: {old} is {now}{(old is "alphapo" ? " with cpo_alpha 0" : "")}, as in TRL, where the two are the same");
        }
    }

    // An option that the language refuses is dropped, with the reason, and TRL's default takes its place; what only a person can fix ends the import.
    private ImportedManifest Checked(ImportedManifest made, List<Plugins.OptionSchema> flags)
    {
        HashSet<string> gone = [];
        while (made.Faults(plugins) is { Count: > 0 } found)
        {
            foreach (var (path, message) in found.Where(fault => !Follows(fault.Path, found, flags))) made = Left(made, flags, path, message, gone);
            Throw();
        }
        return made;
    }

    // Whether an option is refused only because another is, which decides whether it means something.
    private static bool Follows(string path, IReadOnlyList<(string Path, string Message)> found, List<Plugins.OptionSchema> flags)
    {
        var decides = flags.FirstOrDefault(f => path == $"methods.method.{f.Name}")?.OnlyWith.Split('=')[0];
        return decides is { Length: > 0 } && found.Any(fault => fault.Path == $"methods.method.{decides}");
    }

    private ImportedManifest Left(ImportedManifest made, List<Plugins.OptionSchema> flags, string path, string message, HashSet<string> gone)
    {
        var (section, name) = (path.Split('.')[0], path.Split('.')[^1]);
        string[] spellings = [.. TrlKeys.Origins(section, name), .. Option(flags, name)?.Aliases ?? [], name];
        var key = spellings.FirstOrDefault(given.ContainsKey);
        var place = key is null ? $"{file}: {path}" : $"{At(given[key].At)}: {key}: {given[key].Value.ToJsonString()}";
        var options = section switch { "methods" => made.Method, "adapters" => made.Adapter, _ => null };
        if (key is null || !gone.Add(path) || (section != "seeds" && (name == "type" || options?.Remove(name) is not true)))
        {
            Fault($"{place}: {message}");
            return made;
        }
        var theirs = section == "adapters" ? TrlKeys.AdapterDefaults : TrlKeys.Defaults(method);
        var standard = spellings.Select(spelling => theirs.GetValueOrDefault(spelling)).FirstOrDefault(value => value is not null);
        if (options is not null && standard is not null) options[name] = standard.DeepClone();
        dropped.Add($"{place}; {message}; {(standard is null ? "it is left out" : $"TRL's default {Text(standard)} is taken")}");
        return section == "seeds" ? made with { Seed = 42 } : made;
    }

    // TRL, too, leaves these unused; here an option that has no use is a fault.
    private void DropUnused(JsonObject options, List<Plugins.OptionSchema> flags)
    {
        if (Flag("packing") is true && options.Remove("truncation")) notes.Add("truncation_mode is left out: it has no effect with packing (TRL keeps the start of what is longer than a pack)");
        foreach (var option in flags.Where(f => f.OnlyWith.Contains('=', StringComparison.Ordinal) && options.ContainsKey(f.Name)).ToList())
        {
            var (other, values) = (option.OnlyWith.Split('=')[0], option.OnlyWith.Split('=')[1].Split('|'));
            var decides = flags.FirstOrDefault(f => f.Name == other);
            var actual = options[other] ?? decides?.Default;
            var found = actual is JsonArray list ? list.Select(Text) : [Text(actual)];
            // A value that we do not have is dropped too, and then the value in its place decides.
            if (found.Any(values.Contains) || found.Any(text => decides is { Choices.Count: > 0 } && !decides.Choices.Contains(text))) continue;
            notes.Add($"{option.Name} is left out: it has no effect with {other} {string.Join(", ", found)} (TRL takes it and leaves it unused)");
            options.Remove(option.Name);
        }
    }

    private static string Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : node?.ToJsonString() ?? "";

    private static Plugins.OptionSchema? Option(List<Plugins.OptionSchema> flags, string key) => flags.FirstOrDefault(f => f.Name == key || f.Aliases.Contains(key));

    private bool? Flag(string key)
    {
        if (!given.TryGetValue(key, out var own)) return null;
        if (TrlValues.Truth(own.At.Value) is { } flag) return flag;
        Fault($"{At(own.At)}: {key} must be true or false, but is {own.Value.ToJsonString()}");
        return null;
    }

    private JsonNode? Numeric(string key)
    {
        if (!given.TryGetValue(key, out var own)) return null;
        if (TrlValues.Number(own.At.Value) is { } number) return number;
        Fault($"{At(own.At)}: {key} must be a number, but is {own.Value.ToJsonString()}");
        return null;
    }

    private double? Number(string key) => Numeric(key) is { } number ? Real(number) : null;

    private static double Real(JsonNode number) => number.AsValue().TryGetValue<long>(out var whole) ? whole : (double)number;

    private long? Whole(string key)
    {
        if (Number(key) is not { } number) return null;
        if (number == Math.Truncate(number) && Math.Abs(number) < 1e15) return (long)number;
        Fault($"{At(given[key].At)}: {key} must be a whole number, but is {given[key].Value.ToJsonString()}");
        return null;
    }
}
