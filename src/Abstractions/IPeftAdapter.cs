// An adapter says which modules it changes and how; the engine applies, switches, trains, merges and saves it.

using System.Text.Json.Nodes;

namespace PeftAlign.Abstractions;

/// <summary>A parameter-efficient adapter: LoRA, prompt tuning ...</summary>
public interface IPeftAdapter
{
    /// <summary>Makes new trainable deltas for the modules that the options select.</summary>
    /// <param name="model">The model's modules.</param>
    /// <param name="seed">Seeds the initial values; equal seeds give equal bytes in any order of construction.</param>
    /// <exception cref="UserErrorException">No module matches (similar names are suggested).</exception>
    IReadOnlyList<AdapterSite> Attach(ModelOutline model, ulong seed);

    /// <summary>Makes deltas from an adapter folder's contents.</summary>
    /// <param name="model">The model's modules.</param>
    /// <param name="files">adapter_config.json and the tensors of adapter_model.safetensors.</param>
    /// <exception cref="UserErrorException">A tensor is missing, superfluous or of the wrong shape.</exception>
    IReadOnlyList<AdapterSite> Load(ModelOutline model, AdapterFiles files);

    /// <summary>The contents of the folder that holds these deltas.</summary>
    /// <param name="model">The model's modules.</param>
    /// <param name="sites">What Attach or Load returned, trained since.</param>
    AdapterFiles Save(ModelOutline model, IReadOnlyList<AdapterSite> sites);
}

/// <summary>An adapter folder in PEFT's format.</summary>
/// <param name="Config">adapter_config.json.</param>
/// <param name="Tensors">adapter_model.safetensors by name.</param>
public sealed record AdapterFiles(JsonObject Config, IReadOnlyDictionary<string, Torch.Tensor> Tensors);

/// <summary>One changed module.</summary>
/// <param name="Module">Full name as in the checkpoint, without ".weight": model.layers.0.self_attn.q_proj.</param>
/// <param name="Delta">The change.</param>
public sealed record AdapterSite(string Module, Delta Delta);

/// <summary>A change of one module that the engine knows how to compute.</summary>
public abstract record Delta
{
    /// <summary>The trainable tensors by their role, for instance "lora_A".</summary>
    public abstract IReadOnlyDictionary<string, Torch.Tensor> Parameters { get; }

    /// <summary>The same delta over other tensors of the same shapes.</summary>
    /// <param name="tensorOf">From a role of Parameters to its tensor.</param>
    public abstract Delta With(Func<string, Torch.Tensor> tensorOf);
}

/// <summary>W x + Scale * B (A drop(x)).</summary>
/// <param name="A">(rank, in)</param>
/// <param name="B">(out, rank)</param>
/// <param name="Scale">alpha / rank, or alpha / sqrt(rank).</param>
/// <param name="Dropout">Share of x's entries that are dropped in training.</param>
public sealed record LowRank(Torch.Tensor A, Torch.Tensor B, double Scale, double Dropout) : Delta
{
    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, Torch.Tensor> Parameters => new Dictionary<string, Torch.Tensor> { ["lora_A"] = A, ["lora_B"] = B };

    /// <inheritdoc/>
    public override Delta With(Func<string, Torch.Tensor> tensorOf) => this with { A = tensorOf("lora_A"), B = tensorOf("lora_B") };
}

/// <summary>A model as adapters see it.</summary>
/// <param name="Architecture">model_type of config.json.</param>
/// <param name="Path">Folder or hub id that the adapter's config names as its base.</param>
/// <param name="Modules">Every module with a weight matrix.</param>
public sealed record ModelOutline(string Architecture, string Path, IReadOnlyList<ModuleOutline> Modules);

/// <summary>One module with a weight matrix.</summary>
/// <param name="Name">Full name, without ".weight".</param>
/// <param name="Kind">Linear, or embedding, or the output head.</param>
/// <param name="Inputs">Columns.</param>
/// <param name="Outputs">Rows.</param>
public sealed record ModuleOutline(string Name, ModuleKind Kind, long Inputs, long Outputs)
{
    /// <summary>Device of the weight.</summary>
    public Torch.torch.Device Device { get; init; } = Torch.torch.CPU;

    /// <summary>Whether the weight is stored (inputs, outputs), as GPT-2's; PEFT's fan_in_fan_out.</summary>
    public bool Transposed { get; init; }
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
}
