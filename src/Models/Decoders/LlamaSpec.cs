// From config.json to the LLaMA decoder's spec. What this version cannot compute is refused by key and value.

using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Decoders;

internal static class LlamaSpec
{
    internal const string ModelType = "llama";

    /// <exception cref="Abstractions.UserErrorException">Another architecture, or a feature that is not built yet.</exception>
    internal static DecoderSpec Of(ModelConfig config)
    {
        if (config.ModelType != ModelType) throw config.UnknownArchitecture([ModelType]);
        if (config.IsQuantized) throw config.Wrong("quantization_config", "absent (4-bit folders are not built yet)");
        if (config.Rope.Type != "default") throw config.Wrong("rope_scaling", "of type default (scaled rotary positions are not built yet)");
        if (config.Activation is not (null or "silu")) throw config.Wrong("hidden_act", "silu");
        foreach (var key in (string[])["attention_bias", "mlp_bias"])
            if (config.Bool(key) == true) throw config.Wrong(key, "false (biases are not built yet)");
        return new DecoderSpec
        {
            ModelType = ModelType,
            Vocabulary = config.VocabularySize,
            Hidden = config.HiddenSize,
            Intermediate = config.IntermediateSize ?? throw config.Wrong("intermediate_size", "a positive whole number"),
            Layers = config.LayerCount,
            Heads = config.HeadCount,
            KeyValueHeads = config.KeyValueHeadCount,
            HeadWidth = config.HeadDim,
            NormEpsilon = config.NormEpsilon ?? 1e-6,
            RopeTheta = config.Rope.Theta,
            MaxPositions = config.MaxPositions ?? 2048,
            TiedHead = config.TieWordEmbeddings,
            PadToken = PadToken(config),
        };
    }

    // generation_config.json may name another token for padding; the embedding follows config.json. LLaMA 1 has -1: the last row.
    private static long? PadToken(ModelConfig config)
    {
        if (!config.Json.TryGetProperty("pad_token_id", out var json) || json.ValueKind != System.Text.Json.JsonValueKind.Number || !json.TryGetInt64(out var id)) return null;
        var row = id < 0 ? id + config.VocabularySize : id;
        return row >= 0 && row < config.VocabularySize ? row : null;
    }
}
