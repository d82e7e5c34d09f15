// Which matrices a model stores (in, out): those of transformers' Conv1D. An adapter's fan_in_fan_out does not say it: PEFT goes by each
// module, and notes what the last of them was (false, where GPT-2's head has a pair too; false over any base in 4 bits).

using PeftAlign.Models.Decoders;

namespace PeftAlign.Merging;

internal static class TransposedModules
{
    private static readonly HashSet<string> Types = ["gpt2", "openai-gpt", "imagegpt", "decision_transformer", "clvp", "clvp_decoder"];
    private static readonly HashSet<string> Names = ["c_attn", "q_attn", "c_proj", "c_fc"];

    /// <summary>Tells whether a module's weight is stored (in, out).</summary>
    /// <param name="modelType">model_type of config.json.</param>
    /// <param name="said">The adapter's fan_in_fan_out, which counts where nothing is known of the model.</param>
    public static Func<string, bool> Of(string modelType, bool said) =>
        Types.Contains(modelType) ? module => Names.Contains(module[(module.LastIndexOf('.') + 1)..])
        : _ => said && !ModelArchitectures.BuiltIn.Names.Contains(modelType);
}
