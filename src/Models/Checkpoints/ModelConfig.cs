// config.json of a Hugging Face model folder, typed: the facts that decoders share under one name each, whatever the
// architecture calls them, and getters for what is an architecture's own. Checked when it is read; code that a folder
// may bring (auto_map) is never run.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Checkpoints;

/// <summary>A model's configuration. Immutable.</summary>
public sealed partial class ModelConfig : ArchitectureConfig
{
    private const int MostLayers = 1 << 14;
    private const string KeyValueHeads = "num_key_value_heads";

    /// <summary>What the number of blocks is called, the commonest first.</summary>
    internal static readonly string[] LayerCountKeys = ["num_hidden_layers", "n_layer", "num_layers", "n_layers"];

    private static readonly string[] UsualActivationKeys = ["hidden_activation", "hidden_act", "activation_function"], FalconActivationKeys = ["activation"];

    private readonly ConfigReader reader;
    private readonly ClassDefaults defaults;
    private readonly int? hiddenSize, layerCount, headCount, vocabularySize;
    private readonly Lazy<RopeParameters> rope;

    private ModelConfig(string file, JsonElement json)
    {
        (File, Whole) = (file, json);
        var part = TextPart.Of(file, json);
        reader = part is { } text ? new ConfigReader(file, text, TextPart.Before) : new ConfigReader(file, json);
        ModelType = reader.Text("model_type") is { Length: > 0 } type ? type : throw reader.Wrong("model_type", null, "the architecture's name, for instance llama");
        defaults = ClassDefaults.Of(ModelType);
        Architectures = reader.Texts("architectures") ?? [];
        hiddenSize = Size("hidden_size", "n_embd", "d_model", "dim");
        layerCount = (int?)First(LayerCountKeys, (r, key) => r.Whole(key, 1, MostLayers));
        headCount = Size("num_attention_heads", "n_head", "num_heads", "n_heads");
        KeyValueHeadCount = Size(KeyValueHeads) ?? (IsGiven(KeyValueHeads) ? null : defaults.KeyValueHeads) ?? headCount ?? 0;
        IntermediateSize = Size("intermediate_size", "n_inner", "ffn_dim");
        vocabularySize = Size("vocab_size");
        MaxPositions = Size("max_position_embeddings", "n_positions", "n_ctx") ?? defaults.Positions;
        NormEpsilon = First(["rms_norm_eps", "layer_norm_epsilon", "layer_norm_eps", "norm_epsilon", "norm_eps"], (r, key) => r.Positive(key));
        Activation = First(ActivationKeys, (r, key) => r.Text(key));
        DType = ReadDType();
        TieWordEmbeddings = reader.Bool("tie_word_embeddings") ?? defaults.Tied;
        SlidingWindow = ReadSlidingWindow();
        LayerTypes = reader.Texts("layer_types");
        HeadDim = ReadHeadDim();
        rope = new(() => RopeReader.Read(reader, ModelType, null));
        CheckLayerTypes();
    }

    private string[] ActivationKeys => ModelType == "falcon" ? FalconActivationKeys : UsualActivationKeys;

    /// <summary>Path of config.json.</summary>
    public string File { get; }

    /// <summary>The decoder's keys: the whole object, but of a model with an image part what describes its text part.</summary>
    public override JsonElement Json => reader.Json;

    /// <summary>The whole object as the file has it, for instance to write it again.</summary>
    public JsonElement Whole { get; }

    /// <summary>model_type: llama, mistral, gpt2 ...</summary>
    public override string ModelType { get; }

    /// <summary>transformers' class names; empty where absent.</summary>
    public IReadOnlyList<string> Architectures { get; }

    /// <summary>Width of the residual stream.</summary>
    /// <exception cref="UserErrorException">config.json lacks it.</exception>
    public override int HiddenSize => hiddenSize ?? throw Missing("hidden_size");

    /// <summary>Number of blocks.</summary>
    /// <exception cref="UserErrorException">config.json lacks it.</exception>
    public override int LayerCount => layerCount ?? throw Missing("num_hidden_layers");

    /// <summary>Number of query heads.</summary>
    /// <exception cref="UserErrorException">config.json lacks it.</exception>
    public override int HeadCount => headCount ?? throw Missing("num_attention_heads");

    /// <summary>Number of key and value heads; divides <see cref="HeadCount"/>. Where absent, transformers' default for the model type.</summary>
    public override int KeyValueHeadCount { get; }

    /// <summary>Dimensions of a head; where absent, transformers' default for the model type: mostly hidden size / heads.</summary>
    public override int HeadDim { get; }

    /// <summary>Width inside the feed-forward part; null where absent (GPT-2: four times the hidden size).</summary>
    public override int? IntermediateSize { get; }

    /// <summary>Number of token ids.</summary>
    /// <exception cref="UserErrorException">config.json lacks it.</exception>
    public override int VocabularySize => vocabularySize ?? throw Missing("vocab_size");

    /// <summary>Positions that the model can take; where absent, transformers' default for the model type, and null for a type that is not built in.</summary>
    public override int? MaxPositions { get; }

    /// <summary>Epsilon of the norms, or null where the architecture's default counts.</summary>
    public override double? NormEpsilon { get; }

    /// <summary>Name of the feed-forward activation: silu, gelu_new ...; null where absent.</summary>
    public string? Activation { get; }

