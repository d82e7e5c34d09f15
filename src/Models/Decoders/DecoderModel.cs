// A decoder over packed rows, composed from the parts that its spec names: embedding, blocks of attention and feed-forward
// with norms, final norm. Weights are plain tensors under their checkpoint names; adapters are deltas that a pass may use.

using PeftAlign.Abstractions;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Models.Decoders;

/// <summary>A causal language model.</summary>
public sealed partial class DecoderModel
{
    private readonly Dictionary<string, Tensor> weights;
    private readonly BlockNames[] blocks;
    private readonly HashSet<string> linears;
    private readonly IReadOnlyDictionary<string, QuantizedMatrix> quantized;
    private readonly string embedding, head;
    private readonly string? headBias;
    private readonly LinearModule? embeddingOutput, headInput;

    /// <param name="spec">What it is.</param>
    /// <param name="weights">All tensors of <see cref="DecoderWeights.Weights"/> by name.</param>
    /// <param name="quantized">Matrices that are not among the weights, because they are held in fewer bits; null = none.</param>
    /// <exception cref="UserErrorException">A tensor is missing or has another shape.</exception>
    public DecoderModel(DecoderSpec spec, IReadOnlyDictionary<string, Tensor> weights, IReadOnlyDictionary<string, QuantizedMatrix>? quantized = null)
    {
        Spec = spec;
        this.quantized = quantized ?? new Dictionary<string, QuantizedMatrix>();
        this.weights = new Dictionary<string, Tensor>(weights);
        foreach (var weight in spec.Weights()) Check(weight.Name, weight.Shape);
        blocks = new BlockNames[spec.Layers];
        for (var layer = 0; layer < blocks.Length; layer++) blocks[layer] = new BlockNames(spec, layer);
        linears = [.. spec.Weights().Where(w => w.Role == WeightRole.Matrix).Select(w => w.Name[..^".weight".Length])];
        embedding = spec.Names.Embedding + ".weight";
        head = spec.TiedHead ? embedding : spec.Names.Head + ".weight";
        headBias = spec.HeadBias ? spec.Names.Head + ".bias" : null;
        if (spec.Names.EmbeddingOutput is { } first) embeddingOutput = new LinearModule("", new LinearSpec(first, spec.EmbeddingWidth, spec.Hidden));
        if (spec.Names.HeadInput is { } last) headInput = new LinearModule("", new LinearSpec(last, spec.Hidden, spec.EmbeddingWidth));
    }

    /// <summary>The shape.</summary>
    public DecoderSpec Spec { get; }

    /// <summary>Tensors by checkpoint name; without those of <see cref="Quantized"/>.</summary>
    public IReadOnlyDictionary<string, Tensor> Weights => weights;

    /// <summary>Frozen matrices in fewer bits by checkpoint name.</summary>
    public IReadOnlyDictionary<string, QuantizedMatrix> Quantized => quantized;

    /// <summary>(out, in) a matrix before it was quantised, read again; null where the folder holds it quantised.</summary>
    internal Func<string, Tensor?>? Unquantized { get; init; }

    /// <summary>(V, w) the matrix of the output head.</summary>
    public Tensor Head => weights[head];

    /// <summary>(V) what the output head adds; null = nothing.</summary>
    internal Tensor? HeadBias => headBias is null ? null : weights[headBias];

    /// <summary>Where the weights are.</summary>
    public torch.Device Device => Head.device;

    /// <summary>Whether a delta at this module is part of a forward pass.</summary>
    /// <param name="module">Full name.</param>
    /// <param name="delta">The change.</param>
    internal bool TakesDelta(string module, Delta delta) => Deltas.Parts(delta).All(part => part switch
    {
        LowRank low => linears.Contains(module) || (low.Magnitude is null && IsEmbedding(module)) || IsHead(module),
        Scale => linears.Contains(module),
        TokenRows => IsEmbedding(module) || IsHead(module),
        Whole => part.Parameters.Keys.All(name => weights.ContainsKey($"{module}.{name}") || quantized.ContainsKey($"{module}.{name}")),
        VirtualTokens or PrefixKV => module == Spec.Names.Embedding,
        Wrap => linears.Contains(module),
        _ => false,
    });

