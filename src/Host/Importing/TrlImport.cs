// From a configuration of `trl METHOD --config FILE` (TRL 1.16) to a manifest. Keys that are options of ours by name or alias are
// taken as they are; defaults of TRL that differ from ours are written out; what means something else, or nothing, is said.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Host.SingleTraining;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Importing;

internal sealed class TrlImport
{
    private readonly string file, method;
    private readonly PluginCatalogue plugins;
    private readonly Dictionary<string, (JsonNode Value, DocumentEntry At)> given = [];
    private readonly List<string> notes = [], dropped = [], faults = [];

    private TrlImport(string file, string method, PluginCatalogue plugins) => (this.file, this.method, this.plugins) = (file, method, plugins);

    /// <summary>Reads a configuration.</summary>
    /// <param name="text">Its YAML.</param>
    /// <param name="file">Its path, for messages and the experiment's name.</param>
    /// <param name="method">One of <see cref="TrlKeys.Methods"/>.</param>
    /// <param name="plugins">What methods and adapters there are.</param>
    /// <exception cref="UserErrorException">All mistakes of the file, with their lines.</exception>
    internal static ImportedManifest Read(string text, string file, string method, PluginCatalogue plugins)
    {
        var import = new TrlImport(file, method, plugins);
        import.Take(text);
        return import.Map();
    }

    private void Take(string text)
    {
        var document = DocumentTrees.Read(text);
        foreach (var fault in document.Faults) faults.Add(FormattableString.Invariant($"{file}:{fault.Line}:{fault.Column}: {fault.Message}"));
        if (document.Root is { Kind: not "mapping" } other) faults.Add(FormattableString.Invariant($"{file}:{other.Line}: a configuration of TRL is a mapping from keys to values, not a {other.Kind}"));
        foreach (var entry in document.Root?.Entries ?? [])
            if (Value(entry.Value) is { } value) given[entry.Key] = (value, entry);
        Throw();
    }

    private void Throw()
    {
        if (faults.Count > 0) throw new UserErrorException(string.Join(Environment.NewLine, faults));
    }

    private static JsonNode? Value(DocumentNode node) => node.Kind switch
    {
        "nothing" => null,
        "boolean" => node.Text.ToLowerInvariant() is "true" or "yes" or "on",
        "number" when !double.IsFinite(node.Number) => node.Text,
        "number" => Math.Abs(node.Number) < 1e15 && node.Number == Math.Truncate(node.Number) && !node.Text.Contains('.') && !node.Text.Contains('e', StringComparison.OrdinalIgnoreCase) ? (long)node.Number : node.Number,
        "list" => new JsonArray([.. node.Items.Select(Value)]),
        "mapping" => new JsonObject(node.Entries.Select(e => KeyValuePair.Create(e.Key, Value(e.Value)))),
        // transformers' parser reads "1e-5", which YAML 1.1 leaves a text.
        _ => node.Text.Length > 0 && (char.IsAsciiDigit(node.Text[0]) || node.Text[0] == '-') && double.TryParse(node.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out var number) && double.IsFinite(number) ? number : node.Text,
    };

    private ImportedManifest Map()
    {
        var (peft, fourBit) = (Flag("use_peft") ?? false, Flag("load_in_4bit") ?? false);
        var adapter = peft ? Adapter(fourBit) : null;
        if (!peft && fourBit) dropped.Add("load_in_4bit: a 4-bit base is trained through an adapter only; set use_peft");
        // What is no flag of this method is no option of its manifest either.
        var flags = TrainFlags.Of(plugins, method, adapter is null ? null : (string?)adapter["type"], quantization: null).All.Where(f => f.Section == "method" && f.IsBuilt).Select(f => f.Schema).ToList();
        var options = new JsonObject { ["type"] = method };
        foreach (var (key, fallback) in TrlKeys.Defaults(method))
            if (!given.ContainsKey(key) && Option(flags, key) is { } option && !JsonNode.DeepEquals(option.Default, fallback) && key is not ("seed" or "save_steps")) options[option.Name] = fallback.DeepClone();
        Length(options);
        Schedule(options);
        Records(options);
        Numbers(options);
        foreach (var (key, (value, at)) in given) Plain(options, flags, key, value, at);
        DropUnused(options, flags);
        var (model, datasets) = (Model(), Datasets(options));
        Standing();
        Throw();
        var name = Path.GetFileNameWithoutExtension(file);
        return new ImportedManifest(name, (long)(Number("seed") ?? 42), model, datasets, adapter, options, notes, dropped);
    }

