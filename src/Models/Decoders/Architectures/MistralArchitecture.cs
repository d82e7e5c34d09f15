// Mistral: LLaMA with a sliding window in every layer. Source: Jiang et al. 2023.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class MistralArchitecture : IModelArchitecture
{
    public string ClassName => "MistralForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. NewModelOptions.Llama,
        NewModelOptions.HeadWidth,
        new("sliding_window", "integer", null, "[1,)", "Tokens that one sees, itself included; 4096 where it is not given."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config) => LlamaShape.Of(config).TurningWhole().WithWindow(config.SlidingWindow);
}
