// The modules that PEFT changes where none are named, for the architectures that the engine knows.

using PeftAlign.Abstractions;

namespace PeftAlign.Peft.Lora;

internal static class LoraDefaults
{
    private static readonly string[] QueriesAndValues = ["q_proj", "v_proj"];

    private static readonly Dictionary<string, string[]> ByArchitecture = new()
    {
        ["llama"] = QueriesAndValues,
        ["mistral"] = QueriesAndValues,
        ["mixtral"] = QueriesAndValues,
        ["qwen2"] = QueriesAndValues,
        ["qwen3"] = QueriesAndValues,
        ["gemma"] = QueriesAndValues,
        ["gemma2"] = QueriesAndValues,
        ["gemma3_text"] = QueriesAndValues,
        ["opt"] = QueriesAndValues,
        ["gpt_neo"] = QueriesAndValues,
        ["gptj"] = QueriesAndValues,
        ["stablelm"] = QueriesAndValues,
        ["phi"] = ["q_proj", "v_proj", "fc1", "fc2"],
        ["gpt2"] = ["c_attn"],
        ["gpt_bigcode"] = ["c_attn"],
        ["gpt_neox"] = ["query_key_value"],
        ["bloom"] = ["query_key_value"],
        ["falcon"] = ["query_key_value"],
        ["bert"] = ["query", "value"],
        ["roberta"] = ["query", "value"],
        ["xlm-roberta"] = ["query", "value"],
        ["deberta-v2"] = ["query_proj", "value_proj"],
    };

    /// <exception cref="UserErrorException">There are none for this architecture.</exception>
    internal static IReadOnlyList<string> Targets(string architecture) =>
        ByArchitecture.TryGetValue(architecture, out var targets) ? targets : throw new UserErrorException($"There are no usual targets for the architecture {architecture}; name modules in targets, or use all-linear.");
}