    private void Plain(JsonObject options, List<Plugins.OptionSchema> flags, string key, JsonNode value, DocumentEntry at)
    {
        if (TrlKeys.Special.Contains(key)) return;
        if (Option(flags, key) is { } option)
        {
            options[option.Name] = value.DeepClone();
        }
        else if (TrlKeys.OfLosses.Contains(key))
        {
            if (!JsonNode.DeepEquals(0, value)) notes.Add($"{key} is left out: it has no effect on {method} (TRL takes it and leaves it unused)");
        }
        else if (TrlKeys.WithoutCounterpart.TryGetValue(key, out var known))
        {
            if (!JsonNode.DeepEquals(known.Default, value)) dropped.Add($"{key}: {value.ToJsonString()}; {known.Instead}");
        }
        else if (!TrlKeys.WithoutEffect.Contains(key))
        {
            var all = TrlKeys.Known.Concat(flags.SelectMany(f => f.Aliases.Prepend(f.Name)));
            faults.Add(FormattableString.Invariant($"{file}:{at.Line}:{at.Column}: '{key}' is no key of TRL's {method} configuration that is known here.{Suggestions.Hint(key, [.. all])}"));
        }
    }

    // TRL, too, leaves these unused; here an option that has no use is a fault.
    private void DropUnused(JsonObject options, List<Plugins.OptionSchema> flags)
    {
        foreach (var option in flags.Where(f => f.OnlyWith.Contains('=', StringComparison.Ordinal) && options.ContainsKey(f.Name)).ToList())
        {
            var (other, values) = (option.OnlyWith.Split('=')[0], option.OnlyWith.Split('=')[1].Split('|'));
            var actual = options[other] ?? flags.FirstOrDefault(f => f.Name == other)?.Default;
            var found = actual is JsonArray list ? list.Select(Text) : [Text(actual)];
            if (found.Any(values.Contains)) continue;
            notes.Add($"{option.Name} is left out: it has no effect with {other} {string.Join(", ", found)} (TRL takes it and leaves it unused)");
            options.Remove(option.Name);
        }
    }

    private static string Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : node?.ToJsonString() ?? "";

    private static Plugins.OptionSchema? Option(List<Plugins.OptionSchema> flags, string key) => flags.FirstOrDefault(f => f.Name == key || f.Aliases.Contains(key));

    private JsonObject Adapter(bool fourBit)
    {
        var adapter = new JsonObject { ["type"] = fourBit ? "qlora" : "lora" };
        JsonNode Of(string key) => given.TryGetValue(key, out var own) ? own.Value.DeepClone() : TrlKeys.AdapterDefaults[key].DeepClone();
        (adapter["rank"], adapter["alpha"], adapter["dropout"]) = (Of("lora_r"), Of("lora_alpha"), Of("lora_dropout"));
        foreach (var (theirs, ours) in new[] { ("lora_target_modules", "targets"), ("lora_modules_to_save", "modules_to_save"), ("use_rslora", "use_rslora"), ("use_dora", "use_dora") })
            if (given.TryGetValue(theirs, out var own)) adapter[ours] = own.Value.DeepClone();
        if (!fourBit) return adapter;
        var known = plugins.Find("quantization", "nf4").Contract.Options.Options;
        if (given.TryGetValue("bnb_4bit_quant_type", out var type)) adapter[known.Any(o => o.Name == "quant_type") ? "quant_type" : "quantization"] = type.Value.DeepClone();
        if (Flag("use_bnb_nested_quant") is { } nested) adapter["double_quant"] = nested;
        return adapter;
    }

    private void Length(JsonObject options)
    {
        if (Number("max_steps") is { } steps and > 0)
        {
            options["max_steps"] = (long)steps;
            if (given.ContainsKey("num_train_epochs")) notes.Add("num_train_epochs is left out: max_steps decides, as in TRL");
        }
        else
        {
            options["epochs"] = Number("num_train_epochs") ?? 3;
        }
    }

    private void Schedule(JsonObject options)
    {
        var constant = given.TryGetValue("lr_scheduler_type", out var shape) && (string?)shape.Value is "constant";
        if (Number("warmup_steps") is { } steps and > 0)
        {
            if (constant) notes.Add("warmup_steps is left out: a constant schedule has no warm-up (constant_with_warmup has)");
            else if (steps < 1) options["warmup_ratio"] = steps;
            else options["warmup_steps"] = (long)steps;
        }
        else if (Number("warmup_ratio") is { } ratio and > 0)
        {
            if (constant) notes.Add("warmup_ratio is left out: a constant schedule has no warm-up (constant_with_warmup has)");
            else options["warmup_ratio"] = ratio;
        }
        if (!given.TryGetValue("optim", out var optim)) return;
        if (TrlKeys.Optimizer(Text(optim.Value)) is { } optimizer) options["optimizer"] = optimizer;
        else dropped.Add($"optim: {Text(optim.Value)}; adamw is taken (there are adamw, paged_adamw, adamw_8bit, paged_adamw_8bit, rmsprop, sgd)");
    }

    private void Records(JsonObject options)
    {
        var save = given.TryGetValue("save_strategy", out var saving) ? Text(saving.Value) : "steps";
        if (save == "steps" && Number("save_steps") is var every && (every ?? 500) >= 1) options["save_every"] = (long)(every ?? 500);
        else if (save is not "no") dropped.Add($"save_strategy {save}, save_steps {Number("save_steps")}; checkpoints are written every save_every steps, and at the end");
        if (Number("data_seed") is { } order) options["data_seed"] = (long)order;
        if (given.TryGetValue("train_sampling_strategy", out var sampling) ? Text(sampling.Value) is "sequential" : method == "kto")
            options["shuffle"] = false;
        else if (given.ContainsKey("train_sampling_strategy") && Text(sampling.Value) is not "random")
            dropped.Add($"train_sampling_strategy: {Text(sampling.Value)}; rows are drawn in random order (shuffle), or in theirs");
    }

