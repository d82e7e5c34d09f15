// What distinguishes one encoder classifier from another, as data: sizes, constants, names. Blocks are those of BERT: norms
// after attention and after the feed-forward part. Sources: Liu et al. 2019 (RoBERTa), He et al. 2021 (DeBERTa V3).

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Classifiers;

internal sealed record EncoderSpec
{
    public required string ModelType { get; init; }
    public required long Vocabulary { get; init; }
    public required long Hidden { get; init; }
    public required long Inner { get; init; }
    public required int Layers { get; init; }
    public required long Heads { get; init; }
    public required double Epsilon { get; init; }
    public required Activation Activation { get; init; }
    public required long Labels { get; init; }
    public required long MaxTokens { get; init; }

    /// <summary>Before every name but the head's: "roberta.".</summary>
    public required string Prefix { get; init; }

    /// <summary>Ending of the names of queries, keys and values: "" or "_proj".</summary>
    public string Projection { get; init; } = "";

    /// <summary>Row of the embeddings for padding.</summary>
    public long PadToken { get; init; }

    /// <summary>Rows of the table of learned positions; null = none.</summary>
    public long? Positions { get; init; }

    /// <summary>Position of the first token; a token of the padding id has the padding id as its position, and counts for none.</summary>
    public long FirstPosition { get; init; }

    /// <summary>Rows of the table of token types, of which row 0 is used; 0 = none.</summary>
    public long TokenTypes { get; init; }

    /// <summary>Disentangled attention; null = none.</summary>
    public RelativeSpec? Relative { get; init; }

    /// <summary>Scores are divided by sqrt(this D).</summary>
    public int ScoreTerms { get; init; } = 1;

    /// <summary>Whether rows longer than MaxTokens are computed: no position has a row of a table.</summary>
    public bool TakesLonger => Positions is null;

    /// <summary>First layer of the head, on the first token.</summary>
    public required string HeadInput { get; init; }

    /// <summary>Whether it is activated by tanh, rather than by erf GELU.</summary>
    public required bool HeadTanh { get; init; }

    /// <summary>Last layer of the head.</summary>
    public required string HeadOutput { get; init; }

    /// <summary>Every weight with its shape.</summary>
    public IEnumerable<(string Name, long[] Shape)> Weights()
    {
        IEnumerable<(string, long[])> Norm(string name) => [(name + ".weight", [Hidden]), (name + ".bias", [Hidden])];
        IEnumerable<(string, long[])> Linear(string name, long inputs, long outputs) => [(name + ".weight", [outputs, inputs]), (name + ".bias", [outputs])];
        IEnumerable<(string, long[])> all =
        [
            (Prefix + "embeddings.word_embeddings.weight", [Vocabulary, Hidden]),
            .. Positions is { } rows ? [(Prefix + "embeddings.position_embeddings.weight", [rows, Hidden])] : ((string, long[])[])[],
            .. TokenTypes > 0 ? [(Prefix + "embeddings.token_type_embeddings.weight", [TokenTypes, Hidden])] : ((string, long[])[])[],
            .. Norm(Prefix + "embeddings.LayerNorm"),
            .. Relative is { } relative ? [(Prefix + "encoder.rel_embeddings.weight", [2 * relative.Span, Hidden])] : ((string, long[])[])[],
            .. Relative is { Norm: true } ? Norm(Prefix + "encoder.LayerNorm") : [],
            .. Enumerable.Range(0, Layers).SelectMany(l => (IEnumerable<(string, long[])>)
            [
                .. Linear(Layer(l, "attention.self.query" + Projection), Hidden, Hidden),
                .. Linear(Layer(l, "attention.self.key" + Projection), Hidden, Hidden),
                .. Linear(Layer(l, "attention.self.value" + Projection), Hidden, Hidden),
                .. Relative is { OwnProjections: true, ContentToPosition: true } ? Linear(Layer(l, "attention.self.pos_key_proj"), Hidden, Hidden) : [],
                .. Relative is { OwnProjections: true, PositionToContent: true } ? Linear(Layer(l, "attention.self.pos_query_proj"), Hidden, Hidden) : [],
                .. Linear(Layer(l, "attention.output.dense"), Hidden, Hidden),
                .. Norm(Layer(l, "attention.output.LayerNorm")),
                .. Linear(Layer(l, "intermediate.dense"), Hidden, Inner),
                .. Linear(Layer(l, "output.dense"), Inner, Hidden),
                .. Norm(Layer(l, "output.LayerNorm")),
            ]),
            .. Linear(HeadInput, Hidden, Hidden),
            .. Linear(HeadOutput, Hidden, Labels),
        ];
        return all;
    }

    public string Layer(int layer, string part) => $"{Prefix}encoder.layer.{layer}.{part}";

    internal static EncoderSpec Roberta(ModelConfig config, long labels)
    {
        var pad = config.PaddingRow ?? 1;
        long positions = config.MaxPositions!.Value;
        if (config.Text("position_embedding_type") is not (null or "absolute")) throw config.Wrong("position_embedding_type", "absolute");
        return Common(config, labels) with
        {
            Prefix = "roberta.",
            Epsilon = config.NormEpsilon ?? 1e-12,
            PadToken = pad,
            Positions = positions,
            FirstPosition = pad + 1,
            MaxTokens = positions - pad - 1,
            TokenTypes = config.Int("type_vocab_size", 0) ?? 2,
            HeadInput = "classifier.dense",
            HeadTanh = true,
            HeadOutput = "classifier.out_proj",
        };
    }

    internal static EncoderSpec Deberta(ModelConfig config, long labels)
    {
        if (config.Int("conv_kernel_size") > 0) throw config.Wrong("conv_kernel_size", "0 or absent (DeBERTa V3 has no convolution)");
        if (config.Int("embedding_size") is { } width && width != config.HiddenSize) throw config.Wrong("embedding_size", $"absent or hidden_size, which is {config.HiddenSize}");
        if (config.Text("pooler_hidden_act") is not (null or "gelu")) throw config.Wrong("pooler_hidden_act", "gelu");
        var biased = config.Bool("position_biased_input") ?? true;
        return Common(config, labels) with
        {
            Epsilon = config.NormEpsilon ?? 1e-7,
            Projection = "_proj",
            PadToken = config.PaddingRow ?? 0,
            Positions = biased ? config.MaxPositions : null,
            TokenTypes = config.Int("type_vocab_size", 0) ?? 0,
            Relative = config.Bool("relative_attention") == true ? RelativeSpec.Of(config) : null,
            // As in transformers, pos_att_type counts here where relative_attention is off, too.
            ScoreTerms = 1 + RelativeSpec.Kinds(config).Where(kind => kind is "c2p" or "p2c").Distinct().Count(),
        };
    }

    private static EncoderSpec Common(ModelConfig config, long labels) => new()
    {
        ModelType = config.ModelType,
        Vocabulary = config.VocabularySize,
        Hidden = config.HiddenSize,
        Inner = config.IntermediateSize ?? throw config.Wrong("intermediate_size", "a positive whole number"),
        Layers = config.LayerCount,
        Heads = config.HeadCount,
        Epsilon = 1e-12,
        Activation = config.ActivationOr(Activation.Gelu),
        Labels = labels,
        MaxTokens = config.MaxPositions!.Value,
        Prefix = "deberta.",
        HeadInput = "pooler.dense",
        HeadTanh = false,
        HeadOutput = "classifier",
    };
}
