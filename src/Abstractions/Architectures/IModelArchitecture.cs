// An architecture: from config.json to the parts that the engine computes with. Registered under its model_type.

namespace PeftAlign.Abstractions;

/// <summary>A decoder architecture: llama, gpt2 ...</summary>
public interface IModelArchitecture
{
    /// <summary>transformers' class for it, for instance "LlamaForCausalLM"; written into new models.</summary>
    string ClassName { get; }

    /// <summary>What a new model can be told: keys of config.json. Without a default a key must be given or follows from others.</summary>
    IReadOnlyList<InitOption> InitOptions { get; }

    /// <summary>What a configuration describes.</summary>
    /// <param name="config">config.json, its common facts checked.</param>
    /// <exception cref="UserErrorException">A key asks for what the architecture cannot compute.</exception>
    DecoderSpec Describe(IModelConfig config);
}

/// <summary>An option of a model that is made anew: a key of config.json.</summary>
/// <param name="Name">The key.</param>
/// <param name="Type">integer, number, boolean or string.</param>
/// <param name="Default">JSON text; null where it must be given or follows from others.</param>
/// <param name="Range">Interval, for instance "[1,)".</param>
/// <param name="Docs">One sentence.</param>
public sealed record InitOption(string Name, string Type, string? Default, string Range, string Docs);

/// <summary>config.json, typed: common facts under one name each, and getters for what is an architecture's own.</summary>
public interface IModelConfig
{
    /// <summary>model_type.</summary>
    string ModelType { get; }

    /// <summary>Width of the residual stream.</summary>
    int HiddenSize { get; }

    /// <summary>Number of blocks.</summary>
    int LayerCount { get; }

    /// <summary>Number of query heads.</summary>
    int HeadCount { get; }

    /// <summary>Number of key and value heads; divides <see cref="HeadCount"/>.</summary>
    int KeyValueHeadCount { get; }

    /// <summary>Dimensions of a head; hidden size / heads where it is not given.</summary>
    int HeadDim { get; }

    /// <summary>Width inside the feed-forward part; null where absent.</summary>
    int? IntermediateSize { get; }

    /// <summary>Number of token ids.</summary>
    int VocabularySize { get; }

    /// <summary>Positions that the model can take, or null where it does not say.</summary>
    int? MaxPositions { get; }

    /// <summary>Epsilon of the norms, or null where the architecture's default counts.</summary>
    double? NormEpsilon { get; }

    /// <summary>Whether the output head is the embedding.</summary>
    bool TieWordEmbeddings { get; }

    /// <summary>A token sees itself and the SlidingWindow - 1 tokens before it; null = all.</summary>
    int? SlidingWindow { get; }

    /// <summary>full_attention or sliding_attention for each layer, or null where config.json does not say.</summary>
    IReadOnlyList<string>? LayerTypes { get; }

    /// <summary>Rotary positions.</summary>
    RopeParameters Rope { get; }

    /// <summary>Row of the embedding for padding (pad_token_id; a negative one counts from the end); null = none.</summary>
    long? PaddingRow { get; }

    /// <summary>The feed-forward activation.</summary>
    /// <param name="standard">Where config.json does not say.</param>
    /// <exception cref="UserErrorException">It is none that the engine has.</exception>
    Activation ActivationOr(Activation standard);

    /// <summary>A whole number, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is no whole number, or out of bounds.</exception>
    int? Int(string key, int least = int.MinValue, int most = int.MaxValue);

    /// <summary>A number, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is no finite number.</exception>
    double? Number(string key);

    /// <summary>A truth value, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    bool? Bool(string key);

    /// <summary>A text, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    string? Text(string key);

    /// <summary>A list of texts, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    IReadOnlyList<string>? Texts(string key);

    /// <summary>The error for a value that an architecture cannot take.</summary>
    /// <param name="key">The key of config.json.</param>
    /// <param name="wanted">Ends the sentence "it must be ...".</param>
    UserErrorException Wrong(string key, string wanted);
}
