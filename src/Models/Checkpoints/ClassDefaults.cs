// What transformers' class of a model type takes where config.json lacks a key. Of the types that are read here, and of further ones that
// plugins may bring. Sizes that weights are laid out by (hidden_size, num_attention_heads ...) have no default: their absence is an error.

namespace PeftAlign.Models.Checkpoints;

internal sealed record ClassDefaults
{
    private static readonly ClassDefaults Unknown = new(), Untied = new() { Tied = false };

    // Of the text part, where images are read too.
    private static readonly ClassDefaults Gemma3 = new() { Positions = 131072, KeyValueHeads = 4, HeadWidth = 256, Pad = 0, Window = 4096 };

    private static readonly Dictionary<string, ClassDefaults> Known = new()
    {
        ["llama"] = Untied with { Positions = 2048 },
        ["mistral"] = Untied with { Positions = 131072, KeyValueHeads = 8, Window = 4096 },
        ["qwen2"] = Untied with { Positions = 32768, KeyValueHeads = 32, Window = 4096, IsWindowSwitched = true },
        ["qwen3"] = Untied with { Positions = 32768, KeyValueHeads = 32, HeadWidth = 128, Window = 4096, IsWindowSwitched = true },
        ["gemma"] = new() { Positions = 8192, KeyValueHeads = 16, HeadWidth = 256, Pad = 0 },
        ["gemma2"] = new() { Positions = 8192, KeyValueHeads = 4, HeadWidth = 256, Pad = 0, Window = 4096 },
        ["gemma3"] = Gemma3,
        ["gemma3_text"] = Gemma3,
        ["granite"] = Untied with { Positions = 2048 },
        ["olmo2"] = Untied with { Positions = 2048, Pad = 1 },
        ["olmo3"] = Untied with { Positions = 2048, Pad = 1, Window = 4096 },
        ["smollm3"] = new() { Positions = 32768, KeyValueHeads = 4, Pad = 128004, IsWindowSwitched = true },
        ["phi3"] = Untied with { Positions = 4096, Pad = 32000 },
        ["stablelm"] = Untied with { Positions = 4096, KeyValueHeads = 32 },
        ["phi"] = Untied with { Positions = 2048 },
        ["falcon"] = new() { Positions = 2048 },
        ["cohere"] = new() { Positions = 8192, Pad = 0 },
        ["gptj"] = Untied with { Positions = 2048 },
        ["gpt2"] = new() { Positions = 1024 },
        ["gpt_neo"] = new() { Positions = 2048 },
        ["gpt_neox"] = Untied with { Positions = 2048 },
        ["opt"] = new() { Positions = 2048, Pad = 1 },
        ["roberta"] = new() { Positions = 512, Pad = 1 },
        ["deberta-v2"] = new() { Positions = 512, Pad = 0 },
        ["mixtral"] = Untied,
        ["qwen2_moe"] = Untied with { IsWindowSwitched = true },
        ["qwen3_moe"] = Untied with { IsWindowSwitched = true },
        ["qwen2_vl"] = Untied with { IsWindowSwitched = true },
        ["qwen2_5_vl"] = Untied with { IsWindowSwitched = true },
        ["iquestcoder"] = Untied with { IsWindowSwitched = true },
        ["codegen"] = Untied,
        ["olmo"] = Untied,
        ["olmoe"] = Untied,
        ["phimoe"] = Untied,
        ["internlm3"] = Untied,
        ["exaone4"] = Untied,
        ["dots1"] = Untied,
        ["cwm"] = Untied,
        ["gpt_oss"] = Untied,
        ["seed_oss"] = Untied,
        ["glm"] = Untied,
        ["glm4"] = Untied,
        ["helium"] = Untied,
        ["nemotron"] = Untied,
        ["granitemoe"] = Untied,
    };

    /// <summary>tie_word_embeddings.</summary>
    internal bool Tied { get; private init; } = true;

    /// <summary>max_position_embeddings, n_positions; null = not known.</summary>
    internal int? Positions { get; private init; }

    /// <summary>num_key_value_heads; null = as many as query heads.</summary>
    internal int? KeyValueHeads { get; private init; }

    /// <summary>head_dim; null = hidden size / heads.</summary>
    internal int? HeadWidth { get; private init; }

    /// <summary>pad_token_id, which may lie beyond the vocabulary; null = none.</summary>
    internal int? Pad { get; private init; }

    /// <summary>sliding_window; null = none.</summary>
    internal int? Window { get; private init; }

    /// <summary>Whether there is a window only with use_sliding_window: true; others know no such key.</summary>
    internal bool IsWindowSwitched { get; private init; }

    /// <summary>Those of a model type.</summary>
    internal static ClassDefaults Of(string modelType) => Known.GetValueOrDefault(modelType, Unknown);
}
