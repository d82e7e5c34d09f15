// Gemma 3 with a part that reads images: its text part is gemma3_text, whose keys lie in text_config. The other part's weights are left
// alone. Source: Gemma Team 2025.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class Gemma3Architecture : IModelArchitecture
{
    private readonly Gemma3TextArchitecture text = new();

    /// <summary>What modules' names begin with, and names in files.</summary>
    internal static readonly IReadOnlyList<(string Module, string Stored)> Stored =
    [
        ("model.language_model.", "language_model.model."), ("lm_head.", "language_model.lm_head."),
        ("model.vision_tower.", "vision_tower."), ("model.multi_modal_projector.", "multi_modal_projector."),
    ];

    public string ClassName => "Gemma3ForConditionalGeneration";

    // None is made anew: a new model without images is gemma3_text.
    public IReadOnlyList<InitOption> InitOptions => [];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        // This class, unlike the text part's own, computes nothing with the key.
        if (config.Number("final_logit_softcapping") is not null) throw config.Wrong("final_logit_softcapping", "null or absent: Gemma 3 with images does not cap its logits");
        return text.Describe(config) with
        {
            Names = new("model.language_model.embed_tokens", "model.language_model.layers.", "model.language_model.norm") { Stored = Stored, Beside = ["vision_tower.", "multi_modal_projector."] },
        };
    }
}
