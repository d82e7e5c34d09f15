// What init_lora_weights of a folder says about the base, in PEFT's own cases (LoraLayer.update_layer): some starts take a part out of the
// base's weights, others leave it as it is. PEFT compares olora, mica and gaussian without regard to case, and all others with it.

namespace PeftAlign.Models.Checkpoints;

/// <summary>PEFT's starts of LoRA by their names.</summary>
public static class LoraInit
{
    /// <summary>Whether it takes the first columns of a QR decomposition out of the base.</summary>
    /// <param name="init">A text of init_lora_weights.</param>
    public static bool IsOlora(string init) => init.Equals("olora", StringComparison.OrdinalIgnoreCase);

    /// <summary>Whether the base stays as it is when PEFT loads a folder of this start; false for names that PEFT does not know.</summary>
    /// <param name="init">A text of init_lora_weights.</param>
    public static bool LeavesTheBase(string init) =>
        init is "" or "eva" or "orthogonal" or "lora_ga" || init.Equals("gaussian", StringComparison.OrdinalIgnoreCase) || init.Equals("mica", StringComparison.OrdinalIgnoreCase);
}