    /// <summary>Puts other tensors (trainable ones) in the place of weights.</summary>
    public void SetWeight(string name, Tensor tensor) => weights[name] = tensor;

    /// <summary>The modules that adapters may change.</summary>
    /// <param name="path">What an adapter's config names as its base.</param>
    public ModelOutline Outline(string path) => Spec.Outline(path, Device, name => weights.GetValueOrDefault(name) ?? Decoded(name), name => quantized.ContainsKey(name) ? Unquantized?.Invoke(name) : null);

    /// <summary>Final hidden states of all rows of a pack.</summary>
    /// <param name="pack">Rows.</param>
    /// <param name="mode">Adapters and dropout.</param>
    /// <returns>(R, w)</returns>
    public Tensor Forward(Pack pack, ForwardMode mode) => Forward(pack, mode, null);

    /// <summary>What two passes over one pack, whose rows both see alike, have in common, for both of their modes; null where it is nothing.</summary>
    /// <param name="policy">The mode of the second pass.</param>
    /// <param name="reference">The mode of the first, which has no gradients.</param>
    internal CommonStart? StartOf(ForwardMode policy, ForwardMode reference)
    {
        bool Changes(string module) => policy.Deltas.ContainsKey(module) || reference.Deltas.ContainsKey(module);
        string?[] before = [Spec.Names.Embedding, Spec.Names.EmbeddingOutput, Spec.Names.Positions];
        if (policy.Controls.Count + reference.Controls.Count > 0 || before.OfType<string>().Any(Changes) || weights.Values.Any(weight => weight.requires_grad)) return null;
        var first = Array.Find(blocks, block => block.Modules.Any(Changes)) ?? blocks[^1];
        // Not in a narrow dtype, which rounds a product before the next is added to it; nor in the last block, where the two passes may go on with different rows.
        var products = Head.dtype is torch.ScalarType.Float32 or torch.ScalarType.Float64 && first != blocks[^1]
            && !(first.AttentionNorm is { } norm && Changes(norm)) && !first.AttentionInputs.Any(module => reference.Deltas.ContainsKey(module.Name) || (module.Bias is not null && quantized.ContainsKey(module.Weight)));
        return new CommonStart(first, products);
    }

    /// <summary>Final hidden states of the rows whose answers are asked for: what lies behind the last block's attention computes only these.</summary>
    /// <param name="pack">Rows.</param>
    /// <param name="mode">Adapters and dropout. Where no pass with gradients has to have these bits, so few answers that their products would go
    /// through other kernels are computed with rows beside them, in the place of all rows.</param>
    /// <returns>(N, w) in the order of the pack's HeadRows.</returns>
    internal Tensor Answering(Pack pack, ForwardMode mode)
    {
        // What is chosen or dropped by row counts all rows of the pack.
        var byRow = mode.Controls.Count > 0 || (mode.Dropout is { Activations: true } && mode.Deltas.Values.SelectMany(Deltas.Parts).Any(part => part is LowRank { Dropout: > 0 }));
        using var scope = torch.NewDisposeScope();
        var some = !byRow && !RoundsByRows && pack.Attention is not IAllBlocks && pack.HeadRows.numel() < pack.Tokens.numel();
        if (some && pack.HeadRows.numel() >= Fewest) return Forward(pack, mode, pack.HeadRows).MoveToOuterDisposeScope();
        if (some && mode.Alone && !RoundsByPlace && pack.Asked(Fewest) is var (rows, places) && rows.numel() < pack.Tokens.numel()) return Forward(pack, mode, rows).index_select(0, places).MoveToOuterDisposeScope();
        return Forward(pack, mode, null).index_select(0, pack.HeadRows).MoveToOuterDisposeScope();
    }

    // A row's answers must be the same whatever pack it stands in. But in decoding and scoring few rows go through other kernels, and
    // OpenBLAS has different kernels for products of up to a million steps.
    private long Fewest => 1 + Math.Max(Decoding.FewRows, (1 << 20) / (Spec.Hidden * Math.Min(Spec.Hidden, Spec.Heads * Spec.HeadWidth)));

    // libtorch's products round a row by how many stand beside it: OpenBLAS has other kernels for an adapter's small ones, however many rows there are.
    private bool RoundsByRows => Device.type == DeviceType.CPU && Products.Kernels == "libtorch";

