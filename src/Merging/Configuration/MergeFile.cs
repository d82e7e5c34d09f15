// Reads mergekit's YAML: models, slices or modules, with base_model, parameters, dtype, out_dtype, tokenizer and chat_template.
// Unknown keys are mistakes here; mergekit ignores them.

using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Plugins;

namespace PeftAlign.Merging;

/// <param name="faults">Where mistakes go.</param>
/// <param name="find">The parameters of a strategy by name; throws with suggestions where there is none.</param>
internal sealed class MergeFile(MergeFaults faults, Func<string, OptionsSchema> find)
{
    private static readonly string[] Keys =
        ["merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype", "tokenizer_source", "tokenizer", "chat_template"];

    private static readonly string[] Dtypes = ["float32", "bfloat16", "float16", "float64"];

    private SettingReader settings = null!;

    /// <summary>Reads a document.</summary>
    /// <exception cref="UserErrorException">It has mistakes; each is a line.</exception>
    public MergeConfig Read(string text)
    {
        var document = DocumentTrees.Read(text);
        foreach (var fault in document.Faults) faults.Add(new Spot(fault.Line, fault.Column), fault.Message);
        faults.ThrowIfAny();
        var root = document.Root;
        if (!faults.IsMapping(root, "a merge configuration")) throw faults.Errors();
        if (root!.Entries.FirstOrDefault(entry => entry.Key is "experts" or "gate_mode") is { } expert)
            throw faults.Error(new Spot(expert.Value.Line, expert.Value.Column), $"{expert.Key} belongs to mergekit-moe, which makes mixtures of experts and is not built here; run mergekit-moe itself, or merge the models into one, for instance with merge_method: linear.");
        faults.OnlyKeys(root, "a merge configuration", Keys);
        var method = Text(root, "merge_method") ?? throw faults.Error(MergeFaults.Of(root), "merge_method is missing; name a strategy, for instance linear, slerp or ties.");
        settings = new SettingReader(method.Text, Schema(method), faults);
        var config = Whole(root, method);
        faults.ThrowIfAny();
        return config;
    }

    private OptionsSchema Schema((string Text, Spot At) method)
    {
        try
        {
            return find(method.Text);
        }
        catch (Exception e) when (e is PluginException or UserErrorException)
        {
            faults.Add(method.At, e.Message);
            faults.ThrowIfAny();
            throw;
        }
    }

    private MergeConfig Whole(DocumentNode root, (string Text, Spot At) method)
    {
        var given = new[] { "models", "slices", "modules" }.Where(key => root.Find(key) is { Kind: not "nothing" }).ToList();
        if (given.Count != 1) throw faults.Error(MergeFaults.Of(root), $"exactly one of models, slices and modules says what is merged; this file has {(given.Count == 0 ? "none" : string.Join(" and ", given))}.");
        var (slices, listed, module) = Parts(root, given[0]);
        return new MergeConfig(method.Text, method.At, Model(root.Find("base_model")), slices, listed, module, settings.Read(root.Find("parameters"), false))
        {
            Dtype = Dtype(root, "dtype"),
            OutDtype = Dtype(root, "out_dtype"),
            Tokenizer = Tokenizer(root),
            ChatTemplate = Text(root, "chat_template"),
        };
    }

    private (List<SliceConfig> Slices, bool Listed, Settings Module) Parts(DocumentNode root, string key)
    {
        var node = root.Find(key)!;
        if (key == "models") return ([Models(node)], true, Settings.None);
        if (key == "slices") return (Slices(node), false, Settings.None);
        if (!faults.IsMapping(node, key)) return ([], false, Settings.None);
        if (node.Entries is not [var one])
        {
            faults.Add(MergeFaults.Of(node), $"a language model has one module; this file names {node.Entries.Count}: {string.Join(", ", node.Entries.Select(e => e.Key))}.");
            return ([], false, Settings.None);
        }
        var module = one.Value;
        if (!faults.IsMapping(module, one.Key)) return ([], false, Settings.None);
        faults.OnlyKeys(module, "a module", "models", "slices", "parameters");
        var own = settings.Read(module.Find("parameters"), false);
        if (module.Find("models") is null == module.Find("slices") is null)
            throw faults.Error(MergeFaults.Of(module), $"the module {one.Key} needs models or slices, one of them.");
        return module.Find("models") is { } models ? ([Models(models)], true, own) : (Slices(module.Find("slices")!), false, own);
    }

