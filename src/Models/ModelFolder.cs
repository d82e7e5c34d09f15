// Model folders as Hugging Face's: config.json, model.safetensors, tokenizer files. Load, make anew, save.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models;

/// <summary>Model folders.</summary>
public static class ModelFolder
{
    private static readonly string[] TokenizerFiles = ["tokenizer.json", "tokenizer.model", "vocab.json"];
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>Whether a folder holds a tokenizer.</summary>
    public static bool HasTokenizer(string folder) => TokenizerFiles.Any(file => File.Exists(Path.Combine(folder, file)));

    /// <summary>Loads a model. Whatever the checkpoint's dtypes, all weights come to be of one.</summary>
    /// <param name="folder">config.json and weights.</param>
    /// <param name="warn">Told of what is odd but usable, such as tensors that the configuration does not use.</param>
    /// <param name="architectures">The known ones; null = those that are built in.</param>
    /// <param name="dtype">Of weights and arithmetic; sums within norms, softmax and products are float32 at least. Quantised matrices stay as they are.</param>
    /// <param name="quantization">Quantises the linear layers as they are read; null = as the folder has them.</param>
    /// <param name="device">Where the weights go, tensor by tensor; null = the processor.</param>
    /// <exception cref="UserErrorException">A file is missing or wrong, or weights and configuration do not fit.</exception>
    public static DecoderModel Load(string folder, Action<string>? warn = null, ModelArchitectures? architectures = null, torch.ScalarType dtype = torch.ScalarType.Float32, IQuantization? quantization = null, torch.Device? device = null)
    {
        var known = architectures ?? ModelArchitectures.BuiltIn;
        var config = ModelConfig.Open(folder);
        return Decoder(folder, known.Describe(config), warn, dtype, Reader(known, config, ref quantization), quantization, device);
    }

    // A folder that is quantised as asked stays as it is, under the options that do not change it (the type of products).
    internal static IQuantization? Reader(ModelArchitectures known, ModelConfig config, ref IQuantization? asked)
    {
        if (asked is null || !config.IsQuantized) return known.QuantizationOf(config);
        var reader = asked;
        if (!reader.Reads(config.Json.GetProperty("quantization_config")))
            throw config.Wrong("quantization_config", "of the format that the quantization option names, or absent: nothing is quantised twice");
        asked = null;
        return reader;
    }

    /// <summary>Loads the weights of a decoder whose spec is known.</summary>
    /// <param name="folder">config.json and weights.</param>
    /// <param name="spec">What config.json describes.</param>
    /// <param name="warn">Told of what is odd but usable.</param>
    /// <param name="dtype">Of weights and arithmetic; null = each keeps its own, over the mapped file.</param>
    /// <param name="reads">Reads the folder's quantised matrices; null where it has none.</param>
    /// <param name="makes">Quantises linear layers; null = none is.</param>
    /// <param name="device">Where the weights go; null = the processor.</param>
    internal static DecoderModel Decoder(string folder, DecoderSpec spec, Action<string>? warn, torch.ScalarType? dtype, IQuantization? reads = null, IQuantization? makes = null, torch.Device? device = null)
    {
        using var checkpoint = CheckpointFolder.Open(folder);
        spec = TiedHead.Settled(spec, checkpoint, warn);
        var names = StoredNames.Of(spec, checkpoint);
        var stored = new QuantizedWeights(checkpoint, names, reads, device);
        checkpoint.Require(spec.Weights().Where(w => !stored.Holds(w)).ToDictionary(w => names.Of(w.Name), w => w.Shape), name => names.IsIgnored(name) || stored.IsPart(name));
        foreach (var warning in checkpoint.Warnings) warn?.Invoke(warning);
        if ((device ?? torch.CPU).type == DeviceType.CPU) WeightsInMemory.ThrowIfTooMany(folder, spec.Weights().Where(w => !stored.Holds(w)), w => checkpoint.Find(names.Of(w.Name)), dtype, makes);
        using var scope = torch.NewDisposeScope();
        var (weights, quantized) = (new Dictionary<string, Tensor>(), new Dictionary<string, QuantizedMatrix>());
        foreach (var weight in spec.Weights())
        {
            using var inner = torch.NewDisposeScope(); // of a matrix that is quantised nothing else stays
            if (stored.Read(weight) is { } read)
            {
                quantized.Add(weight.Name, read);
                continue;
            }
            var own = checkpoint.Tensor(names.Of(weight.Name));
            if (weight.Role == WeightRole.Matrix && makes?.Takes(ModuleOf(weight)) == true) quantized.Add(weight.Name, makes.Quantized(weight.Name, Outward(weight, Placed(own, device))));
            else weights.Add(weight.Name, Placed(own, device, dtype).DetachFromDisposeScope());
            // A copy that stays needs no pages of the file beside it.
            if (!weights.TryGetValue(weight.Name, out var placed) || placed.data_ptr() != own.data_ptr()) checkpoint.Forget(names.Of(weight.Name));
        }
        return new DecoderModel(spec, weights, quantized) { Unquantized = makes is null ? null : name => Unquantized(folder, spec, name, device) };
    }

