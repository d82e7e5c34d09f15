// What a Llama's configuration asks of its weights, for tests that need shapes but no model.

using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Models.Tests.Checkpoints;

internal static class TinyLlama
{
    public static Dictionary<string, long[]> Shapes(ModelConfig config)
    {
        long hidden = config.HiddenSize, inner = config.IntermediateSize ?? 0, vocabulary = config.VocabularySize;
        long queries = (long)config.HeadCount * config.HeadDim, keys = (long)config.KeyValueHeadCount * config.HeadDim;
        var shapes = new Dictionary<string, long[]>
        {
            ["model.embed_tokens.weight"] = [vocabulary, hidden],
            ["model.norm.weight"] = [hidden],
        };
        if (!config.TieWordEmbeddings) shapes["lm_head.weight"] = [vocabulary, hidden];
        for (var k = 0; k < config.LayerCount; k++)
        {
            var block = $"model.layers.{k}.";
            shapes[block + "input_layernorm.weight"] = shapes[block + "post_attention_layernorm.weight"] = [hidden];
            shapes[block + "self_attn.q_proj.weight"] = [queries, hidden];
            shapes[block + "self_attn.k_proj.weight"] = shapes[block + "self_attn.v_proj.weight"] = [keys, hidden];
            shapes[block + "self_attn.o_proj.weight"] = [hidden, queries];
            shapes[block + "mlp.gate_proj.weight"] = shapes[block + "mlp.up_proj.weight"] = [inner, hidden];
            shapes[block + "mlp.down_proj.weight"] = [hidden, inner];
        }
        return shapes;
    }

    /// <summary>Linear modules and the embedding by name.</summary>
    public static Dictionary<string, long[]> Modules(ModelConfig config) =>
        Shapes(config).Where(s => s.Value.Length == 2).ToDictionary(s => s.Key[..^".weight".Length], s => s.Value);
}
