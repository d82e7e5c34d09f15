// What distinguishes one decoder from another, as data: sizes, constants and the names of its weights.

namespace PeftAlign.Models.Decoders;

/// <summary>A decoder of the LLaMA family.</summary>
public sealed record DecoderSpec
{
    /// <summary>model_type of config.json.</summary>
    public required string ModelType { get; init; }

    /// <summary>Entries of the vocabulary, V.</summary>
    public required long Vocabulary { get; init; }

    /// <summary>Width of the residual stream, d.</summary>
    public required long Hidden { get; init; }

    /// <summary>Width inside the feed-forward part.</summary>
    public required long Intermediate { get; init; }

    /// <summary>Number of blocks.</summary>
    public required int Layers { get; init; }

    /// <summary>Query heads, H.</summary>
    public required long Heads { get; init; }

    /// <summary>Key and value heads, G; H is a multiple of it.</summary>
    public required long KeyValueHeads { get; init; }

    /// <summary>Width of a head, D.</summary>
    public required long HeadWidth { get; init; }

    /// <summary>Added to the mean square in RMSNorm.</summary>
    public required double NormEpsilon { get; init; }

    /// <summary>Base of the rotary frequencies.</summary>
    public required double RopeTheta { get; init; }

    /// <summary>Most positions that the model was made for.</summary>
    public required long MaxPositions { get; init; }

    /// <summary>Whether the output head is the embedding matrix.</summary>
    public required bool TiedHead { get; init; }

    /// <summary>Row of the embedding that no gradient reaches through the embedding, as in Hugging Face's models; null = none.</summary>
    public long? PadToken { get; init; }

    /// <summary>Names of the linear layers of one block, in the order in which they are used.</summary>
    public static IReadOnlyList<string> BlockLinears { get; } =
        ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"];

    /// <summary>Every weight with its shape, in the checkpoint's names and order.</summary>
    public IEnumerable<(string Name, long[] Shape)> Weights()
    {
        yield return ("model.embed_tokens.weight", [Vocabulary, Hidden]);
        for (var l = 0; l < Layers; l++)
        {
            var block = $"model.layers.{l}.";
            yield return (block + "input_layernorm.weight", [Hidden]);
            foreach (var name in BlockLinears) yield return (block + name + ".weight", Shape(name));
            yield return (block + "post_attention_layernorm.weight", [Hidden]);
        }
        yield return ("model.norm.weight", [Hidden]);
        if (!TiedHead) yield return ("lm_head.weight", [Vocabulary, Hidden]);
    }

    private long[] Shape(string linear) => linear switch
    {
        "self_attn.q_proj" => [Heads * HeadWidth, Hidden],
        "self_attn.k_proj" or "self_attn.v_proj" => [KeyValueHeads * HeadWidth, Hidden],
        "self_attn.o_proj" => [Hidden, Heads * HeadWidth],
        "mlp.down_proj" => [Hidden, Intermediate],
        _ => [Intermediate, Hidden],
    };
}