    // Carried in its stored type, which is seldom the wider one, and converted where it arrives: the host never holds a second copy.
    private static Tensor Placed(Tensor stored, torch.Device? device, torch.ScalarType? dtype = null)
    {
        var there = device is null ? stored : stored.to(device);
        return dtype is { } type ? there.to(type) : there;
    }

    private static Tensor? Unquantized(string folder, DecoderSpec spec, string name, torch.Device? device)
    {
        using var checkpoint = CheckpointFolder.Open(folder);
        var (weight, stored) = (spec.Weights().First(w => w.Name == name), StoredNames.Of(spec, checkpoint).Of(name));
        return checkpoint.Contains(stored) ? Outward(weight, Placed(checkpoint.Tensor(stored), device)).to(torch.float32).clone() : null;
    }

    internal static string ModuleOf(WeightSpec weight) => weight.Name[..^".weight".Length];

    // (out, in) of a matrix that may be stored (in, out).
    internal static Tensor Outward(WeightSpec weight, Tensor matrix) => weight.Transposed ? matrix.t().contiguous() : matrix;

    /// <summary>Reads tensors, after all shapes were compared; they outlive the current dispose scope.</summary>
    internal static Dictionary<string, Tensor> Read(string folder, IEnumerable<(string Name, long[] Shape)> wanted, Func<CheckpointFolder, StoredNames> namesOf, Action<string>? warn, torch.ScalarType dtype, torch.Device? device = null)
    {
        var weights = wanted.ToList();
        using var checkpoint = CheckpointFolder.Open(folder);
        var names = namesOf(checkpoint);
        checkpoint.Require(weights.ToDictionary(w => names.Of(w.Name), w => w.Shape), names.IsIgnored);
        foreach (var warning in checkpoint.Warnings) warn?.Invoke(warning);
        using var scope = torch.NewDisposeScope();
        return weights.ToDictionary(w => w.Name, w =>
        {
            using var inner = torch.NewDisposeScope(); // what was carried goes before the next comes
            return Placed(checkpoint.Tensor(names.Of(w.Name)), device, dtype).DetachFromDisposeScope();
        });
    }

    /// <summary>
    /// Makes a model with random weights (normal, standard deviation initializer_range or init_std; norms are the identity, biases 0) and
    /// writes config.json and model.safetensors. A weight depends on the seed and its own name alone.
    /// </summary>
    /// <param name="folder">Where to write; a tokenizer may be there already.</param>
    /// <param name="architecture">Its model_type.</param>
    /// <param name="settings">Keys of its <see cref="IModelArchitecture.InitOptions"/>, or others of config.json.</param>
    /// <param name="seed">Seed of the weights.</param>
    /// <param name="architectures">The known ones; null = those that are built in.</param>
    /// <param name="cancel">Ends it between two weights.</param>
    /// <param name="form">Element type and size of the files; null = float32 in one file.</param>
    /// <returns>Number of parameters.</returns>
    /// <exception cref="UserErrorException">Unknown architecture, settings that do not fit each other, or too small a disk.</exception>
    public static long Initialise(string folder, string architecture, JsonObject settings, ulong seed, ModelArchitectures? architectures = null, CancellationToken cancel = default, NewWeightsForm? form = null)
    {
        var known = architectures ?? ModelArchitectures.BuiltIn;
        var (type, shardBytes, progress) = form ?? new NewWeightsForm();
        var json = Configuration(architecture, settings, known);
        json["torch_dtype"] = type.ToString().ToLowerInvariant();
        var spec = known.Describe(ModelConfig.Of(JsonSerializer.SerializeToElement(json)));
        var range = (double?)(json["initializer_range"] ?? json["init_std"]) ?? 0.02;
        var (all, done) = (spec.Weights().ToList(), 0);
        // Each is made when its turn comes to be written, so that no more than one is in memory.
        PendingTensor[] weights = [.. all.Select(w => new PendingTensor(spec.InFiles(w.Name), type, w.Shape, () =>
        {
            cancel.ThrowIfCancellationRequested();
            progress?.Invoke(done++, all.Count);
            return w.Role switch
            {
                WeightRole.Norm => torch.full(w.Shape, spec.Norm.Kind == NormKind.RmsPlusOne ? 0.0 : 1.0, type),
                WeightRole.Bias => torch.zeros(w.Shape, type),
                _ => new CounterStream(seed, "init", w.Name).Normal(w.Shape, 0, range).to(type),
            };
        }))];
        FreeSpace.Require(folder, weights.Sum(w => w.Bytes));
        AtomicFile.Write(Path.Combine(folder, "config.json"), json.ToJsonString(Indented) + "\n");
        CheckpointFolder.Write(folder, weights, maxShardBytes: shardBytes);
        return weights.Sum(w => w.Shape.Aggregate(1L, (product, size) => product * size));
    }

