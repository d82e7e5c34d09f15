// How ModelConfig reads its common facts, and the getters for an architecture's own keys.

using PeftAlign.Abstractions;
using static PeftAlign.Torch.torch;

namespace PeftAlign.Models.Checkpoints;

public sealed partial class ModelConfig
{
    /// <summary>Model types whose class in transformers sets tie_word_embeddings to false; all others tie by default.</summary>
    private static readonly string[] UntiedByDefault =
        ["llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "phi", "phi3", "gpt_neox", "gptj", "falcon3", "olmo", "olmo2", "olmo3", "stablelm", "starcoder2", "granite"];

    /// <summary>Model types whose class in transformers has a window only with use_sliding_window: true; others know no such key.</summary>
    private static readonly string[] SwitchedWindow = ["qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen3", "qwen3_moe", "smollm3", "iquestcoder"];

    /// <summary>Padding tokens of classes in transformers, where config.json does not name one; the others have none.</summary>
    private static readonly Dictionary<string, int> PadByDefault =
        new() { ["cohere"] = 0, ["gemma"] = 0, ["gemma2"] = 0, ["gemma3_text"] = 0, ["olmo2"] = 1, ["olmo3"] = 1, ["opt"] = 1, ["phi3"] = 32000, ["smollm3"] = 128004 };

    /// <summary>A whole number of an architecture's own, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is no whole number, or out of bounds.</exception>
    public override int? Int(string key, int least = int.MinValue, int most = int.MaxValue) => (int?)reader.Whole(key, least, most);

    /// <summary>A number, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is no finite number.</exception>
    public override double? Number(string key) => reader.Number(key);

    /// <summary>A truth value, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public override bool? Bool(string key) => reader.Bool(key);

    /// <summary>A text, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public override string? Text(string key) => reader.Text(key);

    /// <summary>A list of texts, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public override IReadOnlyList<string>? Texts(string key) => reader.Texts(key);

    /// <summary>True if the key is there and not null.</summary>
    public bool Has(string key) => reader.Has(key);

    /// <summary>The error for a value that an architecture cannot take.</summary>
    /// <param name="key">The key of config.json.</param>
    /// <param name="wanted">Ends the sentence "it must be ...".</param>
    public override UserErrorException Wrong(string key, string wanted) => reader.Wrong(key, reader.Find(key), wanted);

    private UserErrorException Missing(string key) => reader.Wrong(key, null, $"given for model_type {ModelType}");

    private int? Size(params string[] keys) => First(keys, (r, key) => r.Size(key));

    private T? First<T>(string[] keys, Func<ConfigReader, string, T?> read) where T : struct
    {
        foreach (var key in keys)
            if (read(reader, key) is { } value) return value;
        return null;
    }

    private string? First(string[] keys, Func<ConfigReader, string, string?> read)
    {
        foreach (var key in keys)
            if (read(reader, key) is { } value) return value;
        return null;
    }

    private ScalarType? ReadDType()
    {
        var key = reader.Has("dtype") ? "dtype" : "torch_dtype";
        return reader.Text(key) switch
        {
            null or "auto" => null,
            "float32" or "torch.float32" => ScalarType.Float32,
            "float16" or "torch.float16" => ScalarType.Float16,
            "bfloat16" or "torch.bfloat16" => ScalarType.BFloat16,
            "float64" or "torch.float64" => ScalarType.Float64,
            _ => throw Wrong(key, "float32, bfloat16, float16 or float64"),
        };
    }

    private int? ReadSlidingWindow()
    {
        if (SwitchedWindow.Contains(ModelType) && reader.Bool("use_sliding_window") != true) return null;
        if (reader.Json.TryGetProperty("sliding_window", out _)) return reader.Size("sliding_window");
        return ModelType is "mistral" or "gemma2" or "gemma3_text" or "olmo3" ? 4096 : null; // these classes' default in transformers
    }

    private int ReadHeadDim()
    {
        if (headCount is not { } heads || hiddenSize is not { } hidden) return reader.Size("head_dim") ?? 0;
        if (heads % KeyValueHeadCount != 0)
            throw reader.Wrong("num_key_value_heads", KeyValueHeadCount, $"a divisor of num_attention_heads, which is {heads}");
        var given = reader.Size("head_dim");
        if (hidden % heads != 0 && (given is null || ModelType == "llama"))
            throw reader.Wrong("num_attention_heads", heads, $"a divisor of hidden_size, which is {hidden}");
        return given ?? hidden / heads;
    }

    private void CheckLayerTypes()
    {
        if (LayerTypes is null || layerCount is not { } layers) return;
        if (LayerTypes.Count != layers) throw reader.Wrong("layer_types", $"a list of {LayerTypes.Count}", $"one entry for each of the {layers} layers (num_hidden_layers)");
    }
}
