// A decoder as data: an architecture says which parts a block has, how wide they are and what their weights are called; the
// engine computes. Every part that one of the known families needs is here, each off unless it is asked for.

namespace PeftAlign.Abstractions;

/// <summary>A causal decoder: embedding, blocks of attention and feed-forward with norms before them, final norm, head.</summary>
public sealed record DecoderSpec
{
    private readonly long? embeddingWidth;

    /// <summary>model_type of config.json.</summary>
    public required string ModelType { get; init; }

    /// <summary>Entries of the vocabulary, V.</summary>
    public required long Vocabulary { get; init; }

    /// <summary>Width of the residual stream, d.</summary>
    public required long Hidden { get; init; }

    /// <summary>Number of blocks.</summary>
    public required int Layers { get; init; }

    /// <summary>Query heads, H.</summary>
    public required long Heads { get; init; }

    /// <summary>Key and value heads, G; H is a multiple of it.</summary>
    public required long KeyValueHeads { get; init; }

    /// <summary>Width of a head, D.</summary>
    public required long HeadWidth { get; init; }

    /// <summary>Number of positions that the model was made for; a hard limit where positions are learned.</summary>
    public required long MaxPositions { get; init; }

    /// <summary>Rows of the table of learned positions before that of position 0; the table has MaxPositions more.</summary>
    public long PositionOffset { get; init; }

    /// <summary>Width of the token embedding and of the head's input, w; d where it is not given. Where it is another,
    /// <see cref="DecoderNames.EmbeddingOutput"/> and <see cref="DecoderNames.HeadInput"/> lead from one to the other.</summary>
    public long EmbeddingWidth { get => embeddingWidth ?? Hidden; init => embeddingWidth = value; }

    /// <summary>Whether the output head is the embedding matrix.</summary>
    public required bool TiedHead { get; init; }

    /// <summary>Whether the output head adds a bias (V), <see cref="DecoderNames.Head"/>.bias; not where it is tied.</summary>
    public bool HeadBias { get; init; }

    /// <summary>Kind of all norms.</summary>
    public required NormSpec Norm { get; init; }

    /// <summary>The parts of a block; the same in every block.</summary>
    public required BlockSpec Block { get; init; }

    /// <summary>Names of the weights outside the blocks.</summary>
    public DecoderNames Names { get; init; } = new("model.embed_tokens", "model.layers.", "model.norm");

    /// <summary>Rotary positions; null where positions are learned (<see cref="DecoderNames.Positions"/>).</summary>
    public RopeParameters? Rope { get; init; }

    /// <summary>For each block, how many tokens a token sees, itself included; null = all. An empty list = all, in every block.</summary>
    public IReadOnlyList<long?> Windows { get; init; } = [];

    /// <summary>For each block, its rotary positions, null = none, where not all blocks have those of <see cref="Rope"/>. An empty list = those, in every block.</summary>
    public IReadOnlyList<RopeParameters?> Ropes { get; init; } = [];

    /// <summary>Whether queries and keys of a narrow dtype are turned in float32 and rounded behind it, instead of by rounded cosines.</summary>
    public bool TurnsWide { get; init; }

    /// <summary>Whether dimension 2j of a head turns with 2j + 1, instead of j with j + W / 2 of the W that turn.</summary>
    public bool TurnsPairs { get; init; }

    /// <summary>Factor of the attention scores; null = 1 / sqrt(D).</summary>
    public double? ScoreScale { get; init; }

    /// <summary>Scores s become c tanh(s / c); null = no cap.</summary>
    public double? ScoreCap { get; init; }

    /// <summary>Logits z become c tanh(z / c); null = no cap.</summary>
    public double? LogitCap { get; init; }

    /// <summary>Factor of the embeddings, rounded to the model's dtype; null = 1.</summary>
    public double? EmbeddingScale { get; init; }

    /// <summary>Factor of all that enters the first block, an adapter's virtual tokens included; null = 1.</summary>
    public double? InputScale { get; init; }

    /// <summary>Factor of what attention and the feed-forward part add to the stream; null = 1.</summary>
    public double? ResidualScale { get; init; }

    /// <summary>What logits are divided by; null = 1.</summary>
    public double? LogitDivisor { get; init; }

    /// <summary>Number of outputs of the score head (Labels, d) that replaces the output head in sequence classifiers; null = a language model.</summary>
    public long? Labels { get; init; }

    /// <summary>Row of the embedding that no gradient reaches through the embedding, as in Hugging Face's models; null = none.</summary>
    public long? PadToken { get; init; }
}

/// <summary>Names of the weights outside the blocks, without ".weight".</summary>
/// <param name="Embedding">(V, w)</param>
/// <param name="Blocks">What precedes a block's number and a dot.</param>
/// <param name="FinalNorm">(d); null = none.</param>
public sealed record DecoderNames(string Embedding, string Blocks, string? FinalNorm)
{
    /// <summary>(offset + MaxPositions, d) learned positions, added to the embeddings; null = none.</summary>
    public string? Positions { get; init; }

    /// <summary>(d, w) linear layer between token embedding and residual stream; null = none, w is d.</summary>
    public string? EmbeddingOutput { get; init; }

    /// <summary>(w, d) linear layer between the last block, or the final norm, and the head; null = none, w is d.</summary>
    public string? HeadInput { get; init; }