    // libtorch's activations round differently depending on a number's place in the tensor.
    private bool RoundsByPlace => Spec.Block is not ({ Gated: true, Activation: Activation.Silu } or { Activation: Activation.Relu });

    private Tensor Forward(Pack pack, ForwardMode mode, Tensor? rows)
    {
        using var scope = torch.NewDisposeScope();
        var rotary = Rotary.OfBlocks(Spec, pack.Positions, Head.dtype, pack.Lengths);
        var prefixes = pack.Segments.Any(s => s.Front.Prefix > 0) ? Fronts.KeysAndValues(Spec, mode) : null;
        var known = mode.Start is { Stream: not null } start ? start : null;
        var stream = new Residual(known?.Stream!.alias() ?? Embed(pack, mode)); // (R, d)
        if ((pack.Attention as IAllBlocks)?.Blocks(stream.X, rotary) is { } all) stream = new(all);
        else
            foreach (var block in blocks[(known?.Layer ?? 0)..])
            {
                if (known is null && mode.Start?.Layer == block.Layer) mode.Start.Keep((stream = new(Summed(stream))).X);
                stream = Block(stream, block, pack, FormOf(block, rotary[block.Layer], prefixes, stream.X.dtype), mode, block == blocks[^1] ? rows : null);
            }
        var last = Normed(stream, Spec.Names.FinalNorm, pack, mode).Normal;
        if (headInput is not null) last = Linear(last, headInput, pack, mode);
        // Of the head's input instead of its output: exact where it is a power of two, and a row of logits is the larger one.
        return (Spec.LogitDivisor is { } divisor ? last / divisor : last).MoveToOuterDisposeScope();
    }

    /// <summary>The head in a forward mode.</summary>
    internal HeadForm HeadUnder(ForwardMode mode)
    {
        var layer = new Layer(Spec.Names.Head, Head, HeadBias) { Alone = mode.Alone };
        if (!Spec.TiedHead) return HeadForm.Of(layer, mode.Deltas.GetValueOrDefault(Spec.Names.Head));
        List<Delta> shared = mode.Deltas.GetValueOrDefault(Spec.Names.Embedding) is { } delta ? [.. Deltas.Parts(delta).Where(IsShared)] : [];
        return HeadForm.Of(layer, shared switch { [] => null, [var one] => one, _ => new Stack(shared) });
    }

    /// <summary>A module's own tensors, as checkpoints store them.</summary>
    internal Layer LayerOf(string module) => new(module, weights.GetValueOrDefault(module + ".weight"), weights.GetValueOrDefault(module + ".bias"))
    {
        IsEmbedding = IsEmbedding(module),
        Quantized = quantized.TryGetValue(module + ".weight", out var matrix) ? (matrix, torch.float32) : null, // merged and started from in full
        Transposed = Spec.Weights().First(w => w.Name == module + ".weight").Transposed,
    };

    private (QuantizedMatrix, torch.ScalarType)? QuantizedOf(string weight) => quantized.TryGetValue(weight, out var matrix) ? (matrix, Head.dtype) : null;

    // In the checkpoint's order, as adapters see it: their starts may follow from it.
    private Tensor? Decoded(string weight) => quantized.ContainsKey(weight) ? LayerOf(weight[..^".weight".Length]).Weight : null;

    /// <summary>Whether a change of this module reaches the head's matrix.</summary>
    internal bool ChangesHead(string module, Delta delta) => IsHead(module) || (Spec.TiedHead && module == Spec.Names.Embedding && Deltas.Parts(delta).Any(IsShared));

    /// <summary>Whether a tied head follows a change of the embedding: trained rows, which are new tokens' vectors in both places, and another
    /// base's matrix. A change of another kind leaves the head as it is, as in PEFT.</summary>
    internal static bool IsShared(Delta part) => part is TokenRows or Whole { IsFrozen: true };

    private bool IsEmbedding(string module) => module == Spec.Names.Embedding || module == Spec.Names.Positions;

    private bool IsHead(string module) => !Spec.TiedHead && module == Spec.Names.Head;

