// The shapes that costs follow from: of a plan's models (from config.json, or the config that the manifest names), of its data (the
// first rows become tokens, as the method prepares them), of its benchmarks. What cannot be known before the run is null.

using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging.Abstractions;
using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Host.Evaluation;
using PeftAlign.Host.Inference;
using PeftAlign.Host.Jobs;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Templates;
using PeftAlign.Plugins;
using PeftAlign.Torch;
using PeftAlign.Training;

namespace PeftAlign.Host.Running.Estimates;

/// <param name="Rows">Rows of a data set.</param>
/// <param name="Mean">Tokens of one, on average over those that were looked at.</param>
/// <param name="Longest">Of those.</param>
internal sealed record TextShape(long Rows, double Mean, long Longest)
{
    /// <summary>Bytes that a training holds of all rows; 0 where only their number is known.</summary>
    internal long Held { get; init; }

    /// <summary>Tokens of each row that was looked at and is trained; empty where only their number is known.</summary>
    internal IReadOnlyList<long> Lengths { get; init; } = [];
}

/// <param name="planned">The plan.</param>
/// <param name="onGpu">Whether its jobs compute on a GPU.</param>
internal sealed class Shapes(Planned planned, bool onGpu)
{
    private const int LookAt = 256;

    private readonly Dictionary<string, PlanJob> jobs = planned.Whole.Jobs.ToDictionary(job => job.Id);
    private readonly Dictionary<string, object?> known = [];
    private readonly Dictionary<string, string> unreadable = [];
    private readonly Dictionary<string, long> batches = []; // tokens of the largest
    private readonly HashSet<string> asked = [], inTurns = []; // benchmarks by what they are
    private readonly PluginCatalogue plugins = new(planned.Plugins.Values, []);

    private readonly SortedSet<string> warnings = new(StringComparer.Ordinal);

    internal bool OnGpu => onGpu;

    /// <summary>What is odd about data that were read, each once.</summary>
    internal IReadOnlyList<string> Warnings => [.. warnings];

    /// <summary>Type of a training where none is asked for, by the job's own rule.</summary>
    internal torch.ScalarType TrainingType(JsonObject spec) =>
        ComputeDevice.TrainingType(onGpu, onGpu && spec["method"] is { } method && Context(spec).Create<IAlignmentMethod>(method).Needs.Scores);

    /// <summary>What a policy that is only asked computes in: float32 on a processor, elsewhere the type that it is stored in.</summary>
    internal Arithmetic Asked(JsonNode policy) => new(onGpu && Width(policy) == 2 ? torch.bfloat16 : torch.float32, 0, onGpu);

    /// <summary>Whether a job's base is quantised: in its folder already, by its adapter's quantization, or (a reference job) by that of the training's adapter.</summary>
    internal bool IsQuantized(JsonObject spec) =>
        spec["adapter"]?["quantization"] is not null || (spec["start"] is null && spec["quantization"] is not null) || HasQuantizedBase(spec["policy"]!);

    // A training of all weights has no base, a merge decodes it.
    private bool HasQuantizedBase(JsonNode policy)
    {
        if (policy["weights"] is not JsonObject made) return Config(policy)?.IsQuantized == true;
        var options = Options(jobs[(string)made["job"]!]);
        if (options["candidates"] is JsonArray candidates) return HasQuantizedBase(candidates[0]!);
        return options["parents"] is null && options["adapter"] is not null && options["policy"] is not null && IsQuantized(options);
    }

    /// <summary>A policy's model; null where no config.json tells.</summary>
    internal DecoderSpec? Model(JsonNode policy) => Once("model " + Root(policy).ToJsonString(), () =>
    {
        var root = Root(policy);
        var architectures = PluginArchitectures.Of(plugins);
        if (root["weights"] is JsonObject made)
        {
            var options = Options(jobs[(string)made["job"]!]);
            return architectures.Describe(ModelConfig.Of(JsonSerializer.SerializeToElement(ModelFolder.Configuration(MakeModelJob.Architecture(options), MakeModelJob.Settings(options, Full), architectures))));
        }
        return Config(root) is { } config ? Settled(Full((string)root["weights"]!), architectures.Describe(config)) : null;
    });

