// An architecture: from config.json to the parts that the engine computes with. Registered under its model_type.

namespace PeftAlign.Abstractions;

/// <summary>A decoder architecture: llama, gpt2 ...</summary>
public interface IModelArchitecture
{
    /// <summary>transformers' class for it, for instance "LlamaForCausalLM"; written into new models.</summary>
    string ClassName { get; }

    /// <summary>What a new model can be told: keys of config.json. Without a default a key must be given or follows from others.</summary>
    IReadOnlyList<InitOption> InitOptions { get; }

    /// <summary>What a configuration describes.</summary>
    /// <param name="config">config.json, its common facts checked.</param>
    /// <exception cref="UserErrorException">A key asks for what the architecture cannot compute.</exception>
    DecoderSpec Describe(ArchitectureConfig config);
}

/// <summary>An option of a model that is made anew: a key of config.json.</summary>
/// <param name="Name">The key.</param>
/// <param name="Type">integer, number, boolean or string.</param>
/// <param name="Default">JSON text; null where it must be given or follows from others.</param>
/// <param name="Range">Interval, for instance "[1,)".</param>
/// <param name="Docs">One sentence.</param>
public sealed record InitOption(string Name, string Type, string? Default, string Range, string Docs);