    private Tensor Embed(Pack pack, ForwardMode mode)
    {
        var x = Embedding(Spec.Names.Embedding, pack.Tokens, Spec.PadToken, pack, mode);
        if (Spec.EmbeddingScale is { } scale) x = x * torch.tensor(scale, x.dtype, x.device);
        if (pack.Virtual is { } numbers)
        {
            var rows = torch.where(numbers.lt(0), torch.arange(x.size(0), device: x.device), numbers + x.size(0));
            x = torch.cat([x, Fronts.Embeddings(Spec, mode)!.to(x.dtype)]).index_select(0, rows);
        }
        if (embeddingOutput is not null) x = Linear(x, embeddingOutput, pack, mode);
        if (Spec.Names.Positions is { } positions) x += Embedding(positions, Spec.PositionOffset == 0 ? pack.Positions : pack.Positions + Spec.PositionOffset, null, pack, mode);
        return Spec.InputScale is { } factor ? x * factor : x;
    }

    private Tensor Embedding(string module, Tensor rows, long? padding, Pack pack, ForwardMode mode)
    {
        var layer = new Layer(module, weights[module + ".weight"]) { IsEmbedding = true };
        return Deltas.ByRow(module, pack, mode, delta => Deltas.Embedding(layer, rows, delta, padding, Look));
        Tensor Look(Tensor table) => table.device.type == DeviceType.CPU && LeafGradients.Take(table, mode) ? LookedUp.apply(rows, table, padding ?? -1) : F.embedding(rows, table, padding);
    }

    // What the block reads besides its input lives no longer than this pass, and so flows in too. For a block that is computed again, only the sum is kept.
    private Residual Block(Residual below, BlockNames block, Pack pack, AttentionForm form, ForwardMode mode, Tensor? rows)
    {
        if (!mode.Recomputes) return BlockOnce(below, block, pack, form, mode, rows);
        using var x = below.X; // a sum already: blocks before this one were computed as it is
        return new(Recomputed.Of(inputs => [Summed(BlockOnce(new(inputs[0].alias()), block, pack, form.Over([.. inputs.Skip(1)]), mode, rows))], [x, .. form.Tensors], TrainedIn(block, pack, mode))[0]);
    }

    private static Tensor Summed(Residual stream)
    {
        using (stream) return stream.Sum();
    }

    private List<Tensor> TrainedIn(BlockNames block, Pack pack, ForwardMode mode)
    {
        var deltas = mode.Controls.Where(c => pack.RowsUnder(c.Key) is not null).Select(c => c.Value).Prepend(mode.Deltas).ToList();
        var own = block.Modules.SelectMany(module => (Tensor?[])[weights.GetValueOrDefault(module + ".weight"), weights.GetValueOrDefault(module + ".bias")]);
        return [.. block.Modules.SelectMany(module => deltas.SelectMany(of => of.TryGetValue(module, out var delta) ? delta.Parameters.Values : [])).Concat(own).OfType<Tensor>().Distinct()];
    }

    // A scope for each half of a block: what the backward pass needs it keeps itself, the rest is freed before the next one.
    // With rows, only these go on behind the attention.
    private Residual BlockOnce(Residual below, BlockNames block, Pack pack, AttentionForm form, ForwardMode mode, Tensor? rows) =>
        Spec.Block.Parallel ? Beside(below, block, pack, form, mode, rows) : Fed(Attended(below, block, pack, form, mode, rows), block, pack, mode);

    private Residual Attended(Residual below, BlockNames block, Pack pack, AttentionForm form, ForwardMode mode, Tensor? rows)
    {
        using var scope = torch.NewDisposeScope();
        var (x, input) = Into(below, block.AttentionNorm, pack, mode);
        var mixed = Attention(input, block, pack, form, mode, rows);
        return OutOf(rows is null ? x : x.index_select(0, rows), mixed, block.AttentionNorm, block.AttentionEndNorm, pack, mode).Outer();
    }

    private Residual Fed(Residual middle, BlockNames block, Pack pack, ForwardMode mode)
    {
        using var scope = torch.NewDisposeScope();
        var (x, input) = Into(middle, block.FeedForwardNorm, pack, mode);
        return OutOf(x, FeedForward(input, block, pack, mode), block.FeedForwardNorm, block.FeedForwardEndNorm, pack, mode).Outer();
    }