    private SliceConfig Models(DocumentNode node) => new(Sources(node, false), null, Settings.None, MergeFaults.Of(node));

    private List<SliceConfig> Slices(DocumentNode node)
    {
        if (!faults.IsList(node, "slices")) return [];
        var slices = new List<SliceConfig>();
        foreach (var item in node.Items)
        {
            if (!faults.IsMapping(item, "a slice")) continue;
            faults.OnlyKeys(item, "a slice", "sources", "base_model", "parameters");
            if (item.Find("sources") is { } sources)
                slices.Add(new SliceConfig(Sources(sources, true), Model(item.Find("base_model")), settings.Read(item.Find("parameters"), false), MergeFaults.Of(item)));
            else faults.Add(MergeFaults.Of(item), "a slice needs sources.");
        }
        if (node.Items.Count == 0) faults.Add(MergeFaults.Of(node), "slices is empty; the result would have no layers.");
        return slices;
    }

    private List<SourceConfig> Sources(DocumentNode node, bool ranges)
    {
        if (!faults.IsList(node, ranges ? "sources" : "models")) return [];
        var sources = new List<SourceConfig>();
        foreach (var item in node.Items)
        {
            if (!faults.IsMapping(item, "a model of the list")) continue;
            faults.OnlyKeys(item, "a model of the list", ranges ? ["model", "layer_range", "parameters"] : ["model", "parameters"]);
            if (Model(item.Find("model")) is { } model)
                sources.Add(new SourceConfig(model, ranges ? Range(item) : null, settings.Read(item.Find("parameters"), true), MergeFaults.Of(item)));
            else if (item.Find("model") is null or { Kind: "nothing" }) faults.Add(MergeFaults.Of(item), "an entry needs a model: a folder, or a folder and an adapter as base+adapter.");
        }
        if (node.Items.Count == 0) faults.Add(MergeFaults.Of(node), "the list of models is empty.");
        return sources;
    }

    private (long, long, Spot)? Range(DocumentNode source)
    {
        if (source.Find("layer_range") is { Kind: "list", Items: [var first, var end] } node && double.IsInteger(first.Number) && double.IsInteger(end.Number))
        {
            if (first.Number >= 0 && first.Number < end.Number) return ((long)first.Number, (long)end.Number, MergeFaults.Of(node));
            faults.Add(MergeFaults.Of(node), $"layer_range [{first.Text}, {end.Text}] holds no layers; the first is at least 0 and below the end, which is not part of it.");
            return null;
        }
        faults.Add(MergeFaults.Of(source.Find("layer_range") ?? source), "a source of a slice needs layer_range: [FIRST, END], whole numbers, END not part of it.");
        return null;
    }

    private ModelName? Model(DocumentNode? node)
    {
        if (node is null || node.Kind == "nothing") return null;
        if (node.Kind is not ("mapping" or "list")) return Named(node.Text, MergeFaults.Of(node));
        faults.Add(MergeFaults.Of(node), $"a model is a text, PATH or PATH+ADAPTER, not a {node.Kind}.");
        return null;
    }

    private ModelName? Named(string text, Spot at)
    {
        if (!string.IsNullOrWhiteSpace(text) && !text.Contains('\0', StringComparison.Ordinal)) return new ModelName(text, at);
        faults.Add(at, $"'{text.Replace("\0", "\\0", StringComparison.Ordinal)}' is no model; write PATH or PATH+ADAPTER.");
        return null;
    }

    private (string Text, Spot At)? Text(DocumentNode root, string key)
    {
        if (root.Find(key) is not { Kind: not "nothing" } node) return null;
        if (node.Kind is not ("mapping" or "list")) return (node.Text, MergeFaults.Of(node));
        faults.Add(MergeFaults.Of(node), $"{key} must be a text, but is a {node.Kind}.");
        return null;
    }

