// config.json as an architecture sees it. The host reads and checks the file; architectures only query it.

using System.Text.Json;

namespace PeftAlign.Abstractions;

/// <summary>config.json, typed: what models have in common under one name each, and getters for the keys of a single architecture.</summary>
public abstract class ArchitectureConfig
{
    /// <summary>The whole file.</summary>
    public abstract JsonElement Json { get; }

    /// <summary>model_type.</summary>
    public abstract string ModelType { get; }

    /// <summary>Width of the residual stream.</summary>
    public abstract int HiddenSize { get; }

    /// <summary>Number of blocks.</summary>
    public abstract int LayerCount { get; }

    /// <summary>Number of query heads.</summary>
    public abstract int HeadCount { get; }

    /// <summary>Number of key and value heads; divides <see cref="HeadCount"/>.</summary>
    public abstract int KeyValueHeadCount { get; }

    /// <summary>Dimensions of a head; hidden size / heads where it is not given.</summary>
    public abstract int HeadDim { get; }

    /// <summary>Width inside the feed-forward part; null where absent.</summary>
    public abstract int? IntermediateSize { get; }

    /// <summary>Number of token ids.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>Positions that the model can take, or null where it does not say.</summary>
    public abstract int? MaxPositions { get; }

    /// <summary>Epsilon of the norms, or null where config.json does not say and the architecture's default applies.</summary>
    public abstract double? NormEpsilon { get; }

    /// <summary>Whether the output head is the embedding.</summary>
    public abstract bool TieWordEmbeddings { get; }

    /// <summary>A token sees itself and the SlidingWindow - 1 tokens before it; null = all.</summary>
    public abstract int? SlidingWindow { get; }

    /// <summary>full_attention or sliding_attention for each layer, or null where config.json does not say.</summary>
    public abstract IReadOnlyList<string>? LayerTypes { get; }

    /// <summary>Rotary positions (of layers with full attention, where the kinds of layer differ).</summary>
    public abstract RopeParameters Rope { get; }

    /// <summary>Rotary positions of one kind of layer.</summary>
    /// <param name="layerType">full_attention or sliding_attention.</param>
    /// <exception cref="UserErrorException">config.json distinguishes kinds and lacks this one, or a value is wrong.</exception>
    public abstract RopeParameters RopeOf(string layerType);

    /// <summary>Row of the embedding for padding (pad_token_id; a negative one counts from the end); null = none.</summary>
    public abstract long? PaddingRow { get; }

    /// <summary>The feed-forward activation.</summary>
    /// <param name="standard">The activation where config.json does not say.</param>
    /// <exception cref="UserErrorException">The engine does not have it.</exception>
    public abstract Activation ActivationOr(Activation standard);

    /// <summary>A whole number, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is not a whole number, or out of bounds.</exception>
    public abstract int? Int(string key, int least = int.MinValue, int most = int.MaxValue);

    /// <summary>A number, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is not a finite number.</exception>
    public abstract double? Number(string key);

    /// <summary>A truth value, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public abstract bool? Bool(string key);

    /// <summary>A text, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public abstract string? Text(string key);

    /// <summary>A list of texts, or null where absent or null.</summary>
    /// <exception cref="UserErrorException">It is something else.</exception>
    public abstract IReadOnlyList<string>? Texts(string key);

    /// <summary>The error for a value that an architecture cannot take.</summary>
    /// <param name="key">The key of config.json.</param>
    /// <param name="wanted">The end of the sentence "it must be ...".</param>
    public abstract UserErrorException Wrong(string key, string wanted);
}
