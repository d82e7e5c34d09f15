// Which adapter tensors are decayed: transformers' rule (Trainer.get_decay_parameter_names) on the names that PEFT gives them.
// No bias, and nothing of a norm, known by its name or, as LayerNorm, by its kind: of all modules only norms have a vector as weight.

using System.Text.RegularExpressions;
using PeftAlign.Torch;

namespace PeftAlign.Training;

internal static partial class WeightDecay
{
    /// <summary>Whether an adapter's tensor is decayed.</summary>
    /// <param name="module">The module's dotted name, such as model.layers.0.self_attn.q_proj.</param>
    /// <param name="role">lora_A, lora_magnitude_vector, weight, bias ...</param>
    /// <param name="value">The tensor.</param>
    internal static bool AppliesTo(string module, string role, Tensor value) =>
        !Excluded().IsMatch($"{module}.{role}".ToLowerInvariant()) && !(role.Split('.')[^1] == "weight" && value.dim() == 1);

    [GeneratedRegex(@"bias|layernorm|rmsnorm|(^|\.|_)norm($|\.)")]
    private static partial Regex Excluded();
}
