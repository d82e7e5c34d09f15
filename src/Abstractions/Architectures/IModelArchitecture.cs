// An architecture: from config.json to the parts that the engine computes with. Registered under its model_type.

namespace PeftAlign.Abstractions;

/// <summary>A decoder architecture: llama, gpt2 ...</summary>
public interface IModelArchitecture
{
    /// <summary>transformers' class for it, for instance "LlamaForCausalLM"; written into new models.</summary>
    string ClassName { get; }

    /// <summary>The keys of config.json that a new model can be given. A key without a default must be given or follows from others.</summary>
    IReadOnlyList<InitOption> InitOptions { get; }

    /// <summary>The decoder that a configuration describes.</summary>
    /// <param name="config">config.json; the keys that all models share are checked already.</param>
    /// <exception cref="UserErrorException">A key asks for what the architecture cannot compute.</exception>
    DecoderSpec Describe(ArchitectureConfig config);
}

/// <summary>An option of a new model: a key of config.json.</summary>
/// <param name="Name">The key.</param>
/// <param name="Type">integer, number, boolean or string.</param>
/// <param name="Default">JSON text; null where it must be given or follows from others.</param>
/// <param name="Range">The allowed interval, for instance "[1,)".</param>
/// <param name="Docs">One sentence for help.</param>
public sealed record InitOption(string Name, string Type, string? Default, string Range, string Docs);
