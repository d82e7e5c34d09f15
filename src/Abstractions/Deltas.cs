// The kinds of change that an adapter may make to a module. The engine computes, switches, trains and merges each of them. It never
// touches the base's tensors, so a model without its deltas is the base bit for bit.

using PeftAlign.Torch;

namespace PeftAlign.Abstractions;

/// <summary>One changed module.</summary>
/// <param name="Module">Full name as in the checkpoint, without ".weight": model.layers.0.self_attn.q_proj.</param>
/// <param name="Delta">The change; several changes of one module form one <see cref="Stack"/>.</param>
public sealed record AdapterSite(string Module, Delta Delta);

/// <summary>A change of one module that the engine knows how to compute.</summary>
public abstract record Delta
{
    /// <summary>The trainable tensors by role, for instance "lora_A".</summary>
    public abstract IReadOnlyDictionary<string, Tensor> Parameters { get; }

    /// <summary>The same delta over other tensors of the same shapes.</summary>
    /// <param name="tensorOf">Maps a role of Parameters to its new tensor.</param>
    public abstract Delta With(Func<string, Tensor> tensorOf);

    /// <summary>The tensor that replaces the module's own while the delta is on; null = the module's own stays.</summary>
    /// <param name="name">"weight" or "bias".</param>
    public virtual Tensor? Instead(string name) => null;

    /// <summary>A dictionary of the given pairs, without those whose tensor is null.</summary>
    /// <param name="parts">Roles and tensors.</param>
    protected static IReadOnlyDictionary<string, Tensor> Present(params ReadOnlySpan<(string Role, Tensor? Tensor)> parts)
    {
        var present = new Dictionary<string, Tensor>();
        foreach (var (role, tensor) in parts)
            if (tensor is not null) present[role] = tensor;
        return present;
    }
}

/// <summary>W x + Scale * B (A drop(x)). For an embedding, A has one column per token, and there is no dropout.</summary>
/// <param name="A">(rank, in); for an embedding (rank, V).</param>
/// <param name="B">(out, rank); for an embedding (d, rank).</param>
/// <param name="Scale">alpha / rank, or alpha / sqrt(rank).</param>
/// <param name="Dropout">Share of x's entries that are dropped in training.</param>
public sealed record LowRank(Tensor A, Tensor B, double Scale, double Dropout) : Delta
{
    /// <summary>(out) the norms to which the rows of W + Scale * B A are scaled (DoRA, Liu et al. 2024); null = rows keep their own.</summary>
    public Tensor? Magnitude { get; init; }

    /// <summary>(out) a trained bias that replaces the module's own; null = the module's own stays.</summary>
    public Tensor? Bias { get; init; }

    /// <summary>Whether B is frozen and only A is trained (MiCA).</summary>
    public bool IsBFrozen { get; init; }

    /// <summary>Frozen initial values of A and B, whose product is subtracted where it is not zero (PiSSA, OLoRA); null = nothing is subtracted.</summary>
    public (Tensor A, Tensor B)? Start { get; init; }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, Tensor> Parameters => Present(("lora_A", A), ("lora_B", IsBFrozen ? null : B), ("lora_magnitude_vector", Magnitude), ("bias", Bias));

    /// <inheritdoc/>
    public override Delta With(Func<string, Tensor> tensorOf) => this with
    {
        A = tensorOf("lora_A"),
        B = IsBFrozen ? B : tensorOf("lora_B"),
        Magnitude = Magnitude is null ? null : tensorOf("lora_magnitude_vector"),
        Bias = Bias is null ? null : tensorOf("bias"),
    };

    /// <inheritdoc/>
    public override Tensor? Instead(string name) => name == "bias" ? Bias : null;
}

/// <summary>Tensors that replace the module's own: PEFT's modules_to_save, and biases beside LoRA.</summary>
/// <param name="Weight">Of the same shape as the module's; null = the module's own stays.</param>
/// <param name="Bias">(out); null = the module's own stays.</param>
public sealed record Whole(Tensor? Weight, Tensor? Bias) : Delta
{
    /// <summary>Whether these are another base's tensors, which are never trained; a head that shares the weight then uses them too.</summary>
    public bool IsFrozen { get; init; }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, Tensor> Parameters => IsFrozen ? Present() : Present(("weight", Weight), ("bias", Bias));

    /// <inheritdoc/>
    public override Delta With(Func<string, Tensor> tensorOf) => IsFrozen ? this : new Whole(Weight is null ? null : tensorOf("weight"), Bias is null ? null : tensorOf("bias"));

    /// <inheritdoc/>
    public override Tensor? Instead(string name) => name switch { "weight" => Weight, "bias" => Bias, _ => null };
}

/// <summary>Trained rows that replace some tokens' rows of an embedding, and of a head that shares its weight.</summary>
/// <param name="Tokens">Ids, each once.</param>
/// <param name="Values">(tokens, d) the new rows themselves.</param>
public sealed record TokenRows(IReadOnlyList<long> Tokens, Tensor Values) : Delta
{
    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, Tensor> Parameters => Present(("trainable_tokens_delta", Values));

