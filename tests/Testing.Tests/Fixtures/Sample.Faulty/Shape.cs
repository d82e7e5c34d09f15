// LLaMA's shape with a factor of the scores, right or wrong in one way. An architecture has no options: each way is one of its own.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;

namespace Sample.Faulty;

/// <summary>None.</summary>
public sealed class ShapeOptions;

/// <summary>Ways for an architecture to be wrong.</summary>
public enum ShapeFault
{
    None,
    Renames,
    HidesAnOption,
    DescribesAnew,
    GivesNaN,
    LeavesAMatrix,
    CountsItsCalls,
    TakesAnything,
}

internal sealed class Shape(ShapeFault fault) : IModelArchitecture
{
    private int calls;

    public string ClassName => "ShapeForCausalLM";

    public IReadOnlyList<InitOption> InitOptions { get; } = fault == ShapeFault.HidesAnOption ? NewModelOptions.Llama : [.. NewModelOptions.Llama, new("score_factor", "number", "0.5", "", "Factor of the attention scores.")];

    public DecoderSpec Describe(ArchitectureConfig config)
    {
        calls++;
        var factor = config.Json.TryGetProperty("score_factor", out var given) ? given.GetDouble() : 0.5;
        if (factor <= 0 && fault != ShapeFault.TakesAnything) throw new UserErrorException($"score_factor is {factor}; it must be above 0.");
        var spec = LlamaShape.Of(config) with { ScoreScale = Math.Max(factor, 0.1) };
        return fault switch
        {
            ShapeFault.Renames => spec with { ModelType = "shape" },
            ShapeFault.DescribesAnew => calls % 2 == 0 ? spec : spec with { Block = spec.Block with { AttentionOutput = spec.Block.AttentionOutput with { Bias = calls > 2 } } },
            ShapeFault.GivesNaN => spec with { EmbeddingScale = double.NaN },
            ShapeFault.LeavesAMatrix => spec with { LogitCap = 1e-30 },
            ShapeFault.CountsItsCalls => spec with { EmbeddingScale = calls },
            _ => spec,
        };
    }
}
