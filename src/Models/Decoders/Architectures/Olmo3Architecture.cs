// OLMo 3: OLMo 2 with windows in three of four layers, to which no scaling of the rotary positions applies. Source: OLMo Team 2025.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Decoders;

internal sealed class Olmo3Architecture : IModelArchitecture
{
    public string ClassName => "Olmo3ForCausalLM";

    // The base of the layers with a window is this one, whatever rope_theta says beside it.
    public IReadOnlyList<InitOption> InitOptions { get; } =
    [
        .. Olmo2Architecture.Options.Where(o => o.Name != "rope_theta"),
        new("rope_theta", "number", "500000", "(0,)", "Base of the rotary frequencies where a layer sees all; 500000 in the others."),
        new("sliding_window", "integer", "4096", "[1,)", "Tokens that one sees in three of four layers, itself included."),
    ];

    public DecoderSpec Describe(ArchitectureConfig config) => Olmo2Architecture.Shape(config).WithWindowsAndRopes(config, layer => (layer + 1) % 4 != 0);
}