    // The headers are enough, except that a tied head that is stored anyway is compared by sampled pages. What cannot be read is reported by the job that reads it.
    private static DecoderSpec Settled(string folder, DecoderSpec model)
    {
        if (!model.TiedHead || !Directory.Exists(folder)) return model;
        try
        {
            using var weights = CheckpointFolder.Open(folder);
            return TiedHead.Settled(model, weights, null, sample: true);
        }
        catch (Exception e) when (e is UserErrorException or TorchUnavailableException)
        {
            return model;
        }
    }

    // config.json of a folder, or what the manifest gives for one that is not there.
    private ModelConfig? Config(JsonNode root) => Once($"config {root["weights"]} {root["config"]}", () =>
    {
        var path = Full((string)root["weights"]!);
        var config = Directory.Exists(path) || root["config"] is null ? path : Full((string)root["config"]!);
        return File.Exists(config) || Directory.Exists(config) ? ModelConfig.Open(config) : null;
    });

    // Weights of a type that is not said are float32.
    private static int Width(ModelConfig? config) => config?.DType is torch.ScalarType.BFloat16 or torch.ScalarType.Float16 ? 2 : sizeof(float);

    /// <summary>Rows as a method prepares them for a policy; null where they cannot be read yet.</summary>
    internal TextShape? Data(JsonObject training, TrainingOptions options) => Data(training, training["dataset"]!, options);

    private TextShape? Data(JsonObject training, JsonNode data, TrainingOptions options) => Once($"data {Rows(training, data, options)}", () =>
    {
        var (rows, head) = Read(data, data.ToJsonString(), () => Head(Context(training).Open(new DatasetReference(data.AsObject()))), () => true);
        var looked = Read(data, Prepared(training, data), () => Looked(training, head, options), () => HasTokenizer(training["policy"]!) || IsCopied(training));
        var kept = looked.Lengths.Where(length => length > 0).ToList();
        return kept.Count == 0 ? null : new TextShape(looked.Trained(rows), kept.Average(), kept.Max()) { Held = looked.Held(rows), Lengths = kept };
    });

    /// <summary>Tokens of the largest batch of a training that does not pack its rows.</summary>
    internal long LargestBatch(JsonObject training, TextShape data, TrainingOptions options, int steps)
    {
        if (data.Lengths.Count == 0) return Math.Min(options.BatchSize, data.Rows) * data.Longest;
        var key = $"{Rows(training, training["dataset"]!, options)} {options.GradientAccumulationSteps} {options.Shuffle} {options.DataSeed} {steps}";
        if (!batches.TryGetValue(key, out var tokens)) batches.Add(key, tokens = TrainingOptions.LargestBatch(data.Lengths, steps, options));
        return tokens;
    }

    private string Rows(JsonObject training, JsonNode data, TrainingOptions options) =>
        $"{Prepared(training, data)} {options.MaxLength} {options.Truncation} {options.MaxPromptLength} {options.BatchSize} {options.Packing}";

    private FirstRows Looked(JsonObject training, IReadOnlyList<DataRecord> head, TrainingOptions options)
    {
        var method = Context(training).Create<IAlignmentMethod>(training["method"]!);
        var (tokenizer, template) = Text(training["policy"]!, method);
        try
        {
            return FirstRows.Of(method, head, options, tokenizer, template);
        }
        catch (UserErrorException) when (method is IArrangesRecords && !IsThere(training["method"]!.ToJsonString()))
        {
            return FirstRows.Of(method, head, options, tokenizer, template, arranged: false); // what they are arranged with may be made in this run (a corpus of coh's)
        }
    }

    // Rows as a method takes them, with a policy's tokenizer.
    private string Prepared(JsonObject training, JsonNode data) => $"{data.ToJsonString()} {training["method"]?.ToJsonString()} {Root(training["policy"]!).ToJsonString()}";

    // A folder without one may get it.
    private bool HasTokenizer(JsonNode policy) => Root(policy)["weights"] is JsonValue path && ModelFolder.HasTokenizer(Full((string)path!));

    // Whether rows become tokens as a model that is made in this run will have it: one that is learned is not known yet, nor are tokens that a method adds.
    private bool IsCopied(JsonObject training) =>
        TokenizerOfMade(training["policy"]!) is JsonValue name && MadeTokenizer.IsThere(name, Full) && Context(training).Create<IAlignmentMethod>(training["method"]!) is not IAddsTokens;