    private string? Dtype(DocumentNode root, string key)
    {
        if (Text(root, key) is not var (text, at)) return null;
        if (Dtypes.Contains(text)) return text;
        var meant = text switch { "bf16" => "bfloat16", "fp16" or "half" => "float16", "fp32" or "float" => "float32", _ => null };
        faults.Add(at, $"{key} cannot be '{text}'.{(meant is null ? Suggestions.Hint(text, Dtypes) : $" Did you mean '{meant}'?")}");
        return null;
    }

    private TokenizerConfig? Tokenizer(DocumentNode root)
    {
        var (source, node) = (Text(root, "tokenizer_source"), root.Find("tokenizer"));
        if (source is var (text, at))
        {
            if (node is not null) throw faults.Error(at, "tokenizer_source and tokenizer say the same; keep one of them.");
            return Tokenizer(text, at, new Dictionary<string, TokenConfig>(), null);
        }
        if (node is null || node.Kind == "nothing" || !faults.IsMapping(node, "tokenizer")) return null;
        faults.OnlyKeys(node, "tokenizer", "source", "tokens", "pad_to_multiple_of");
        var tokens = new Dictionary<string, TokenConfig>();
        if (node.Find("tokens") is { Kind: not "nothing" } given && faults.IsMapping(given, "tokens"))
            foreach (var entry in given.Entries) tokens[entry.Key] = Token(entry);
        long? pad = null;
        if (node.Find("pad_to_multiple_of") is { Kind: not "nothing" } multiple)
        {
            if (double.IsInteger(multiple.Number) && multiple.Number is >= 1 and <= 1 << 20) pad = (long)multiple.Number;
            else faults.Add(MergeFaults.Of(multiple), $"pad_to_multiple_of must be a whole number from 1, but is {MergeFaults.Shown(multiple)}.");
        }
        var named = Text(node, "source");
        return Tokenizer(named?.Text ?? "union", named?.At ?? MergeFaults.Of(node), tokens, pad);
    }

    private TokenizerConfig? Tokenizer(string source, Spot at, IReadOnlyDictionary<string, TokenConfig> tokens, long? pad)
    {
        if (source is "union" or "base") return new TokenizerConfig(source, null, tokens, pad, at);
        return Named(source, at) is { } model ? new TokenizerConfig("model", model, tokens, pad, at) : null;
    }

    private TokenConfig Token(DocumentEntry entry)
    {
        var (node, at) = (entry.Value, new Spot(entry.Line, entry.Column));
        if (!faults.IsMapping(node, entry.Key)) return new TokenConfig(false, null, null, null, false, at);
        faults.OnlyKeys(node, $"the token {entry.Key}", "source", "force");
        var force = node.Find("force") is { } flag && (SettingReader.Flag(flag) ?? Faulty(flag, "force must be true or false."));
        if (node.Find("source") is not { Kind: not "nothing" } source)
        {
            if (force) Faulty(node, $"the token {entry.Key} is forced and has no source; give it one: {{kind: zero}}, a model, or a token of one.");
            return new TokenConfig(false, null, null, null, force, at);
        }
        if (source.Kind != "mapping") return new TokenConfig(false, Model(source), null, null, force, at);
        faults.OnlyKeys(source, "a token's source", "kind", "model", "token", "token_id");
        var kind = source.Find("kind")?.Text;
        if (kind == "zero") return new TokenConfig(true, null, null, null, force, at);
        var (text, id) = (source.Find("token")?.Text, source.Find("token_id"));
        if (kind != "model_token" || source.Find("model") is null || text is null == id is null || (id is not null && !(double.IsInteger(id.Number) && id.Number >= 0)))
            Faulty(source, "a token's source is {kind: zero}, {kind: model_token, model: PATH, token: TEXT} or {kind: model_token, model: PATH, token_id: ID}, or a model.");
        return new TokenConfig(false, Model(source.Find("model")), text, (long?)id?.Number, force, at);
    }

    private bool Faulty(DocumentNode node, string message)
    {
        faults.Add(MergeFaults.Of(node), message);
        return false;
    }
}
