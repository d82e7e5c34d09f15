// A decoder over packed rows, composed from the parts that its spec names: embedding, blocks of attention and feed-forward
// with norms, final norm. Weights are plain tensors under their checkpoint names; adapters are deltas that a pass may use.

using PeftAlign.Abstractions;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Models.Decoders;

/// <summary>A causal language model.</summary>
public sealed class DecoderModel
{
    private readonly Dictionary<string, Tensor> weights;
    private readonly BlockNames[] blocks;
    private readonly HashSet<string> linears;
    private readonly string embedding, head;

    /// <param name="spec">What it is.</param>
    /// <param name="weights">All tensors of <see cref="DecoderWeights.Weights"/> by name.</param>
    /// <exception cref="UserErrorException">A tensor is missing or has another shape.</exception>
    public DecoderModel(DecoderSpec spec, IReadOnlyDictionary<string, Tensor> weights)
    {
        Spec = spec;
        this.weights = new Dictionary<string, Tensor>(weights);
        foreach (var weight in spec.Weights()) Check(weight.Name, weight.Shape);
        blocks = [.. Enumerable.Range(0, spec.Layers).Select(l => new BlockNames(spec, l))];
        linears = [.. spec.Weights().Where(w => w.Role == WeightRole.Matrix).Select(w => w.Name[..^".weight".Length])];
        embedding = spec.Names.Embedding + ".weight";
        head = spec.TiedHead ? embedding : spec.Names.Head + ".weight";
    }

    public DecoderSpec Spec { get; }

    /// <summary>Tensors by checkpoint name.</summary>
    public IReadOnlyDictionary<string, Tensor> Weights => weights;

    /// <summary>(V, d) the matrix of the output head.</summary>
    public Tensor Head => weights[head];

    public torch.Device Device => Head.device;

    /// <summary>Whether a delta at this module is part of a forward pass.</summary>
    internal bool TakesDelta(string module) => linears.Contains(module);

    /// <summary>Puts other tensors (trainable ones) in the place of weights.</summary>
    public void SetWeight(string name, Tensor tensor) => weights[name] = tensor;

    /// <summary>The modules that adapters may change.</summary>
    /// <param name="path">What an adapter's config names as its base.</param>
    public ModelOutline Outline(string path) => Spec.Outline(path, Device);

    /// <summary>Final hidden states of all rows of a pack.</summary>
    /// <param name="pack">Rows.</param>
    /// <param name="mode">Adapters and dropout.</param>
    /// <returns>(R, d)</returns>
    public Tensor Forward(Pack pack, ForwardMode mode)
    {
        using var scope = torch.NewDisposeScope();
        var rotary = Rotary.Of(Spec, pack.Positions, Head.dtype, pack.Lengths);
        var x = Embed(pack); // (R, d)
        foreach (var block in blocks) x = Block(x, block, pack, rotary, mode);
        return Norm(x, Spec.Names.FinalNorm).MoveToOuterDisposeScope();
    }

    private Tensor Embed(Pack pack)
    {
        var x = F.embedding(pack.Tokens, weights[embedding], Spec.PadToken);
        if (Spec.EmbeddingScale is { } scale) x = x * torch.tensor(scale, x.dtype, x.device);
        return Spec.Names.Positions is { } positions ? x + F.embedding(pack.Positions, weights[positions + ".weight"]) : x;
    }

    // A scope per block: what the backward pass needs it keeps itself, the rest is freed before the next block.
    private Tensor Block(Tensor x, BlockNames block, Pack pack, Rotary? rotary, ForwardMode mode)
    {
        using var scope = torch.NewDisposeScope();
        var mixed = Attention(Norm(x, block.AttentionNorm), block, pack, rotary, mode);
        var middle = x + (block.AttentionEndNorm is { } after ? Norm(mixed, after) : mixed);
        var fed = FeedForward(Norm(middle, block.FeedForwardNorm), block, pack, mode);
        return (middle + (block.FeedForwardEndNorm is { } end ? Norm(fed, end) : fed)).MoveToOuterDisposeScope();
    }