    private Tensor Attention(Tensor x, BlockNames block, Pack pack, AttentionForm form, ForwardMode mode, Tensor? rows)
    {
        using var mixed = Mixed(x, block, pack, form, mode, rows);
        return Linear(mixed, block.AttentionOutput, pack, mode);
    }

    private Tensor Mixed(Tensor x, BlockNames block, Pack pack, AttentionForm form, ForwardMode mode, Tensor? rows)
    {
        using var scope = torch.NewDisposeScope();
        var (queries, keys) = (Spec.Heads * Spec.HeadWidth, Spec.KeyValueHeads * Spec.HeadWidth);
        var some = rows is not null && pack.Attention.LeavesOut(x, form);
        var few = some && !torch.is_grad_enabled() && block.AttentionInputs.Length > 1;
        var asked = some ? pack.Asked(Fewest) : default;
        var parts = few ? [.. Linears(x.index_select(0, asked.Rows), block.AttentionInputs[..1], [queries], pack, mode), .. Linears(x, block.AttentionInputs[1..], [keys, keys], pack, mode)]
            : Spec.Block.FusedByHead ? ByHead(Linear(x, block.AttentionInputs[0], pack, mode)) : Linears(x, block.AttentionInputs, [queries, keys, keys], pack, mode);
        var q = Halved(Heads(parts[0], block.QueryNorm, Spec.Heads, pack, mode)); // (R, H, D), or of the rows alone
        var k = Halved(Heads(parts[1], block.KeyNorm, Spec.KeyValueHeads, pack, mode));
        var v = parts[2].view(-1, Spec.KeyValueHeads, Spec.HeadWidth);
        var mixed = pack.Attention.Attend(block.Layer, q, k, v, some ? form with { Asked = asked.Rows } : form).view(-1, queries);
        if (rows is null || (few && ReferenceEquals(rows, asked.Rows))) return mixed.MoveToOuterDisposeScope();
        return mixed.index_select(0, few ? asked.Places : rows).MoveToOuterDisposeScope();
    }

    // (R, heads, D), under their norm where they have one.
    private Tensor Heads(Tensor x, string? norm, long heads, Pack pack, ForwardMode mode)
    {
        Tensor Apart(Tensor row) => row.view(-1, heads, Spec.HeadWidth);
        return norm is null ? Apart(x) : Spec.Block.WideHeadNorms ? Apart(Norm(x, norm, pack, mode)) : Norm(Apart(x), norm, pack, mode);
    }

    private AttentionForm FormOf(BlockNames block, Rotary? rotary, (Tensor Keys, Tensor Values)[]? prefixes, torch.ScalarType dtype) =>
        new(rotary, Spec.ScoreScale ?? 1 / Math.Sqrt(Spec.HeadWidth), Spec.ScoreCap, block.Window)
        {
            Prefix = prefixes?[block.Layer] is var (keys, values) ? (Halved(keys.to(dtype)), values.to(dtype)) : null,
        };

    private Tensor FeedForward(Tensor x, BlockNames block, Pack pack, ForwardMode mode)
    {
        using var active = Active(x, block, pack, mode);
        return Linear(active, block.FeedForwardOutput, pack, mode);
    }

    private Tensor Active(Tensor x, BlockNames block, Pack pack, ForwardMode mode)
    {
        using var scope = torch.NewDisposeScope();
        var inner = Spec.Block.FeedForwardOutput.Inputs;
        var parts = Linears(x, block.FeedForwardInputs, Spec.Block.Gated ? [inner, inner] : [inner], pack, mode);
        var active = Spec.Block switch
        {
            { Gated: true, Activation: Activation.Silu } => Fused.Swiglu(parts[0], parts[1]),
            { Gated: true } => parts[0].Activated(Spec.Block.Activation) * parts[1],
            _ => parts[0].Activated(Spec.Block.Activation),
        };
        return active.MoveToOuterDisposeScope();
    }