    // Of a model that is made in this run; null for another.
    private JsonNode? TokenizerOfMade(JsonNode policy) => Root(policy)["weights"] is JsonObject made ? Options(jobs[(string)made["job"]!])["tokenizer"] : null;

    // True of a folder with a tokenizer and no template, and of what is trained from it; a merge may take another parent's template.
    private bool HasNoTemplate(JsonNode policy)
    {
        if (IsMerged(policy)) return false;
        var (made, template) = (TokenizerOfMade(policy), Policies.TemplateOf(policy, Full));
        if (made is null ? !HasTokenizer(policy) : !MadeTokenizer.IsThere(made, Full)) return false;
        var folder = made is null ? Full((string)Root(policy)["weights"]!) : MadeTokenizer.Folder(made, Full);
        return Once($"template {folder} {template}", () => ChatTemplateLoader.Load(folder, template) is null ? "none" : "one") == "none";
    }

    private bool IsMerged(JsonNode policy)
    {
        if (policy["weights"] is not JsonObject made) return false;
        var options = Options(jobs[(string)made["job"]!]);
        return options["parents"] is not null || ((options["policy"] ?? options["candidates"]?[0]) is { } start && IsMerged(start));
    }

    private static (long Rows, List<DataRecord> Head) Head(IEnumerable<DataRecord> records)
    {
        var (rows, head) = (0L, new List<DataRecord>());
        foreach (var record in records)
            if (++rows <= LookAt) head.Add(record);
        return (rows, head);
    }

    /// <summary>Why a job would fail on data that are there already: they cannot be read, or their first rows not be trained on. Null where they can, and for data that are not there yet.</summary>
    internal string? Unreadable(JsonObject spec)
    {
        List<JsonNode?> read = [spec["benchmark"], spec["dataset"]];
        if (spec["benchmark"] is { } benchmark)
        {
            if (asked.Add(benchmark.ToJsonString())) _ = Benchmark(spec); // one policy's questions are read as another's
            if (inTurns.Contains(benchmark.ToJsonString()) && HasNoTemplate(spec["policy"]!)) return RequestEncoder.NoTemplate;
        }
        if (spec["method"] is not null && spec["dataset"] is { } data)
        {
            var options = TrainingOptions.Of((spec["training"] ?? spec["limits"])!.AsObject(), 0);
            if (Model(spec["policy"]!) is { } model) options = options.Within(model);
            read.Add(spec["training"]?["eval_data"]);
            foreach (var rows in new[] { data, read[^1] }.OfType<JsonNode>())
            {
                _ = Data(spec, rows, options);
                if (unreadable.GetValueOrDefault(Prepared(spec, rows)) is { } why) return why;
            }
        }
        return read.OfType<JsonNode>().Select(node => unreadable.GetValueOrDefault(node.ToJsonString())).FirstOrDefault(why => why is not null);
    }

    private T Read<T>(JsonNode data, string what, Func<T> read, Func<bool> alone)
    {
        try
        {
            return read();
        }
        catch (UserErrorException e) when (alone() && IsThere(data.ToJsonString()))
        {
            unreadable[what] = e.Message;
            throw;
        }
    }

    // Neither made in this run nor of a model's answers, nor a path that leads to nothing; which files a missing one's reader names is not known.
    private bool IsThere(string data) =>
        !data.Contains("\"job\":", StringComparison.Ordinal) && !data.Contains("\"weights\":", StringComparison.Ordinal)
        && planned.Missing.All(missing => missing.Line > 0 && !data.Contains(JsonValue.Create(missing.Path).ToJsonString(), StringComparison.Ordinal));

    /// <summary>Whether lengths of rows that are not there were taken to be max_length, or the model's positions where these are fewer.</summary>
    internal bool AssumesLongest { get; private set; }

    /// <summary>Rows as long as they may be, of which only the number is known: by the number of steps, or by the data's `take`.</summary>
    internal TextShape? Longest(JsonObject training, TrainingOptions options, DecoderSpec model)
    {
        var rows = options.MaxSteps > 0 ? (long)options.BatchSize * options.GradientAccumulationSteps * options.MaxSteps : Announced(training["dataset"]!);
        if (rows is not { } count) return null;
        AssumesLongest = true;
        var longest = Math.Min(options.MaxLength, model.MaxPositions);
        return new TextShape(count, longest, longest);
    }

