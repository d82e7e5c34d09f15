// Kernels of native/ that do in one pass what libtorch's operators do in several: for training and scoring alike.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Extras;

/// <summary>Fused operators; float32 and bfloat16 on the processor.</summary>
public static class Fused
{
    // Not in the table of Aten: nothing but this file calls them, and tests/Torch.Tests compares them with composed forms.
    private static readonly Operator SwigluKernel = new("peftalign::swiglu");
    private static readonly Operator ResidualNormKernel = new("peftalign::residual_norm");
    private static readonly Operator AttentionKernel = new("peftalign::tree_attention");
    private static readonly Operator AttentionBackwardKernel = new("peftalign::tree_attention_backward");

    private static readonly Operator TargetsKernel = new("peftalign::target_log_probs");
    private static readonly Operator HeadKernel = new("peftalign::head_figures");
    private static readonly Operator LogitsKernel = new("peftalign::logits_figures");

    /// <summary>Whether <see cref="TreeAttention(Tensor, Tensor, Tensor, Tensor, Tensor, RowRuns, double)"/> and <see cref="TargetLogProbs"/> compute on this device in this dtype.</summary>
    public static bool Has(torch.Device device, torch.ScalarType dtype) =>
        device.type == DeviceType.CPU && dtype is torch.ScalarType.Float32 or torch.ScalarType.BFloat16;

    /// <summary>silu(gate) * up, with gradients; composed on other devices and in other dtypes. Source: Shazeer 2020.</summary>
    /// <param name="gate">(..., n)</param>
    /// <param name="up">(..., n)</param>
    public static Tensor Swiglu(Tensor gate, Tensor up) => SwigluKernel.Tensor(gate, up);

    /// <summary>x + added and its RMS norm in one pass over the rows, with gradients: what both operators give, bit for bit.</summary>
    /// <param name="x">(..., n)</param>
    /// <param name="added">As x.</param>
    /// <param name="weight">(n)</param>
    /// <param name="eps">Added to the mean of squares.</param>
    /// <exception cref="TorchException">The two differ in shape, type or device.</exception>
    public static (Tensor Sum, Tensor Normal) ResidualNorm(Tensor x, Tensor added, Tensor weight, double eps) => ResidualNormKernel.Pair(x, added, weight, eps);

    /// <summary>Attention of packed groups: a row sees two runs of rows of its own group. Softmax in float32.</summary>
    /// <param name="q">(R, H, D) before rotation.</param>
    /// <param name="k">(R, G, D) before rotation; H is a multiple of G.</param>
    /// <param name="v">(R, G, D)</param>
    /// <param name="cos">(R, 1, W) of the rows' positions; null without rotary positions.</param>
    /// <param name="sin">(R, 1, W / 2)</param>
    /// <param name="runs">Which rows each row sees.</param>
    /// <param name="scale">Factor of the scores.</param>
    /// <returns>(R, H, D), and (R, H) the logarithms of the sums of exponentials, which the gradient needs.</returns>
    public static (Tensor Mixed, Tensor Sums) TreeAttention(Tensor q, Tensor k, Tensor v, Tensor? cos, Tensor? sin, RowRuns runs, double scale) =>
        TreeAttention(q, k, v, cos, sin, runs, scale, null);

    /// <summary>The same of some rows, bit for bit; whole blocks of others are left out.</summary>
    /// <param name="q">As there, or (N, H, D) of the asked rows alone.</param>
    /// <param name="k">As there.</param>
    /// <param name="v">As there.</param>
    /// <param name="cos">As there.</param>
    /// <param name="sin">As there.</param>
    /// <param name="runs">As there.</param>
    /// <param name="scale">As there.</param>
    /// <param name="asked">(N) int64, rising: the rows whose results are asked for, others are 0 and have no gradient; null = all.</param>
    /// <returns>Both of as many rows as q.</returns>
    public static (Tensor Mixed, Tensor Sums) TreeAttention(Tensor q, Tensor k, Tensor v, Tensor? cos, Tensor? sin, RowRuns runs, double scale, Tensor? asked) =>
        AttentionKernel.Pair(q, k, v, cos, sin, runs.Spans, runs.Groups, scale, asked);

