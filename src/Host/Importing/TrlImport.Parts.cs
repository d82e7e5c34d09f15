// The parts of the manifest that a configuration of TRL becomes: model, data sets, adapter, and the options of length, schedule, records
// and number types that carry over other than key by key.

using System.Text.Json.Nodes;
using PeftAlign.Core;

namespace PeftAlign.Host.Importing;

internal sealed partial class TrlImport
{
    private JsonObject Adapter(bool fourBit)
    {
        var adapter = new JsonObject { ["type"] = fourBit ? "qlora" : "lora" };
        JsonNode Of(string key) => Numeric(key) ?? TrlKeys.AdapterDefaults[key].DeepClone();
        (adapter["rank"], adapter["alpha"], adapter["dropout"]) = (Of("lora_r"), Of("lora_alpha"), Of("lora_dropout"));
        foreach (var (theirs, ours) in new[] { ("lora_target_modules", "targets"), ("lora_modules_to_save", "modules_to_save") })
            if (given.TryGetValue(theirs, out var own)) adapter[ours] = own.Value.DeepClone();
        foreach (var same in new[] { "use_rslora", "use_dora" })
            if (Flag(same) is { } on) adapter[same] = on;
        if (method is "reward") Head(adapter);
        if (!fourBit) return adapter;
        var known = plugins.Find("quantization", "nf4").Contract.Options.Options;
        if (given.TryGetValue("bnb_4bit_quant_type", out var type)) adapter[known.Any(o => o.Name == "quant_type") ? "quant_type" : "quantization"] = type.Value.DeepClone();
        adapter["double_quant"] = Flag("use_bnb_nested_quant") ?? false; // ours is on without a word, TRL's off
        return adapter;
    }

    // PEFT makes a classifier's head a module that is trained whole under SEQ_CLS only.
    private void Head(JsonObject adapter)
    {
        var kind = given.TryGetValue("lora_task_type", out var task) ? Text(task.Value) : "CAUSAL_LM";
        if (kind is "SEQ_CLS" || (kind is not "CAUSAL_LM" && adapter["modules_to_save"] is not null)) return;
        if (task.Value is null) notes.Add("lora_task_type is not given: with its default CAUSAL_LM TRL ends on a reward model; here the head is trained whole, as with SEQ_CLS");
        else dropped.Add($"{At(task.At)}: lora_task_type: {kind}; {(kind is "CAUSAL_LM" ? "TRL ends on it with a reward model" : "TRL leaves the head as it starts")}; here the head is trained whole, as with SEQ_CLS");
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
            if (!constant) notes.Add("warmup_ratio is carried over as older versions read it; with transformers 5, where warmup_steps under 1 says the same, TRL's scripts pass over it");
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
        if (Streams)
        {
            options["shuffle"] = false; // no sampler draws from a stream
            if (options.ContainsKey("epochs")) notes.Add("a data set that is streamed has no length: TRL ends where max_steps is not given; here epochs are counted");
        }
        else if (given.TryGetValue("train_sampling_strategy", out var sampling) ? Text(sampling.Value) is "sequential" : method == "kto")
            options["shuffle"] = false;
        else if (given.ContainsKey("train_sampling_strategy") && Text(sampling.Value) is not "random")
            dropped.Add($"train_sampling_strategy: {Text(sampling.Value)}; rows are drawn in random order (shuffle), or in theirs");
    }