    /// <inheritdoc/>
    public override Delta With(Func<string, Tensor> tensorOf) => this with { Values = tensorOf("trainable_tokens_delta") };
}

/// <summary>Factors of a module's inputs or outputs, its bias included (IA3, Liu et al. 2022).</summary>
/// <param name="Values">(in) or (out).</param>
/// <param name="OfInputs">Whether the inputs are scaled.</param>
public sealed record Scale(Tensor Values, bool OfInputs) : Delta
{
    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, Tensor> Parameters => Present(("ia3_l", Values));

    /// <inheritdoc/>
    public override Delta With(Func<string, Tensor> tensorOf) => this with { Values = tensorOf("ia3_l") };
}

/// <summary>Trained vectors that stand before the text as a sequence's first embeddings (prompt tuning, Lester et al. 2021). They belong to the
/// token embedding's module; the text's positions follow theirs, and no log-prob is computed for them.</summary>
/// <param name="Values">(m, d) as the first block takes them, whatever factor the model's own embeddings have.</param>
public sealed record VirtualTokens(Tensor Values) : Delta
{
    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, Tensor> Parameters => Present(("prompt_embeddings", Values));

    /// <inheritdoc/>
    public override Delta With(Func<string, Tensor> tensorOf) => new VirtualTokens(tensorOf("prompt_embeddings"));
}

/// <summary>Trained keys and values before the text, in every block (prefix tuning, Li and Liang 2021). They belong to the token embedding's
/// module; the text's positions follow theirs, and the keys are not rotated, as in PEFT.</summary>
/// <param name="Values">(m, 2 * blocks * G * D): parts 2l and 2l + 1 are block l's keys and values; with a projection (m, G * D), its input.</param>
public sealed record PrefixKV(Tensor Values) : Delta
{
    /// <summary>In training, the two layers that make keys and values from Values; null = Values are the keys and values.</summary>
    public PrefixProjection? Projection { get; init; }

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, Tensor> Parameters => Projection is not { } p
        ? Present(("prompt_embeddings", Values))
        : Present(("embedding.weight", Values), ("transform.0.weight", p.HiddenWeight), ("transform.0.bias", p.HiddenBias), ("transform.2.weight", p.OutputWeight), ("transform.2.bias", p.OutputBias));

    /// <inheritdoc/>
    public override Delta With(Func<string, Tensor> tensorOf) => Projection is null
        ? new PrefixKV(tensorOf("prompt_embeddings"))
        : new PrefixKV(tensorOf("embedding.weight")) { Projection = new(tensorOf("transform.0.weight"), tensorOf("transform.0.bias"), tensorOf("transform.2.weight"), tensorOf("transform.2.bias")) };
}

/// <summary>W2 tanh(W1 x + b1) + b2.</summary>
/// <param name="HiddenWeight">(h, G * D)</param>
/// <param name="HiddenBias">(h)</param>
/// <param name="OutputWeight">(2 * blocks * G * D, h)</param>
/// <param name="OutputBias">(2 * blocks * G * D)</param>
public sealed record PrefixProjection(Tensor HiddenWeight, Tensor HiddenBias, Tensor OutputWeight, Tensor OutputBias);

/// <summary>A small network over a linear layer's output: y + U f(D y + b) + c (bottleneck adapters, Houlsby et al. 2019).</summary>
/// <param name="Down">(m, out) D.</param>
/// <param name="DownBias">(m) b.</param>
/// <param name="Up">(out, m) U.</param>
/// <param name="UpBias">(out) c.</param>
/// <param name="Activation">f.</param>
public sealed record Wrap(Tensor Down, Tensor DownBias, Tensor Up, Tensor UpBias, Activation Activation) : Delta
{
    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, Tensor> Parameters => Present(("down.weight", Down), ("down.bias", DownBias), ("up.weight", Up), ("up.bias", UpBias));

    /// <inheritdoc/>
    public override Delta With(Func<string, Tensor> tensorOf) => new Wrap(tensorOf("down.weight"), tensorOf("down.bias"), tensorOf("up.weight"), tensorOf("up.bias"), Activation);
}

/// <summary>Several changes of one module: increments add up; where several replace the same tensor, the last one counts.</summary>
/// <param name="Layers">In order.</param>
public sealed record Stack(IReadOnlyList<Delta> Layers) : Delta
{
    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, Tensor> Parameters =>
        Layers.SelectMany((layer, k) => layer.Parameters.Select(p => KeyValuePair.Create($"{k}.{p.Key}", p.Value))).ToDictionary();

    /// <inheritdoc/>
    public override Delta With(Func<string, Tensor> tensorOf) => new Stack(Layers.Select((layer, k) => layer.With(role => tensorOf($"{k}.{role}"))).ToList());

    /// <inheritdoc/>
    public override Tensor? Instead(string name) => Layers.Select(layer => layer.Instead(name)).LastOrDefault(tensor => tensor is not null);
}