    private void Numbers(JsonObject options)
    {
        if (Flag("bf16") is true || (given.TryGetValue("dtype", out var dtype) && Text(dtype.Value) is "bfloat16")) options["dtype"] = "bfloat16";
        else if (Flag("fp16") is true) dropped.Add("fp16: true; there is no loss scaling: train in bfloat16 or float32 (dtype)");
        else if (Flag("bf16") is false) options["dtype"] = "float32";
        else notes.Add("bf16 is not given: TRL computes in bfloat16 where the device can; here dtype is float32 on a processor and bfloat16 on CUDA");
        if (Flag("gradient_checkpointing") is true) notes.Add("gradient_checkpointing is left out: it changes no number, and packs without padding need less memory without it; set it where memory is short");
    }

    private JsonObject Model()
    {
        var model = new JsonObject { ["path"] = given.TryGetValue("model_name_or_path", out var path) ? Text(path.Value) : "MODEL" };
        if (!given.ContainsKey("model_name_or_path")) notes.Add("the configuration names no model: put its folder for MODEL");
        else if (!Directory.Exists(Text(path.Value))) notes.Add($"{Text(path.Value)} is no folder here: `peftalign models pull {Text(path.Value)}` fetches it from the hub and prints its folder; give it by --set models.model.path=FOLDER");
        if (given.TryGetValue("chat_template_path", out var template)) model["chat_template"] = Text(template.Value);
        return model;
    }

    private JsonObject Datasets(JsonObject options)
    {
        var train = new JsonObject { ["reader"] = "jsonl", ["path"] = given.TryGetValue("dataset_name", out var name) ? Text(name.Value) : "DATA.jsonl" };
        if (!given.ContainsKey("dataset_name")) notes.Add("the configuration names no data set: put the rows' file for DATA.jsonl");
        else if (!File.Exists(Text(name.Value))) notes.Add($"{Text(name.Value)} is no file here: write its split '{(given.TryGetValue("dataset_train_split", out var split) ? Text(split.Value) : "train")}' as JSON lines and give it by --set datasets.train.path=FILE");
        if (given.TryGetValue("dataset_text_field", out var field) && Text(field.Value) != "text") train["map"] = new JsonObject { ["text"] = Text(field.Value) };
        var datasets = new JsonObject { ["train"] = train };
        var eval = given.TryGetValue("eval_strategy", out var strategy) ? Text(strategy.Value) : "no";
        if (eval == "steps")
        {
            datasets["test"] = new JsonObject { ["reader"] = "jsonl", ["path"] = "TEST.jsonl" };
            (options["eval_data"], options["eval_every"]) = ("test", (long)(Number("eval_steps") ?? Number("logging_steps") ?? 10));
            notes.Add($"put the file of the split '{(given.TryGetValue("dataset_test_split", out var test) ? Text(test.Value) : "test")}' for TEST.jsonl");
        }
        else if (eval != "no")
        {
            dropped.Add($"eval_strategy: {eval}; evaluation is every eval_every steps on eval_data");
        }
        return datasets;
    }

    // What holds for every configuration.
    private void Standing()
    {
        notes.Add("random numbers are keyed by seed, row and step: another order of rows, other dropout masks and other LoRA starts than torch's for the same seed");
        notes.Add("rows without a trained token (cut away, or empty) are refused and counted; TRL trains on them with loss 0");
        if (method is "sft" && !given.ContainsKey("completion_only_loss")) notes.Add("as in TRL, rows of prompt and completion are trained on the completion, rows of text on all of it");
        if (method is "cpo" && !given.ContainsKey("cpo_alpha")) notes.Add("cpo_alpha is TRL's 1.0, also where loss_type is simpo: set it to 0 for the paper's SimPO");
    }

    private bool? Flag(string key)
    {
        if (!given.TryGetValue(key, out var own)) return null;
        if (own.Value is JsonValue value && value.TryGetValue<bool>(out var flag)) return flag;
        faults.Add(FormattableString.Invariant($"{file}:{own.At.Line}:{own.At.Column}: {key} must be true or false, but is {own.Value.ToJsonString()}"));
        return null;
    }

    private double? Number(string key)
    {
        if (!given.TryGetValue(key, out var own)) return null;
        if (own.Value is JsonValue value && value.GetValueKind() == System.Text.Json.JsonValueKind.Number) return value.TryGetValue<long>(out var whole) ? whole : value.GetValue<double>();
        faults.Add(FormattableString.Invariant($"{file}:{own.At.Line}:{own.At.Column}: {key} must be a number, but is {own.Value.ToJsonString()}"));
        return null;
    }
}