    // The data set's `take`, which is all that a manifest says of files that are not there; or how many rows a job makes from what is there.
    private long? Announced(JsonNode dataset) =>
        dataset["take"] is { } take ? (long)take
        : dataset["made"] is { } made ? Made(Options(jobs[(string)made["job"]!])["dataset"]!.AsObject()) is { Rows: > 0 and var rows } ? rows : null
        : dataset["mixture"] is JsonArray { Count: > 0 } members && members.Select(member => Announced(member!["dataset"]!)).ToList() is var parts && parts.TrueForAll(part => part is not null) ? parts.Sum()
        : null;

    // Nothing is cut where the model's context is not known.
    private const int Unlimited = int.MaxValue / 2;

    /// <summary>What a benchmark asks of a policy; null where it cannot be opened yet.</summary>
    internal Questions? Benchmark(JsonObject evaluation) => Once($"benchmark {evaluation["benchmark"]!.ToJsonString()} {Root(evaluation["policy"]!).ToJsonString()}", () =>
    {
        var (tokenizer, template) = Text(evaluation["policy"]!);
        var info = Context(evaluation).Create<IBenchmark>(evaluation["benchmark"]!).Info;
        var root = Root(evaluation["policy"]!);
        var defaults = root["weights"] is JsonObject ? null : Config(root)?.Generation;
        var count = new QuestionCount(tokenizer, new RequestEncoder(tokenizer, template, (int)Math.Min(Unlimited, Model(evaluation["policy"]!)?.MaxPositions ?? Unlimited), takesLeadingBlank: false, addSpecialTokens: info.AddSpecialTokens),
            ask => AnswerLength.Of(ask, info.AsHarness, defaults));
        var benchmark = (Context(evaluation) with { OtherModels = count }).Create<IBenchmark>(evaluation["benchmark"]!);
        var (items, first) = Read(evaluation["benchmark"]!, evaluation["benchmark"]!.ToJsonString(), () => Asked(benchmark), () => !count.AskedOthers);
        if (first.SelectMany(item => item.Requests).Any(request => request is EvalRequest.LogLikelihood { Messages: not null } or EvalRequest.Generate { Messages: not null })) inTurns.Add(evaluation["benchmark"]!.ToJsonString());
        return count.Of(benchmark, items, first);
    });

    // How many items, and what is asked of the first: a benchmark may look at an item's fields only then.
    private static (int Items, List<(EvalItem Item, IReadOnlyList<EvalRequest> Requests)> First) Asked(IBenchmark benchmark)
    {
        var items = benchmark.Items().ToList();
        return (items.Count, [.. items.Take(LookAt).Select(item => (item, benchmark.Requests(item)))]);
    }

    /// <summary>What a job asks to make a data set; null where that cannot be known yet.</summary>
    internal MadeData? Made(JsonObject dataset) => Once($"made {dataset.ToJsonString()}", () =>
    {
        var count = new DataCount(definition =>
        {
            var (tokenizer, template) = Text(definition);
            return (tokenizer, new RequestEncoder(tokenizer, template, (int)Math.Min(Unlimited, Model(definition)?.MaxPositions ?? Unlimited), takesLeadingBlank: false, addSpecialTokens: null));
        }, LookAt);
        return count.Of((Context(dataset) with { OtherModels = count, OtherJudges = count }).Open(new DatasetReference(dataset)));
    });

    /// <summary>Whether a judge is asked over the network: it has neither a folder nor a job's model.</summary>
    internal bool IsService(JsonObject judge) => judge["model"] is null && judge["options"]?["path"] is null;

    /// <summary>Numbers of a judge's model; null where it is not there yet.</summary>
    internal long? JudgeParameters(JsonObject judge)
    {
        if (judge["model"] is { } made) return Model(made) is { } model ? Costs.Parameters(model) : null;
        var folder = Full((string)judge["options"]!["path"]!);
        if (!Directory.Exists(folder)) return null;
        var bytes = new DirectoryInfo(folder).EnumerateFiles("*.safetensors").Sum(file => file.Length);
        return bytes > 0 ? bytes / Width(ModelConfig.Open(folder)) : null;
    }