    // The stream's sum and what its norm makes of it, itself where there is none; the stream's own tensors are no longer needed.
    private (Tensor Sum, Tensor Normal) Normed(Residual stream, string? name, Pack pack, ForwardMode mode)
    {
        using (stream)
        {
            if (name is not null && stream.Added is { } added && Spec.Norm.Kind == NormKind.Rms && !RoundsOnce(added) && mode.Controls.Count == 0)
                return Fused.ResidualNorm(stream.X, added, OfNorm(name, "weight", mode.Deltas.GetValueOrDefault(name), added), Spec.Norm.Epsilon);
            var sum = stream.Sum();
            return (sum, name is null ? sum : Norm(sum, name, pack, mode));
        }
    }

    private Tensor Norm(Tensor x, string name, Pack pack, ForwardMode mode) => Deltas.ByRow(name, pack, mode, delta =>
        !Spec.Norm.HasWeights ? F.layer_norm(x, [x.size(-1)], eps: Spec.Norm.Epsilon)
            : Norm(x, OfNorm(name, "weight", delta, x), Spec.Norm is { Kind: NormKind.Layer, HasBias: true } ? OfNorm(name, "bias", delta, x) : null));

    // A norm's tensor under a delta, in the type of what it multiplies.
    private Tensor OfNorm(string name, string tensor, Delta? delta, Tensor x) => delta?.Instead(tensor)?.to(x.dtype) ?? weights[$"{name}.{tensor}"];

    private Tensor Norm(Tensor x, Tensor weight, Tensor? bias)
    {
        var epsilon = Spec.Norm.Epsilon;
        return Spec.Norm.Kind switch
        {
            NormKind.Layer => F.layer_norm(x, weight.shape, weight, bias, epsilon),
            NormKind.Rms when RoundsOnce(x) => F.rms_norm(x.to(torch.float32), weight.to(torch.float32), epsilon).to(x.dtype),
            NormKind.Rms => F.rms_norm(x, weight, epsilon),
            // In a narrow dtype 1 + w would lose w: the product is rounded once, as in Hugging Face's.
            _ when x.dtype is torch.ScalarType.BFloat16 or torch.ScalarType.Float16 => F.rms_norm(x.to(torch.float32), weight.to(torch.float32) + 1, epsilon).to(x.dtype),
            _ => F.rms_norm(x, weight + 1, epsilon),
        };
    }

    private bool RoundsOnce(Tensor x) => Spec.Norm.RoundsOnce && x.dtype is torch.ScalarType.BFloat16 or torch.ScalarType.Float16;

    // Several layers, or one fused layer whose outputs are cut into parts of these widths.
    private Tensor[] Linears(Tensor x, LinearModule[] modules, long[] widths, Pack pack, ForwardMode mode)
    {
        if (modules.Length == widths.Length) return JoinedLowRank.Of(Array.ConvertAll(modules, module => LayerOf(module, mode)), x, mode) ?? Array.ConvertAll(modules, module => Linear(x, module, pack, mode));
        var joined = Linear(x, modules[0], pack, mode);
        long first = 0;
        return Array.ConvertAll(widths, width => joined.narrow(-1, (first += width) - width, width));
    }

    // Every linear layer of a block goes through here.
    private Tensor Linear(Tensor x, LinearModule module, Pack pack, ForwardMode mode)
    {
        var layer = LayerOf(module, mode);
        if (JoinedLowRank.Of([layer], x, mode) is [var joined]) return joined;
        var y = Deltas.Linear(layer, x, pack, mode);
        mode.Start?.Keep(module.Name, y);
        return y;
    }

    private Layer LayerOf(LinearModule module, ForwardMode mode) => new(module.Name, weights.GetValueOrDefault(module.Weight), module.Bias is { } name ? weights[name] : null) { Transposed = module.Spec.Transposed, Quantized = QuantizedOf(module.Weight), Known = mode.Start?.Of(module.Name), Alone = mode.Alone };

    private void Check(string name, long[] shape)
    {
        if (quantized.ContainsKey(name)) return; // whose shape was compared when it was read or made
        if (!weights.TryGetValue(name, out var tensor))
            throw new UserErrorException($"The checkpoint has no tensor '{name}', which a {Spec.ModelType} model of this config.json needs; it has {weights.Count} tensors.");
        if (!tensor.shape.SequenceEqual(shape))
            throw new UserErrorException($"Tensor '{name}' has the shape [{string.Join(", ", tensor.shape)}]; config.json asks for [{string.Join(", ", shape)}].");
    }
}