    // Each flag belongs to its way of naming data: dataset_name, or the list datasets, which goes first.
    private bool Streams => Flag(given.ContainsKey("datasets") ? "streaming" : "dataset_streaming") is true;

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
        if (method is "reward" && given.TryGetValue("pad_token", out var pad)) dropped.Add($"{At(pad.At)}: pad_token: {Text(pad.Value)}; the score is read before the tokenizer's own padding token; set it in the model's tokenizer_config.json");
        if (given.TryGetValue("chat_template_path", out var template)) Template(model, Text(template.Value), template.At);
        // DPO's trainer has the option too, and pads all the same with a warning.
        var documents = method is "sft" && (Flag("padding_free") is true || (Flag("packing") is true && !(given.TryGetValue("packing_strategy", out var strategy) && Text(strategy.Value) is "wrapped")));
        notes.AddRange(ImportedModel.Differences(Folder, method, method is "sft" || Flag("disable_dropout") is false, documents));
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
        var datasets = new JsonObject();
        Rows(datasets);
        var eval = given.TryGetValue("eval_strategy", out var strategy) ? Text(strategy.Value) : "no";
        if (eval != "no")
        {
            var split = Split("dataset_test_split", "test");
            // Of `datasets` TRL makes one split, train.
            var files = given.TryGetValue("dataset_name", out var name) && !given.ContainsKey("datasets") ? TrlFiles.OfFolder(Text(name.Value), split) : [];
            Declare(datasets, "test", files, "TEST.jsonl");
            Evaluation(options, eval);
            if (files.Count == 0) notes.Add($"put the file of the split '{split}' for TEST.jsonl, or give it by --set datasets.test.path=FILE");
        }
        return datasets;
    }

    private string Split(string key, string standard) => given.TryGetValue(key, out var split) ? Text(split.Value) : standard;

    // Where both are given TRL takes `datasets`.
    private void Rows(JsonObject datasets)
    {
        if (given.TryGetValue("datasets", out var listed) && listed.Value is not JsonArray { Count: 0 })
        {
            var found = (listed.Value as JsonArray ?? []).Select(TrlFiles.OfEntry).ToList();
            IReadOnlyList<string> files = found.Any(of => of.Count == 0) ? [] : [.. found.SelectMany(of => of)];
            Declare(datasets, "train", files, "DATA.jsonl");
            if (files.Count > 0) return;
            dropped.Add($"datasets: {listed.Value.ToJsonString()}; declare each file under datasets, and their mixture as docs/manifest.md says");
            notes.Add("put the rows' file for DATA.jsonl, or give it by --set datasets.train.path=FILE");
        }
        else if (!given.TryGetValue("dataset_name", out var name))
        {
            Declare(datasets, "train", [], "DATA.jsonl");
            notes.Add("the configuration names no data set: put the rows' file for DATA.jsonl, or give it by --set datasets.train.path=FILE");
        }
        else
        {
            var (path, split) = (Text(name.Value), Split("dataset_train_split", "train"));
            var files = File.Exists(path) ? [path] : TrlFiles.OfFolder(path, split);
            Declare(datasets, "train", files, path);
            if (files.Count == 0) notes.Add($"{path} {(Directory.Exists(path) ? $"is a folder in which no JSON lines or CSV of the split '{split}' are found" : "is no file or folder here")}: write its split '{split}' as JSON lines and give it by --set datasets.train.path=FILE");
        }
    }

    // Several files are read as one set of rows.
    private void Declare(JsonObject datasets, string name, IReadOnlyList<string> files, string placeholder)
    {
        JsonObject Of(string file)
        {
            var dataset = new JsonObject { ["reader"] = TrlFiles.Reader(file), ["path"] = files.Count == 0 ? file : FromManifest(file) };
            if (given.TryGetValue("dataset_text_field", out var field) && Text(field.Value) != "text") dataset["map"] = new JsonObject { ["text"] = Text(field.Value) };
            return dataset;
        }
        for (var k = 0; k < files.Count && files.Count > 1; k++) datasets[$"{name}-{k + 1}"] = Of(files[k]);
        datasets[name] = files.Count > 1 ? new JsonObject { ["mixture"] = new JsonArray([.. files.Select((_, k) => (JsonNode)$"{name}-{k + 1}")]) } : Of(files.Count == 0 ? placeholder : files[0]);
    }

    private void Evaluation(JsonObject options, string strategy)
    {
        options["eval_data"] = "test";
        var key = Number("eval_steps") is null or 0 ? "logging_steps" : "eval_steps";
        if (strategy != "steps") dropped.Add($"eval_strategy: {strategy}; evaluation is every eval_every updates, and only the rows say how many an epoch has: give eval_every; without it there is one pass, after the last update");
        else if (Updates(key, 10) is { } every) options["eval_every"] = every;
        else dropped.Add($"{key}: {Number(key)}; a share of all updates, whose number only the rows say: give eval_every, or max_steps; without it there is one pass, after the last update");
        // eval_loss is a mean over batches: it depends on what a batch is.
        options["eval_batch_size"] = Whole("per_device_eval_batch_size") ?? 8;
        if (method is not "sft" || Flag("eval_packing") is not { } packs) return;
        options["eval_packing"] = packs;
        if (packs && Flag("packing") is not true) notes.Add("eval_packing without packing: TRL lets the documents of a pack see each other; here they do not");
    }

    // Notes that apply to every configuration.
    private void Standing()
    {
        notes.Add("random numbers are keyed by seed, row and step: another order of rows, other dropout masks and other LoRA starts than torch's for the same seed");
        notes.Add($"rows without a trained token (cut away, or empty) are refused and counted; TRL {(method is "sft" or "dpo" or "kto" ? "leaves out those that max_length cut so far, and trains on the others" : "trains on them")} with loss 0");
        if (method is "sft" && !given.ContainsKey("completion_only_loss")) notes.Add("as in TRL, rows of prompt and completion are trained on the completion, rows of text on all of it");
        if (method is "cpo" && !given.ContainsKey("cpo_alpha") && !(given.TryGetValue("loss_type", out var loss) && Text(loss.Value) is "alphapo")) notes.Add("cpo_alpha is TRL's 1.0, also where loss_type is simpo: set it to 0 for the paper's SimPO");
    }
}
