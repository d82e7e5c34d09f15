// A decoder over packed rows: embedding, blocks of attention and feed-forward with pre-norms, final norm.
// Weights are plain tensors under their checkpoint names; adapters are deltas that a forward pass may use or not.

using PeftAlign.Abstractions;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Models.Decoders;

/// <summary>A causal language model.</summary>
public sealed class DecoderModel
{
    private readonly Dictionary<string, Tensor> weights;

    /// <param name="spec">What it is.</param>
    /// <param name="weights">All tensors of <see cref="DecoderSpec.Weights"/> by name.</param>
    /// <exception cref="UserErrorException">A tensor is missing or has another shape.</exception>
    public DecoderModel(DecoderSpec spec, IReadOnlyDictionary<string, Tensor> weights)
    {
        Spec = spec;
        this.weights = new Dictionary<string, Tensor>(weights);
        foreach (var (name, shape) in spec.Weights()) Check(name, shape);
    }

    public DecoderSpec Spec { get; }

    /// <summary>Tensors by checkpoint name.</summary>
    public IReadOnlyDictionary<string, Tensor> Weights => weights;

    /// <summary>(V, d) the matrix of the output head.</summary>
    public Tensor Head => weights[Spec.TiedHead ? "model.embed_tokens.weight" : "lm_head.weight"];

    public torch.Device Device => Head.device;

    /// <summary>Whether a delta at this module is part of a forward pass.</summary>
    internal bool TakesDelta(string module) => DecoderSpec.BlockLinears.Any(linear => module.EndsWith("." + linear, StringComparison.Ordinal)) && weights.ContainsKey(module + ".weight");

    /// <summary>Puts other tensors (trainable ones) in the place of weights.</summary>
    public void SetWeight(string name, Tensor tensor) => weights[name] = tensor;

    /// <summary>Final hidden states of all rows of a pack.</summary>
    /// <param name="pack">Rows.</param>
    /// <param name="mode">Adapters and dropout.</param>
    /// <returns>(R, d)</returns>
    public Tensor Forward(Pack pack, ForwardMode mode)
    {
        using var scope = torch.NewDisposeScope();
        var rotary = Rotary.Of(Spec, pack.Positions, Head.dtype);
        var x = F.embedding(pack.Tokens, weights["model.embed_tokens.weight"], Spec.PadToken); // (R, d)
        for (var l = 0; l < Spec.Layers; l++) x = Block(x, $"model.layers.{l}.", pack, rotary, mode);
        return Norm(x, "model.norm.weight").MoveToOuterDisposeScope();
    }

    // A scope per block: what the backward pass needs it keeps itself, the rest is freed before the next block.
    private Tensor Block(Tensor x, string block, Pack pack, Rotary rotary, ForwardMode mode)
    {
        using var scope = torch.NewDisposeScope();
        var middle = x + Attention(Norm(x, block + "input_layernorm.weight"), block + "self_attn.", pack, rotary, mode);
        return (middle + FeedForward(Norm(middle, block + "post_attention_layernorm.weight"), block + "mlp.", pack, mode)).MoveToOuterDisposeScope();
    }

    private Tensor Attention(Tensor x, string part, Pack pack, Rotary rotary, ForwardMode mode)
    {
        var q = Linear(x, part + "q_proj", pack, mode).view(-1, Spec.Heads, Spec.HeadWidth); // (R, H, D)
        var k = Linear(x, part + "k_proj", pack, mode).view(-1, Spec.KeyValueHeads, Spec.HeadWidth);
        var v = Linear(x, part + "v_proj", pack, mode).view(-1, Spec.KeyValueHeads, Spec.HeadWidth);
        var mixed = TreeAttention.apply(q, k, v, rotary, pack.Buckets, 1 / Math.Sqrt(Spec.HeadWidth));
        return Linear(mixed.view(-1, Spec.Heads * Spec.HeadWidth), part + "o_proj", pack, mode);
    }

    private Tensor FeedForward(Tensor x, string part, Pack pack, ForwardMode mode)
    {
        var gate = Linear(x, part + "gate_proj", pack, mode).silu();
        return Linear(gate * Linear(x, part + "up_proj", pack, mode), part + "down_proj", pack, mode);
    }

    private Tensor Norm(Tensor x, string name) => F.rms_norm(x, weights[name], Spec.NormEpsilon);

    private Tensor Linear(Tensor x, string module, Pack pack, ForwardMode mode)
    {
        var layer = new Layer(module, weights[module + ".weight"]);
        return mode.Deltas.TryGetValue(module, out var delta) ? Deltas.Linear(layer, x, delta, pack, mode) : layer.Product(x);
    }

    /// <summary>The modules that adapters may change.</summary>
    /// <param name="path">What an adapter's config names as its base.</param>
    public ModelOutline Outline(string path)
    {
        var modules = Spec.Weights().Where(w => w.Name.EndsWith(".weight", StringComparison.Ordinal)).Select(w => (Name: w.Name[..^".weight".Length], w.Shape)).Select(w => new ModuleOutline(
            w.Name,
            w.Shape.Length == 1 ? ModuleKind.Norm : w.Name == "lm_head" ? ModuleKind.Head : w.Name == "model.embed_tokens" ? ModuleKind.Embedding : ModuleKind.Linear,
            w.Shape[^1], w.Shape[0])
        { Device = Device, Tensor = part => weights.GetValueOrDefault($"{w.Name}.{part}") });
        return new ModelOutline(Spec.ModelType, path, modules.ToList());
    }

    private void Check(string name, long[] shape)
    {
        if (!weights.TryGetValue(name, out var tensor))
            throw new UserErrorException($"The checkpoint has no tensor '{name}', which a {Spec.ModelType} model of this config.json needs; it has {weights.Count} tensors.");
        if (!tensor.shape.SequenceEqual(shape))
            throw new UserErrorException($"Tensor '{name}' has the shape [{string.Join(", ", tensor.shape)}]; config.json asks for [{string.Join(", ", shape)}].");
    }
}