    /// <summary>Type in which the weights were meant to be used (dtype or torch_dtype); null where absent.</summary>
    public torch.ScalarType? DType { get; }

    /// <summary>Whether the output head is the embedding; where absent, transformers' default for the model type.</summary>
    public override bool TieWordEmbeddings { get; }

    /// <summary>A token sees itself and the SlidingWindow - 1 tokens before it; null = all. Which layers: <see cref="LayerTypes"/>.</summary>
    public override int? SlidingWindow { get; }

    /// <summary>full_attention or sliding_attention for each layer, or null where config.json does not say.</summary>
    public override IReadOnlyList<string>? LayerTypes { get; }

    /// <summary>Rotary positions (of layers with full attention, where the kinds of layer differ).</summary>
    /// <exception cref="UserErrorException">They are wrong. Read when they are asked for: an architecture that is not known may have kinds of its own, and one with other
    /// positions has none.</exception>
    public override RopeParameters Rope => rope.Value;

    /// <summary>generation_config.json, or what config.json says of generation.</summary>
    public GenerationConfig Generation { get; private init; } = null!;

    /// <summary>Token put before a text, or null.</summary>
    public int? BosTokenId => Generation.BosTokenId;

    /// <summary>Tokens that end a generation; generation_config.json counts before config.json.</summary>
    public IReadOnlyList<int> EosTokenIds => Generation.EosTokenIds;

    /// <summary>Token for padding, or null.</summary>
    public int? PadTokenId => Generation.PadTokenId;

    /// <summary>Token for padding where config.json does not name one, not even null: that of the model type's class in transformers, which may lie beyond the vocabulary; null = none.</summary>
    internal int? PadOfClass => IsGiven("pad_token_id") ? null : defaults.Pad;

    /// <summary>Row of the embedding for padding: config.json's own pad_token_id, a negative one (LLaMA 1) counted from the end, else that of its class; null = none.</summary>
    public override long? PaddingRow
    {
        get
        {
            var given = Json.TryGetProperty("pad_token_id", out var json) && json.ValueKind == JsonValueKind.Number && json.TryGetInt64(out var id) ? id : (long?)PadOfClass;
            var row = given < 0 ? given + VocabularySize : given;
            return row >= 0 && row < VocabularySize ? row : null;
        }
    }

    /// <summary>True where the weights are quantised (quantization_config).</summary>
    public bool IsQuantized => reader.Has("quantization_config");

    /// <summary>Reads the configuration of a model folder, and generation_config.json beside it if it is there.</summary>
    /// <param name="path">The folder, or the file itself.</param>
    /// <exception cref="UserErrorException">It is missing or wrong; the message names file, key, value and limit.</exception>
    public static ModelConfig Open(string path)
    {
        var file = Directory.Exists(path) ? Path.Combine(path, "config.json") : path;
        if (!System.IO.File.Exists(file) && OtherFolder.Instead(path) is { } what) throw new UserErrorException($"{path}: {what}.");
        var config = new ModelConfig(file, StrictJson.Object(file));
        var generation = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(file))!, "generation_config.json");
        return config.With(GenerationConfig.Read(config.reader, System.IO.File.Exists(generation) ? generation : null));
    }

    /// <summary>A configuration from an object at hand, for instance one that was just made.</summary>
    /// <exception cref="UserErrorException">A value is wrong.</exception>
    public static ModelConfig Of(JsonElement json, string name = "config.json")
    {
        var config = new ModelConfig(name, json.Clone());
        return config.With(GenerationConfig.Read(config.reader, null));
    }

    /// <summary>Generation defaults of another file than the folder's; end tokens that it does not name are those of the folder's.</summary>
    /// <param name="file">A generation_config.json.</param>
    /// <exception cref="Abstractions.UserErrorException">It is missing, or a value is wrong.</exception>
    public GenerationConfig GenerationFrom(string file) => GenerationConfig.Read(reader, file, Generation);

    private ModelConfig With(GenerationConfig generation) => new(File, Whole) { Generation = generation };

    /// <inheritdoc/>
    public override Activation ActivationOr(Activation standard) => Activation switch
    {
        null => standard,
        "silu" or "swish" => Abstractions.Activation.Silu,
        "gelu" => Abstractions.Activation.Gelu,
        "gelu_new" or "gelu_pytorch_tanh" or "gelu_fast" => Abstractions.Activation.GeluTanh,
        "relu" => Abstractions.Activation.Relu,
        _ => throw Wrong(ActivationKeys.First(Has), "silu, gelu, gelu_new, gelu_pytorch_tanh or relu"),
    };

    /// <inheritdoc/>
    public override RopeParameters RopeOf(string layerType) => RopeReader.Read(reader, ModelType, layerType);

    /// <summary>The error for a model type that nothing implements: names the known ones, suggests the nearest.</summary>
    public UserErrorException UnknownArchitecture(IEnumerable<string> known)
    {
        var names = known.Order(StringComparer.Ordinal).ToList();
        var code = reader.Has("auto_map") ? " The folder brings code of its own (auto_map), which is never run." : "";
        return Fault.In(File, $"model_type {Fault.Quote(ModelType)} is not known; known are {string.Join(", ", names)}. Install a plugin that provides it, or take another model.{code}");
    }
}
