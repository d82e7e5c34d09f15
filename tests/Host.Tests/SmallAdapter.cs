// A LoRA adapter of rank 1 over stories260K, in PEFT's format, written without training.

using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Host.Adapters;
using PeftAlign.Torch;
using static PeftAlign.Torch.torch;

namespace PeftAlign.Host.Tests;

internal static class SmallAdapter
{
    /// <summary>The repository that the tests were built from.</summary>
    internal static string Root => Checkout.Root;

    internal static void Write(string target)
    {
        using var scope = NewDisposeScope();
        Directory.CreateDirectory(target);
        var config = JsonNode.Parse("""{"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "the/base", "r": 1, "lora_alpha": 1, "lora_dropout": 0.0, "target_modules": ["q_proj"], "layers_to_transform": [0], "bias": "none", "fan_in_fan_out": false}""")!.AsObject();
        const string module = "base_model.model.model.layers.0.self_attn.q_proj.";
        AdapterReader.Write(target, new AdapterFiles(config, new Dictionary<string, Tensor> { [module + "lora_A.weight"] = full(new long[] { 1, 64 }, 0.1), [module + "lora_B.weight"] = full(new long[] { 64, 1 }, 0.1) }));
    }
}
