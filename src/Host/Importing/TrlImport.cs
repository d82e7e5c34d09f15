// From a configuration of `trl METHOD --config FILE` (TRL 1.16) to a manifest. Keys that are options of ours by name or alias are
// taken as they are; defaults of TRL that differ from ours are written out; what means something else, or nothing, is said. The
// manifest is read as `run` reads it before it is handed out: what the language refuses is not carried over.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Host.SingleTraining;
using PeftAlign.Plugins;

namespace PeftAlign.Host.Importing;

internal sealed class TrlImport
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
        // What is no flag of this method is no option of its manifest either.
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

    // A null is a value: for some keys TRL's default, for two another setting, and what TRL's fields say nothing of for the others.
    private void Null(JsonObject options, List<Plugins.OptionSchema> flags, string key, DocumentEntry at)
    {
        if (key == "max_grad_norm")
        {
            options["max_grad_norm"] = 0;
        }
        else if (key == "max_length")
        {
            if (Flag("packing") is true) Fault($"{At(at)}: max_length is null: packs have a length (TRL, too, cannot pack so); give the tokens of a pack, or packing: false");
            options["max_length"] = ImportedModel.Positions(Folder) ?? int.MaxValue;
            notes.Add("max_length: null: TRL cuts no row; here rows are cut where the model's positions end, and a warning says so");
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

    // What the language refuses goes, with its reason, and TRL's default comes; what only a person can mend ends the import.
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
            // A value that is none of ours goes, too, and what stands instead decides.
            if (found.Any(values.Contains) || found.Any(text => decides is { Choices.Count: > 0 } && !decides.Choices.Contains(text))) continue;
            notes.Add($"{option.Name} is left out: it has no effect with {other} {string.Join(", ", found)} (TRL takes it and leaves it unused)");
            options.Remove(option.Name);
        }
    }

    private static string Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : node?.ToJsonString() ?? "";

    private static Plugins.OptionSchema? Option(List<Plugins.OptionSchema> flags, string key) => flags.FirstOrDefault(f => f.Name == key || f.Aliases.Contains(key));

    private JsonObject Adapter(bool fourBit)
    {
        var adapter = new JsonObject { ["type"] = fourBit ? "qlora" : "lora" };
        JsonNode Of(string key) => Numeric(key) ?? TrlKeys.AdapterDefaults[key].DeepClone();
        (adapter["rank"], adapter["alpha"], adapter["dropout"]) = (Of("lora_r"), Of("lora_alpha"), Of("lora_dropout"));
        foreach (var (theirs, ours) in new[] { ("lora_target_modules", "targets"), ("lora_modules_to_save", "modules_to_save") })
            if (given.TryGetValue(theirs, out var own)) adapter[ours] = own.Value.DeepClone();
        foreach (var same in new[] { "use_rslora", "use_dora" })
            if (Flag(same) is { } on) adapter[same] = on;
        if (!fourBit) return adapter;
        var known = plugins.Find("quantization", "nf4").Contract.Options.Options;
        if (given.TryGetValue("bnb_4bit_quant_type", out var type)) adapter[known.Any(o => o.Name == "quant_type") ? "quant_type" : "quantization"] = type.Value.DeepClone();
        adapter["double_quant"] = Flag("use_bnb_nested_quant") ?? false; // ours is on without a word, TRL's off
        return adapter;
    }

    private void Length(JsonObject options)
    {
        if (Whole("max_steps") is { } steps and > 0)
        {
            options["max_steps"] = steps;
            if (given.ContainsKey("num_train_epochs")) notes.Add("num_train_epochs is left out: max_steps decides, as in TRL");
        }
        else
        {
            options["epochs"] = Number("num_train_epochs") ?? 3;
        }
    }

    private void Schedule(JsonObject options)
    {
        var constant = given.TryGetValue("lr_scheduler_type", out var shape) && Text(shape.Value) is "constant";
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
        if (save == "steps" && Number("save_steps") is not 0 && Updates("save_steps", 500) is { } every) options["save_every"] = every;
        else if (save is not "no") dropped.Add($"save_strategy {save}, save_steps {Number("save_steps")}; checkpoints are written every save_every steps, and at the end");
        if (Whole("data_seed") is { } order) options["data_seed"] = order;
        if (given.TryGetValue("train_sampling_strategy", out var sampling) ? Text(sampling.Value) is "sequential" : method == "kto")
            options["shuffle"] = false;
        else if (given.ContainsKey("train_sampling_strategy") && Text(sampling.Value) is not "random")
            dropped.Add($"train_sampling_strategy: {Text(sampling.Value)}; rows are drawn in random order (shuffle), or in theirs");
    }

    // Every so many updates; a number under 1 is a share of all of them, as transformers counts it. Null where only the rows say how many.
    private long? Updates(string key, double standard)
    {
        var every = Number(key) ?? standard;
        if (every is > 0 and < 1) return Whole("max_steps") is { } steps and > 0 ? (long)Math.Ceiling(steps * every) : null;
        return given.ContainsKey(key) ? Whole(key) : (long)standard;
    }

    private void Numbers(JsonObject options)
    {
        var dtype = given.TryGetValue("dtype", out var type) ? Text(type.Value) : nulls.ContainsKey("dtype") ? "auto" : "float32";
        if (Flag("bf16") is true || dtype is "bfloat16") options["dtype"] = "bfloat16";
        else if (Flag("fp16") is true) dropped.Add("fp16: true; there is no loss scaling: train in bfloat16 or float32 (dtype)");
        else if (Flag("bf16") is false) options["dtype"] = "float32";
        else notes.Add("bf16 is not given: TRL computes in bfloat16 where the device can; here dtype is float32 on a processor and bfloat16 on CUDA");
        if (dtype is "bfloat16" && Flag("use_peft") is not true) notes.Add("dtype: bfloat16 without use_peft: TRL keeps the trained weights, their updates and the optimiser's state in bfloat16, where small updates are lost; here bfloat16 is computed in, and what is trained is float32");
        if (dtype is "float16") dropped.Add($"{At(type.At)}: dtype: float16; small gradients vanish in it, and the loss is not scaled: train in bfloat16 or float32 (dtype)");
        else if (dtype is "auto" && Flag("bf16") is false) notes.Add("dtype auto: TRL trains in the type that the model's weights are stored in; here float32 is computed in");
        else if (dtype is not ("auto" or "bfloat16" or "float32")) Fault($"{At(type.At)}: dtype is auto, bfloat16, float16 or float32, not {dtype}");
        if (Flag("gradient_checkpointing") is true) notes.Add("gradient_checkpointing is left out: it changes no number, and packs without padding need less memory without it; set it where memory is short");
    }

    private string Folder => given.TryGetValue("model_name_or_path", out var path) ? Text(path.Value) : "";

    private JsonObject Model()
    {
        var model = new JsonObject { ["path"] = given.TryGetValue("model_name_or_path", out var path) ? Text(path.Value) : "MODEL" };
        if (!given.ContainsKey("model_name_or_path")) notes.Add("the configuration names no model: put its folder for MODEL");
        else if (!Directory.Exists(Text(path.Value))) notes.Add($"{Text(path.Value)} is no folder here: `peftalign models pull {Text(path.Value)}` fetches it from the hub and prints its folder; give it by --set models.model.path=FOLDER");
        else model["path"] = FromManifest(Text(path.Value));
        if (given.TryGetValue("chat_template_path", out var template)) Template(model, Text(template.Value), template.At);
        notes.AddRange(ImportedModel.Differences(Folder, method, method is "sft" || Flag("disable_dropout") is false));
        return model;
    }

    // TRL reads a template from a file of these endings; of anything else it takes the tokens, too, and grows the embedding.
    private void Template(JsonObject model, string path, DocumentEntry at)
    {
        if (!File.Exists(path)) dropped.Add($"{At(at)}: chat_template_path: {path}; {(Directory.Exists(path) ? "a folder's template would come with its tokens, which are not added" : "it is no file here")}: give the template's own file by --set models.model.chat_template=FILE.jinja");
        else if (!path.EndsWith(".jinja", StringComparison.Ordinal) && !path.EndsWith(".j2", StringComparison.Ordinal)) Fault($"{At(at)}: chat_template_path: {path} is a file, but ends neither in .jinja nor in .j2, which TRL asks for; rename it");
        else model["chat_template"] = FromManifest(path) is var file && file.Contains('/') ? file : $"./{file}";
    }

    // A manifest's paths go from its own folder, a configuration's from the working directory.
    private string FromManifest(string path)
    {
        if (Path.IsPathRooted(path)) return path;
        var full = Path.GetFullPath(path);
        var inside = Path.GetRelativePath(root, full);
        return inside == ".." || inside.StartsWith("../", StringComparison.Ordinal) ? full : inside;
    }

    private JsonObject Datasets(JsonObject options)
    {
        var train = new JsonObject { ["reader"] = "jsonl", ["path"] = given.TryGetValue("dataset_name", out var name) ? Text(name.Value) : "DATA.jsonl" };
        if (!given.ContainsKey("dataset_name")) notes.Add("the configuration names no data set: put the rows' file for DATA.jsonl");
        else if (!File.Exists(Text(name.Value))) notes.Add($"{Text(name.Value)} is no file here: write its split '{(given.TryGetValue("dataset_train_split", out var split) ? Text(split.Value) : "train")}' as JSON lines and give it by --set datasets.train.path=FILE");
        else train["path"] = FromManifest(Text(name.Value));
        if (given.TryGetValue("dataset_text_field", out var field) && Text(field.Value) != "text") train["map"] = new JsonObject { ["text"] = Text(field.Value) };
        var datasets = new JsonObject { ["train"] = train };
        var eval = given.TryGetValue("eval_strategy", out var strategy) ? Text(strategy.Value) : "no";
        if (eval == "steps")
        {
            datasets["test"] = new JsonObject { ["reader"] = "jsonl", ["path"] = "TEST.jsonl" };
            Evaluation(options);
            notes.Add($"put the file of the split '{(given.TryGetValue("dataset_test_split", out var test) ? Text(test.Value) : "test")}' for TEST.jsonl");
        }
        else if (eval != "no")
        {
            dropped.Add($"eval_strategy: {eval}; evaluation is every eval_every steps on eval_data");
        }
        return datasets;
    }

    private void Evaluation(JsonObject options)
    {
        options["eval_data"] = "test";
        var key = Number("eval_steps") is null or 0 ? "logging_steps" : "eval_steps";
        if (Updates(key, 10) is { } every) options["eval_every"] = every;
        else dropped.Add($"{key}: {Number(key)}; a share of all updates, whose number only the rows say: give eval_every, or max_steps; without it there is one pass, after the last update");
        // eval_loss is a mean over batches: it depends on what a batch is.
        options["eval_batch_size"] = Whole("per_device_eval_batch_size") ?? 8;
        if (method is not "sft" || Flag("eval_packing") is not { } packs) return;
        options["eval_packing"] = packs;
        if (packs && Flag("packing") is not true) notes.Add("eval_packing without packing: TRL lets the documents of a pack see each other; here they do not");
    }

    // What holds for every configuration.
    private void Standing()
    {
        notes.Add("random numbers are keyed by seed, row and step: another order of rows, other dropout masks and other LoRA starts than torch's for the same seed");
        notes.Add("rows without a trained token (cut away, or empty) are refused and counted; TRL trains on them with loss 0");
        if (method is "sft" && !given.ContainsKey("completion_only_loss")) notes.Add("as in TRL, rows of prompt and completion are trained on the completion, rows of text on all of it");
        if (method is "cpo" && !given.ContainsKey("cpo_alpha") && !(given.TryGetValue("loss_type", out var loss) && Text(loss.Value) is "alphapo")) notes.Add("cpo_alpha is TRL's 1.0, also where loss_type is simpo: set it to 0 for the paper's SimPO");
    }

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