    /// <summary>(V, w); absent from the checkpoint where it is tied.</summary>
    public string Head { get; init; } = "lm_head";

    /// <summary>What checkpoints call the head where that is not the module's name; they are read under both. Null = the module's name.</summary>
    public string? StoredHead { get; init; }

    /// <summary>What names begin with, and what those of the same weights begin with in checkpoints, which are read under both; empty = they are the same.</summary>
    public IReadOnlyList<(string Module, string Stored)> Stored { get; init; } = [];

    /// <summary>What names in checkpoints begin with, of weights of parts beside the decoder (one that reads images): they are left alone, and kept in what is written.</summary>
    public IReadOnlyList<string> Beside { get; init; } = [];
}

/// <summary>The parts of one block; names are relative to the block.</summary>
public sealed record BlockSpec
{
    /// <summary>Norm before attention; null = none.</summary>
    public required string? AttentionNorm { get; init; }

    /// <summary>Whether attention A and feed-forward F both read the block's input: x + A(n(x)) + F(m(x)). A feed-forward norm of the attention
    /// norm's name is the same one.</summary>
    public bool Parallel { get; init; }

    /// <summary>Whether the norms stand behind the sums, not before the parts: y = n(x + A(x)), then m(y + F(y)).</summary>
    public bool NormsAfter { get; init; }

    /// <summary>Three layers, or one, whose outputs side by side are the queries, keys and values.</summary>
    public required IReadOnlyList<LinearSpec> AttentionInputs { get; init; }

    /// <summary>Of one layer: whether each key head's queries, its key and its value lie together, not all queries, all keys, all values.</summary>
    public bool FusedByHead { get; init; }

    /// <summary>From the attended values back to the residual stream.</summary>
    public required LinearSpec AttentionOutput { get; init; }

    /// <summary>Norm over each query head, or where <see cref="WideHeadNorms"/> all of a row's, before rotation; null = none.</summary>
    public string? QueryNorm { get; init; }

    /// <summary>Norm over each key head, or where <see cref="WideHeadNorms"/> all of a row's, before rotation; null = none.</summary>
    public string? KeyNorm { get; init; }

    /// <summary>Whether the norms of queries and keys span all heads, H D and G D numbers.</summary>
    public bool WideHeadNorms { get; init; }

    /// <summary>Norm of attention's result before it is added; null = none.</summary>
    public string? AttentionEndNorm { get; init; }

    /// <summary>Norm before the feed-forward part; null = none.</summary>
    public required string? FeedForwardNorm { get; init; }

    /// <summary>Layers whose outputs side by side are gates and values where <see cref="Gated"/>, else the input of the activation.</summary>
    public required IReadOnlyList<LinearSpec> FeedForwardInputs { get; init; }

    /// <summary>Whether activated gates multiply values (SwiGLU, GeGLU).</summary>
    public bool Gated { get; init; } = true;

    /// <summary>Activation of the gates where <see cref="Gated"/>, else of everything.</summary>
    public required Activation Activation { get; init; }

    /// <summary>From the inner width back to the residual stream.</summary>
    public required LinearSpec FeedForwardOutput { get; init; }

    /// <summary>Norm of the feed-forward result before it is added; null = none.</summary>
    public string? FeedForwardEndNorm { get; init; }
}

/// <summary>A linear layer.</summary>
/// <param name="Name">Relative to the block, without ".weight".</param>
/// <param name="Inputs">Columns.</param>
/// <param name="Outputs">Rows.</param>
public sealed record LinearSpec(string Name, long Inputs, long Outputs)
{
    /// <summary>Whether the layer has a bias (outputs).</summary>
    public bool Bias { get; init; }

    /// <summary>Whether the weight is stored (inputs, outputs), as in GPT-2.</summary>
    public bool Transposed { get; init; }
}

/// <summary>Kind of the norms.</summary>
/// <param name="Kind">Its formula.</param>
/// <param name="Epsilon">Added to the mean square or variance.</param>
public sealed record NormSpec(NormKind Kind, double Epsilon)
{
    /// <summary>Of LayerNorm: whether the norms have weights and biases; without them they only normalise.</summary>
    public bool HasWeights { get; init; } = true;

    /// <summary>Of LayerNorm with weights: whether the norms have biases.</summary>
    public bool HasBias { get; init; } = true;

    /// <summary>Of <see cref="NormKind.Rms"/> in a narrow dtype: whether w multiplies in float32, before anything is rounded.</summary>
    public bool RoundsOnce { get; init; }
}

/// <summary>Formulas of norms.</summary>
public enum NormKind
{
    /// <summary>w x / rms(x)</summary>
    Rms,

    /// <summary>(1 + w) x / rms(x)</summary>
    RmsPlusOne,

    /// <summary>w (x - mean) / sd + b</summary>
    Layer,
}

/// <summary>Activations of feed-forward parts.</summary>
public enum Activation
{
    /// <summary>x sigmoid(x)</summary>
    Silu,

    /// <summary>x Phi(x)</summary>
    Gelu,

    /// <summary>The tanh approximation of x Phi(x): gelu_new, gelu_pytorch_tanh.</summary>
    GeluTanh,

    /// <summary>max(x, 0)</summary>
    Relu,
}