    /// <summary>Bytes of a number of a policy's weights on disk: its base's, or those of the training that wrote them.</summary>
    internal int Width(JsonNode policy)
    {
        if (policy["weights"] is not JsonObject made) return Width(Config(policy));
        var options = Options(jobs[(string)made["job"]!]);
        if (options["candidates"] is JsonArray candidates) return Width(candidates[0]!);
        if (options["parents"] is JsonArray parents) return parents.Max(parent => Width(parent!));
        return options["adapter"] is not null ? Width(options["policy"]!) : sizeof(float);
    }

    /// <summary>The contract of a policy that is one LoRA adapter over this base and nothing else; null for another.</summary>
    internal JsonNode? LoraOver(JsonNode policy, JsonNode origin)
    {
        if (policy["weights"] is not JsonObject made) return null;
        var options = Options(jobs[(string)made["job"]!]);
        if (options["candidates"] is JsonArray candidates) return LoraOver(candidates[0]!, origin);
        if (options["adapter"] is not { } adapter || ((string)adapter["name"]!).Split('/')[^1] != "lora") return null;
        if (adapter["options"] is JsonObject own && (own["use_dora"]?.GetValue<bool>() == true || own["modules_to_save"] is JsonArray { Count: > 0 } || (string?)own["bias"] is not (null or "none"))) return null;
        var start = options["policy"]!;
        return JsonNode.DeepEquals(start["weights"], origin["weights"]) || (LoraOver(start, origin) is { } below && TrainingStart.SameShape(below, adapter)) ? adapter : null;
    }

    /// <summary>Whether a method compares with a reference policy.</summary>
    internal bool Refers(JsonNode method) => plugins.Find("method", (string)method["name"]!).Contract.Traits.Contains("reference");

    /// <summary>Whether a method trains a model with a score head.</summary>
    internal bool Scores(JsonNode method) => plugins.Find("method", (string)method["name"]!).Contract.Traits.Contains("scores");

    /// <summary>A training's adapter.</summary>
    internal IPeftAdapter Adapter(JsonObject spec) => Context(spec).Create<IPeftAdapter>(spec["adapter"]!);

    /// <summary>Whether a training with controls also changes the model's own weights.</summary>
    internal bool TrainsModel(JsonObject spec) =>
        plugins.Find("method", (string)spec["method"]!["name"]!).Contract.Traits.Contains("controls") && Context(spec).Create<IAlignmentMethod>(spec["method"]!) is ITrainsControls { Phases: [.., { ModelRate: > 0 }] };

    internal static JsonObject Options(PlanJob job) => JsonNode.Parse(job.Options)!.AsObject();

    // The full weights under a policy: a path, or the job that makes them. Trained and merged policies have their start's shape.
    private JsonObject Root(JsonNode policy)
    {
        if (policy["weights"] is not JsonObject made) return new JsonObject { ["weights"] = policy["weights"]!.DeepClone(), ["config"] = policy["config"]?.DeepClone() };
        var job = jobs[(string)made["job"]!];
        var options = Options(job);
        return (options["policy"] ?? options["base_model"] ?? options["candidates"]?[0]) is { } start ? Root(start) : new JsonObject { ["weights"] = new JsonObject { ["job"] = job.Id } };
    }

    // With the tokens that a method adds to a folder's, where one is given.
    private (ITokenizer? Tokenizer, IChatTemplate? Template) Text(JsonNode policy, IAlignmentMethod? method = null)
    {
        var root = Root(policy);
        if (TokenizerOfMade(policy) is { } made) return (MadeTokenizer.Expected(made, Full), ChatTemplateLoader.Load(MadeTokenizer.Folder(made, Full), Policies.TemplateOf(policy, Full)));
        var path = Full((string)root["weights"]!);
        return (FirstRows.Tokenizer(method, path), ChatTemplateLoader.Load(path, Policies.TemplateOf(policy, Full)));
    }

    private JobContext Context(JsonObject options) =>
        new(new JobSpec("", "", "", options, planned.Root, 1, []), planned.Run.Job("forecast"), plugins, NullLogger.Instance, (_, _, _) => { }, default) { Fewer = warning => warnings.Add(warning) };

    private string Full(string path) => Path.GetFullPath(path, planned.Root);

    // A prediction is no reason to fail: what a job would refuse, it refuses when it runs.
    private T? Once<T>(string key, Func<T?> find) where T : class
    {
        if (known.TryGetValue(key, out var found)) return (T?)found;
        T? made;
        try
        {
            made = find();
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            made = null;
        }
        known.Add(key, made);
        return made;
    }
}
