// Model folders as Hugging Face's: config.json, model.safetensors, tokenizer files. Load, make anew, save.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models;

/// <summary>An option of a model that is made anew: a key of config.json.</summary>
/// <param name="Name">The key.</param>
/// <param name="Type">integer, number or boolean.</param>
/// <param name="Default">JSON text; null where it must be given or follows from others.</param>
/// <param name="Range">Interval, for instance "[1,)".</param>
/// <param name="Docs">One sentence.</param>
public sealed record InitOption(string Name, string Type, string? Default, string Range, string Docs);

/// <summary>Model folders.</summary>
public static class ModelFolder
{
    private static readonly string[] TokenizerFiles = ["tokenizer.json", "tokenizer.model", "vocab.json"];
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>What a new LLaMA can be told; names and meanings are config.json's.</summary>
    public static IReadOnlyList<InitOption> InitOptions { get; } =
    [
        new("vocab_size", "integer", null, "[2,)", "Number of token ids; the tokenizer's where it is not given."),
        new("hidden_size", "integer", "64", "[2,)", "Width of the residual stream."),
        new("intermediate_size", "integer", "176", "[1,)", "Width inside the feed-forward part."),
        new("num_hidden_layers", "integer", "2", "[1,)", "Number of blocks."),
        new("num_attention_heads", "integer", "4", "[1,)", "Number of query heads."),
        new("num_key_value_heads", "integer", null, "[1,)", "Number of key and value heads; as many as query heads where it is not given."),
        new("max_position_embeddings", "integer", "2048", "[2,)", "Most positions."),
        new("rms_norm_eps", "number", "1e-5", "(0,)", "Epsilon of the norms."),
        new("rope_theta", "number", "10000", "(0,)", "Base of the rotary frequencies."),
        new("initializer_range", "number", "0.02", "(0,)", "Standard deviation of new weights."),
        new("tie_word_embeddings", "boolean", "false", "", "Whether the output head is the embedding."),
        new("bos_token_id", "integer", null, "[0,)", "Token put before a text."),
        new("eos_token_id", "integer", null, "[0,)", "Token that ends a text."),
        new("pad_token_id", "integer", null, "[0,)", "Token for padding."),
    ];

    /// <summary>Whether a folder holds a tokenizer.</summary>
    public static bool HasTokenizer(string folder) => TokenizerFiles.Any(file => File.Exists(Path.Combine(folder, file)));

    /// <summary>Loads a model in float32.</summary>
    /// <param name="folder">config.json and weights.</param>
    /// <param name="warn">Told of what is odd but usable, such as tensors that the configuration does not use.</param>
    /// <exception cref="Abstractions.UserErrorException">A file is missing or wrong, or weights and configuration do not fit.</exception>
    public static DecoderModel Load(string folder, Action<string>? warn = null)
    {
        var spec = LlamaSpec.Of(ModelConfig.Open(folder));
        using var checkpoint = CheckpointFolder.Open(folder);
        // Old checkpoints keep rotary tables, and some a copy of a tied head.
        checkpoint.Require(spec.Weights().ToDictionary(w => w.Name, w => w.Shape), name => name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal) || (spec.TiedHead && name == "lm_head.weight"));
        foreach (var warning in checkpoint.Warnings) warn?.Invoke(warning);
        using var scope = torch.NewDisposeScope();
        var weights = spec.Weights().ToDictionary(w => w.Name, w => checkpoint.Tensor(w.Name).to(torch.float32).DetachFromDisposeScope());
        return new DecoderModel(spec, weights);
    }

    /// <summary>
    /// Makes a model with random weights (normal, standard deviation initializer_range; norms 1) and writes config.json and
    /// model.safetensors. A weight depends on the seed and its own name alone.
    /// </summary>
    /// <param name="folder">Where to write; a tokenizer may be there already.</param>
    /// <param name="architecture">llama.</param>
    /// <param name="settings">Keys of <see cref="InitOptions"/>.</param>
    /// <param name="seed">Seed of the weights.</param>
    /// <returns>Number of parameters.</returns>
    /// <exception cref="Abstractions.UserErrorException">Unknown architecture, or settings that do not fit each other.</exception>
    public static long Initialise(string folder, string architecture, JsonObject settings, ulong seed)
    {
        var json = new JsonObject { ["architectures"] = new JsonArray("LlamaForCausalLM"), ["model_type"] = architecture, ["hidden_act"] = "silu", ["torch_dtype"] = "float32" };
        foreach (var option in InitOptions.Where(o => o.Default is not null)) json[option.Name] = JsonNode.Parse(option.Default!);
        foreach (var (key, value) in settings.Where(s => s.Value is not null)) json[key] = value!.DeepClone();
        json.TryAdd("num_key_value_heads", json["num_attention_heads"]!.DeepClone());
        var spec = LlamaSpec.Of(ModelConfig.Of(JsonSerializer.SerializeToElement(json)));
        AtomicFile.Write(Path.Combine(folder, "config.json"), json.ToJsonString(Indented) + "\n");

        using var scope = torch.NewDisposeScope();
        var range = (double)json["initializer_range"]!;
        var weights = spec.Weights().ToDictionary(w => w.Name, w => w.Shape.Length == 1
            ? torch.ones(w.Shape)
            : new CounterStream(seed, "init", w.Name).Normal(w.Shape, 0, range));
        CheckpointFolder.Write(folder, weights);
        return weights.Values.Sum(w => w.numel());
    }

    /// <summary>Writes a model with the configuration and tokenizer of the folder that it came from.</summary>
    public static void Save(string folder, DecoderModel model, string from)
    {
        foreach (var file in Directory.GetFiles(from).Where(IsCompanion)) File.Copy(file, Path.Combine(folder, Path.GetFileName(file)), overwrite: true);
        CheckpointFolder.Write(folder, model.Spec.Weights().ToDictionary(w => w.Name, w => model.Weights[w.Name]));
    }

    // Small files beside the weights: configuration, tokenizer, template. Never weights or code.
    private static bool IsCompanion(string file) => Path.GetExtension(file) switch
    {
        ".json" => !file.EndsWith(".index.json", StringComparison.Ordinal),
        ".jinja" or ".model" or ".txt" => true,
        _ => false,
    };
}