    private Tensor Attention(Tensor x, BlockNames block, Pack pack, Rotary? rotary, ForwardMode mode)
    {
        var (queries, keys) = (Spec.Heads * Spec.HeadWidth, Spec.KeyValueHeads * Spec.HeadWidth);
        var parts = Linears(x, block.AttentionInputs, [queries, keys, keys], pack, mode);
        var q = parts[0].view(-1, Spec.Heads, Spec.HeadWidth); // (R, H, D)
        var k = parts[1].view(-1, Spec.KeyValueHeads, Spec.HeadWidth);
        var v = parts[2].view(-1, Spec.KeyValueHeads, Spec.HeadWidth);
        if (block.QueryNorm is { } queryNorm) q = Norm(q, queryNorm);
        if (block.KeyNorm is { } keyNorm) k = Norm(k, keyNorm);
        var form = new AttentionForm(rotary, Spec.ScoreScale ?? 1 / Math.Sqrt(Spec.HeadWidth), Spec.ScoreCap, block.Window);
        var mixed = pack.Attention.Attend(block.Layer, q, k, v, form);
        return Linear(mixed.view(-1, queries), block.AttentionOutput, pack, mode);
    }

    private Tensor FeedForward(Tensor x, BlockNames block, Pack pack, ForwardMode mode)
    {
        var inner = Spec.Block.FeedForwardOutput.Inputs;
        var parts = Linears(x, block.FeedForwardInputs, Spec.Block.Gated ? [inner, inner] : [inner], pack, mode);
        var active = Activated(parts[0]);
        return Linear(Spec.Block.Gated ? active * parts[1] : active, block.FeedForwardOutput, pack, mode);
    }

    private Tensor Activated(Tensor x) => Spec.Block.Activation switch
    {
        Activation.Silu => x.silu(),
        Activation.Gelu => F.gelu(x),
        Activation.GeluTanh => F.gelu(x, approximate: "tanh"),
        _ => x.relu(),
    };

    private Tensor Norm(Tensor x, string name)
    {
        var (weight, epsilon) = (weights[name + ".weight"], Spec.Norm.Epsilon);
        return Spec.Norm.Kind switch
        {
            NormKind.Layer => F.layer_norm(x, weight.shape, weight, weights[name + ".bias"], epsilon),
            NormKind.Rms => F.rms_norm(x, weight, epsilon),
            // In a narrow dtype 1 + w would lose w: the product is rounded once, as in Hugging Face's.
            _ when x.dtype is torch.ScalarType.BFloat16 or torch.ScalarType.Float16 => F.rms_norm(x.to(torch.float32), weight.to(torch.float32) + 1, epsilon).to(x.dtype),
            _ => F.rms_norm(x, weight + 1, epsilon),
        };
    }

    // Several layers, or one fused layer whose outputs are cut into parts of these widths.
    private Tensor[] Linears(Tensor x, LinearModule[] modules, long[] widths, Pack pack, ForwardMode mode)
    {
        if (modules.Length == widths.Length) return Array.ConvertAll(modules, module => Linear(x, module, pack, mode));
        var joined = Linear(x, modules[0], pack, mode);
        long first = 0;
        return Array.ConvertAll(widths, width => joined.narrow(-1, (first += width) - width, width));
    }

    // Every linear layer of a block goes through here.
    private Tensor Linear(Tensor x, LinearModule module, Pack pack, ForwardMode mode)
    {
        var bias = module.Bias is { } name ? weights[name] : null;
        var weight = weights[module.Weight];
        var y = module.Spec.Transposed ? F.linear(x, weight.t(), bias) : Product(x, weight, bias);
        return mode.Deltas.TryGetValue(module.Name, out var delta) ? Deltas.Apply(y, delta, x, module.Name, pack, mode) : y;
    }

    /// <summary>x weight^T + bias; of a few rows by a kernel that reads the weight once.</summary>
    internal static Tensor Product(Tensor x, Tensor weight, Tensor? bias = null) =>
        x.size(0) <= Decoding.FewRows && !torch.is_grad_enabled() ? Decoding.Linear(x, weight, bias) : F.linear(x, weight, bias);

    private void Check(string name, long[] shape)
    {
        if (!weights.TryGetValue(name, out var tensor))
            throw new UserErrorException($"The checkpoint has no tensor '{name}', which a {Spec.ModelType} model of this config.json needs; it has {weights.Count} tensors.");
        if (!tensor.shape.SequenceEqual(shape))
            throw new UserErrorException($"Tensor '{name}' has the shape [{string.Join(", ", tensor.shape)}]; config.json asks for [{string.Join(", ", shape)}].");
    }
}
