// An adapter says which modules it changes and how; the engine applies, switches, trains, merges and saves it.

using System.Text.Json.Nodes;

namespace PeftAlign.Abstractions;

/// <summary>A parameter-efficient adapter: LoRA, prompt tuning ...</summary>
public interface IPeftAdapter
{
    /// <summary>peft_type of the folders that it reads and writes: LORA, IA3 ... It decides which adapter reads a folder.</summary>
    string PeftType { get; }

    /// <summary>Makes new trainable deltas for the modules that the options select.</summary>
    /// <param name="model">The model's modules.</param>
    /// <param name="seed">Seeds the initial values; equal seeds give equal bytes in any order of construction.</param>
    /// <exception cref="UserErrorException">No module matches; the message suggests similar names.</exception>
    IReadOnlyList<AdapterSite> Attach(ModelOutline model, ulong seed);

    /// <summary>Makes deltas from an adapter folder's contents, as the folder's own configuration says; the options are not used.</summary>
    /// <param name="model">The model's modules.</param>
    /// <param name="files">adapter_config.json and the tensors of adapter_model.safetensors.</param>
    /// <exception cref="UserErrorException">A tensor is missing, superfluous or of the wrong shape.</exception>
    IReadOnlyList<AdapterSite> Load(ModelOutline model, AdapterFiles files);

    /// <summary>The contents of the folder that holds these deltas.</summary>
    /// <param name="model">The model's modules.</param>
    /// <param name="sites">What Attach or Load returned, with its tensors trained since.</param>
    AdapterFiles Save(ModelOutline model, IReadOnlyList<AdapterSite> sites);
}

/// <summary>An adapter folder in PEFT's format.</summary>
/// <param name="Config">adapter_config.json.</param>
/// <param name="Tensors">adapter_model.safetensors by name.</param>
public sealed record AdapterFiles(JsonObject Config, IReadOnlyDictionary<string, Torch.Tensor> Tensors);

/// <summary>A model as adapters see it.</summary>
/// <param name="Architecture">model_type of config.json.</param>
/// <param name="Path">Folder or hub id that the adapter's config names as its base.</param>
/// <param name="Modules">Every module with weights.</param>
public sealed record ModelOutline(string Architecture, string Path, IReadOnlyList<ModuleOutline> Modules)
{
    /// <summary>The decoder's description, for adapters that depend on blocks, heads and widths; null where the model is no decoder.</summary>
    public DecoderSpec? Spec { get; init; }
}

/// <summary>One module with weights.</summary>
/// <param name="Name">Full name, without ".weight".</param>
/// <param name="Kind">Linear, embedding, output head or norm.</param>
/// <param name="Inputs">Width of its input; for a token embedding and for the head the model's width d.</param>
/// <param name="Outputs">Width of its output; for a token embedding and for the head the vocabulary V.</param>
public sealed record ModuleOutline(string Name, ModuleKind Kind, long Inputs, long Outputs)
{
    /// <summary>Device of the weight.</summary>
    public Torch.torch.Device Device { get; init; } = Torch.torch.CPU;

    /// <summary>Whether the weight is stored (inputs, outputs), as in GPT-2; PEFT's fan_in_fan_out.</summary>
    public bool Transposed { get; init; }

    /// <summary>The module's tensors as stored, by the last part of their names ("weight", "bias"), for initial values that follow from them; null = no tensor of this name.</summary>
    public Func<string, Torch.Tensor?> Tensor { get; init; } = _ => null;

    /// <summary>(out, in) the weight before quantisation, for initial values that compensate its error; null where the weight is not quantised or was read in quantised form.</summary>
    public Func<Torch.Tensor?> Unquantized { get; init; } = () => null;
}

/// <summary>Kinds of module.</summary>
public enum ModuleKind
{
    /// <summary>A linear layer inside the blocks.</summary>
    Linear,

    /// <summary>Token or position embeddings.</summary>
    Embedding,

    /// <summary>The output head.</summary>
    Head,

    /// <summary>A norm; both widths are the number of entries of its weight.</summary>
    Norm,
}