    /// <summary>The gradients of <see cref="TreeAttention(Tensor, Tensor, Tensor, Tensor, Tensor, RowRuns, double)"/> by q, k and v.</summary>
    /// <param name="grad">(R, H, D); 0 in rows that were not asked for.</param>
    /// <param name="q">As there, of all rows.</param>
    /// <param name="k">As there.</param>
    /// <param name="v">As there.</param>
    /// <param name="result">What it returned.</param>
    /// <param name="cos">As there.</param>
    /// <param name="sin">As there.</param>
    /// <param name="runs">As there.</param>
    /// <param name="scale">As there.</param>
    public static (Tensor Q, Tensor K, Tensor V) TreeAttentionBackward(Tensor grad, Tensor q, Tensor k, Tensor v, (Tensor Mixed, Tensor Sums) result, Tensor? cos, Tensor? sin, RowRuns runs, double scale) =>
        AttentionBackwardKernel.Triple(grad, q, k, v, result.Mixed, result.Sums, cos, sin, runs.Spans, runs.Groups, scale);

    /// <summary>Of each row of logits what <see cref="TargetFigure"/> lists, in one pass.</summary>
    /// <param name="logits">(C, V) contiguous; where kept, overwritten by e^(logit - largest).</param>
    /// <param name="targets">(C) int64.</param>
    /// <param name="keep">Whether to overwrite.</param>
    /// <returns>(7, C) float32, without a graph.</returns>
    public static Tensor TargetLogProbs(Tensor logits, Tensor targets, bool keep)
    {
        using var off = torch.no_grad();
        return TargetsKernel.Tensor(logits, targets, keep);
    }

    /// <summary>Whether <see cref="HeadFigures"/> computes on such rows and such a head.</summary>
    public static bool HasHead(Tensor hidden, Tensor head) =>
        hidden.device.type == DeviceType.CPU && hidden.dtype == head.dtype && head.stride(1) == 1 && Products.KernelsOf(head.dtype) != "libtorch"
        && (head.dtype == torch.float32 || (head.size(1) % 2 == 0 && head.stride(0) % 2 == 0));

    /// <summary>
    /// Of the distribution over the vocabulary under each hidden row what <see cref="TargetFigure"/> lists, in one call that never has all
    /// logits in memory. A row's figures depend neither on the other rows nor on threads.
    /// </summary>
    /// <param name="hidden">(N, d) float32 or, with an even d, bfloat16.</param>
    /// <param name="head">(V, d) in the same dtype, rows whole.</param>
    /// <param name="targets">(N) int64.</param>
    /// <param name="expect">Whether the mean of the head's rows is asked for.</param>
    /// <param name="bias">(V) added to each row of logits, in the same dtype; null = nothing.</param>
    /// <returns>(7, N) float32, and (N, d) sum of p_v head_v where asked for; without a graph.</returns>
    public static (Tensor Figures, Tensor? Expected) HeadFigures(Tensor hidden, Tensor head, Tensor targets, bool expect, Tensor? bias = null)
    {
        using var off = torch.no_grad();
        var (figures, expected) = HeadKernel.Pair(hidden.contiguous(), head, targets.contiguous(), expect, bias);
        return (figures, expect ? expected : null);
    }

    /// <summary>The figures of <see cref="HeadFigures"/>, bit for bit, from logits that are in memory; where <see cref="HasHead"/> is true.</summary>
    /// <param name="logits">(N, V) float32 or bfloat16.</param>
    /// <param name="targets">(N) int64.</param>
    /// <returns>(7, N) float32, without a graph.</returns>
    public static Tensor LogitsFigures(Tensor logits, Tensor targets)
    {
        using var off = torch.no_grad();
        return LogitsKernel.Tensor(logits.contiguous(), targets.contiguous());
    }
}

/// <summary>What <see cref="Fused.TargetLogProbs"/> and <see cref="Fused.HeadFigures"/> say of each row, in this order.</summary>
public enum TargetFigure
{
    /// <summary>log p of the target.</summary>
    LogProb,

    /// <summary>Mean of log p over the vocabulary.</summary>
    MeanLogProb,

    /// <summary>-sum p log p, in nats.</summary>
    Entropy,

    /// <summary>1 where the target is the first of the largest logits, else 0.</summary>
    ArgmaxHit,

    /// <summary>log sum p^2.</summary>
    LogSumSquare,

    /// <summary>Mean of the logits.</summary>
    MeanLogit,

    /// <summary>1 / sum of e^(logit - largest).</summary>
    InverseSum,
}

/// <summary>Which rows each row of packed groups sees.</summary>
/// <param name="Spans">(R, 4) int32, contiguous: first and end of two runs that do not overlap, counted from the group's first row; one may be empty.</param>
/// <param name="Groups">First row and length of each group, in order, without gaps.</param>
public sealed record RowRuns(Tensor Spans, long[] Groups);