    /// <summary>The config.json of a model that is to be made.</summary>
    /// <param name="architecture">Its model_type.</param>
    /// <param name="settings">As for <see cref="Initialise"/>.</param>
    /// <param name="architectures">The known ones; null = those that are built in.</param>
    /// <exception cref="UserErrorException">Unknown architecture.</exception>
    public static JsonObject Configuration(string architecture, JsonObject settings, ModelArchitectures? architectures = null) =>
        NewConfig((architectures ?? ModelArchitectures.BuiltIn).ToMake(architecture), architecture, settings);

    // transformers refuses 30 where it wants a float: 30.0.
    private static JsonNode Fraction(JsonNode number)
    {
        var text = number.ToJsonString();
        return text.AsSpan().IndexOfAny(".eE") >= 0 ? number.DeepClone() : JsonNode.Parse(text + ".0")!;
    }

    private static JsonObject NewConfig(IModelArchitecture architecture, string name, JsonObject settings)
    {
        var json = new JsonObject { ["architectures"] = new JsonArray(architecture.ClassName), ["model_type"] = name, ["torch_dtype"] = "float32" };
        foreach (var option in architecture.InitOptions.Where(o => o.Default is not null)) json[option.Name] = JsonNode.Parse(option.Default!);
        foreach (var (key, value) in settings.Where(s => s.Value is not null)) json[key] = value!.DeepClone();
        foreach (var option in architecture.InitOptions.Where(o => o.Type == "number" && json[o.Name] is JsonValue)) json[option.Name] = Fraction(json[option.Name]!);
        if (architecture.InitOptions.Any(o => o.Name == "num_key_value_heads")) json.TryAdd("num_key_value_heads", json["num_attention_heads"]!.DeepClone());
        return json;
    }

    /// <summary>Writes a model with the configuration and tokenizer of the folder that it came from.</summary>
    public static void Save(string folder, DecoderModel model, string from)
    {
        CopyCompanions(from, folder, model.Head.dtype);
        TiedHead.Say(folder, model.Spec);
        var weights = model.Spec.Weights().ToDictionary(w => model.Spec.InFiles(w.Name), w => model.Weights[w.Name]);
        if (model.Spec.Names.Beside.Count == 0)
        {
            CheckpointFolder.Write(folder, weights);
            return;
        }
        using var scope = torch.NewDisposeScope();
        using var checkpoint = CheckpointFolder.Open(from);
        foreach (var name in checkpoint.Names.Where(model.Spec.IsBeside)) weights.Add(model.Spec.InFiles(name), checkpoint.Tensor(name));
        CheckpointFolder.Write(folder, weights);
    }

    /// <summary>Copies what lies beside weights: configuration, tokenizer, template.</summary>
    /// <param name="from">A model folder.</param>
    /// <param name="to">Another one.</param>
    /// <param name="type">What its configuration calls the weights' type; null = as it is.</param>
    internal static void CopyCompanions(string from, string to, torch.ScalarType? type)
    {
        Directory.CreateDirectory(to);
        foreach (var file in Directory.GetFiles(from).Where(IsCompanion)) AtomicFile.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        if (File.Exists(Path.Combine(to, "config.json"))) SayType(Path.Combine(to, "config.json"), type);
    }

    // The weights' type may be another than that of the folder that the configuration came from, and none of them is quantised.
    private static void SayType(string file, torch.ScalarType? type)
    {
        var config = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        if (!config.Remove("quantization_config") && type is null) return;
        if (type is { } known) config[config.ContainsKey("dtype") ? "dtype" : "torch_dtype"] = known.ToString().ToLowerInvariant();
        AtomicFile.Write(file, config.ToJsonString(Indented) + "\n");
    }

    // Small files beside the weights: configuration, tokenizer, template. Never weights or code.
    private static bool IsCompanion(string file) => Path.GetExtension(file) switch
    {
        ".json" => !file.EndsWith(".index.json", StringComparison.Ordinal) && !Adapters.PolicyControls.IsFile(file),
        ".jinja" or ".model" or ".txt" => true,
        _ => false,
    };
}

/// <summary>How the weights of a new model are stored.</summary>
/// <param name="Dtype">Element type: of another than float32 the weights are those of float32, rounded.</param>
/// <param name="ShardBytes">A file grows up to this size.</param>
/// <param name="Progress">Told of weights done and of all; null = nobody.</param>
public sealed record NewWeightsForm(torch.ScalarType Dtype = torch.ScalarType.Float32, long ShardBytes = CheckpointFolder.DefaultShardBytes, Action<int, int>? Progress = null);
