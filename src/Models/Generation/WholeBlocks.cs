// A decoding step through all blocks in one native call, where the blocks are of the common kind (RMS norms, SwiGLU, weights stored
// by output, none quantised), nothing but the model's own weights takes part, and the dtype and device have the kernel. Else the decoder composes.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Generation;

internal sealed class WholeBlocks : IDisposable
{
    private readonly Tensor?[] weights;
    private readonly DecodeBlocks form;
    private readonly List<Tensor> parts = []; // of fused layers

    private WholeBlocks(DecoderModel model)
    {
        var (spec, block) = (model.Spec, model.Spec.Block);
        form = new DecodeBlocks(
            [spec.Heads, spec.KeyValueHeads, spec.HeadWidth, block.FeedForwardOutput.Inputs],
            [spec.ScoreScale ?? 1 / Math.Sqrt(spec.HeadWidth), spec.ScoreCap ?? 0, spec.Norm.Epsilon, spec.Norm.RoundsOnce ? 1 : 0],
            [.. Enumerable.Range(0, spec.Layers).Select(l => spec.Windows.Count > 0 ? spec.Windows[l] ?? 0 : 0)],
            []);
        weights = [.. Enumerable.Range(0, spec.Layers).SelectMany(l => OfBlock(model, new BlockNames(spec, l)))];
    }

    /// <summary>For a model in a mode; null where the step is to be composed.</summary>
    internal static WholeBlocks? Of(DecoderModel model, ForwardMode mode)
    {
        var block = model.Spec.Block;
        var common = model.Spec is { Norm.Kind: NormKind.Rms, ResidualScale: null, TurnsPairs: false } && block is { Gated: true, Activation: Activation.Silu, Parallel: false, NormsAfter: false, FusedByHead: false }
            && block.Linears().All(l => !l.Transposed);
        return common && mode.IsOff && Decoding.HasAttention(model.Device, model.Head.dtype) && AllOfOneKind(model) ? new WholeBlocks(model) : null;
    }

    /// <summary>(R, d) what the blocks make of the embeddings of the sequences' newest tokens.</summary>
    internal Tensor Forward(Tensor x, Rotary?[] rotary, KeyValueCache cache, PastPlaces past)
    {
        var own = rotary.OfType<Rotary>().Distinct().ToList();
        long[] turns = [.. rotary.Select(turn => turn is null ? -1L : own.IndexOf(turn))];
        return Decoding.Blocks(x, weights, cache.All, past, [.. own.Select(turn => turn.Cos)], [.. own.Select(turn => turn.Sin)], form with { Turns = turns });
    }

    public void Dispose() => parts.ForEach(part => part.Dispose());

    private static bool AllOfOneKind(DecoderModel model) =>
        model.Quantized.Count == 0 && model.Spec.Weights().All(w => model.Weights[w.Name] is var t && t.dtype == model.Head.dtype && t.device.type == DeviceType.CPU && t.is_contiguous());

    // In the order of DecodeBlocks.Slots.
    private IEnumerable<Tensor?> OfBlock(DecoderModel model, BlockNames names)
    {
        Tensor? Norm(string? name) => name is null ? null : model.Weights[name + ".weight"];
        var (queries, keys, inner) = (form.Shape[0] * form.Shape[2], form.Shape[1] * form.Shape[2], form.Shape[3]);
        return
        [
            Norm(names.AttentionNorm), .. Linears(model, names.AttentionInputs, [queries, keys, keys]), Norm(names.QueryNorm), Norm(names.KeyNorm),
            .. Linears(model, [names.AttentionOutput], [model.Spec.Hidden]),
            Norm(names.FeedForwardNorm), .. Linears(model, names.FeedForwardInputs, [inner, inner]), .. Linears(model, [names.FeedForwardOutput], [model.Spec.Hidden]),
            Norm(names.AttentionEndNorm), Norm(names.FeedForwardEndNorm),
        ];
    }

    // Weight and bias of each layer; a layer that stands for several is cut into its rows.
    private IEnumerable<Tensor?> Linears(DecoderModel model, LinearModule[] modules, long[] widths)
    {
        Tensor? Bias(LinearModule module) => module.Bias is { } name ? model.Weights[name] : null;
        if (modules.Length == widths.Length) return modules.SelectMany(m => (Tensor?[])[model.Weights[m.Weight], Bias(m)]);
        long first = 0;
        Tensor? Cut(Tensor? whole, long width) => whole is null ? null : Kept(whole.narrow(0, first, width));
        return widths.SelectMany(width =>
        {
            Tensor?[] both = [Cut(model.Weights[modules[0].Weight], width), Cut(Bias(modules[0]), width)];
            first += width;
            return both;
        }).ToList();
    }

    private Tensor Kept(Tensor part)
    {
        parts.Add(part.DetachFromDisposeScope());
        return part;
    }
}
