// transformers reads a base model's tensors with and without the prefix that they have below a head (GPT-2's releases lack
// "transformer.", Bloom's too) and writes it. With the prefix they are the same tensors in every folder of the architecture.

using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Merging;

internal static class BasePrefix
{
    private static readonly Dictionary<string, string[]> Types = new()
    {
        ["transformer."] = ["gpt2", "gpt_neo", "gptj", "gpt_bigcode", "codegen", "bloom", "falcon"],
        ["gpt_neox."] = ["gpt_neox"],
        ["model."] = ["opt", "llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text", "phi", "phi3", "olmo", "olmo2", "olmo3", "smollm3", "cohere", "cohere2", "stablelm", "starcoder2", "granite"],
    };

    // What lies beside the base model.
    private static readonly string[] Heads = ["lm_head.", "embed_out.", "score.", "classifier.", "v_head.", "qa_outputs."];

    /// <summary>Gives a folder's tensors the prefix, where they lack it.</summary>
    /// <param name="weights">The folder's.</param>
    /// <param name="modelType">model_type of its config.json.</param>
    public static void Restore(CheckpointFolder weights, string modelType)
    {
        if (Types.FirstOrDefault(entry => entry.Value.Contains(modelType)).Key is not { } prefix) return;
        if (weights.Names.Any(name => name.StartsWith(prefix, StringComparison.Ordinal))) return;
        foreach (var name in weights.Names.Where(name => !Heads.Any(head => name.StartsWith(head, StringComparison.Ordinal))).ToList()) weights.Rename(name, prefix + name);
    }
}
