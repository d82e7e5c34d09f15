// Kernels of native/ for decoding, where a few new rows meet all weights and the cached past. No gradients.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Extras;

/// <summary>What makes a decoding step fast.</summary>
public static class Decoding
{
    /// <summary>Most rows for which <see cref="Linear"/> is the better product.</summary>
    public const long FewRows = 16;

    // Not in the table of Aten: nothing but this file calls them, and tests/Torch.Tests compares them with composed forms.
    private static readonly Operator LinearKernel = new("peftalign::few_rows_linear");
    private static readonly Operator AttentionKernel = new("peftalign::decode_attention");
    private static readonly Operator BlocksKernel = new("peftalign::decode_blocks");

    /// <summary>
    /// x weight^T + bias: each weight row is read once for all rows of x, by all threads, with sums in float32; a row's result does
    /// not depend on the rows beside it. Other dtypes than float32 and bfloat16, and other devices, go to libtorch's product.
    /// </summary>
    /// <param name="x">(N, in), N small.</param>
    /// <param name="weight">(out, in)</param>
    /// <param name="bias">(out), or null.</param>
    /// <returns>(N, out)</returns>
    public static Tensor Linear(Tensor x, Tensor weight, Tensor? bias = null) => LinearKernel.Tensor(x, weight, bias);

    /// <summary>Whether <see cref="Attention"/> computes on this device in this dtype.</summary>
    public static bool HasAttention(torch.Device device, torch.ScalarType dtype) =>
        device.type == DeviceType.CPU && dtype is torch.ScalarType.Float32 or torch.ScalarType.BFloat16;

    /// <summary>
    /// Attention of one new token of each of N sequences: turns query and key, stores key and value at the sequence's last
    /// place of the cache, and mixes the values that the token sees.
    /// </summary>
    /// <param name="q">(N, H, D) before rotation.</param>
    /// <param name="k">(N, G, D) before rotation; H is a multiple of G.</param>
    /// <param name="v">(N, G, D)</param>
    /// <param name="cache">Keys, turned, and values: (S, G, D) each; changed.</param>
    /// <param name="past">Where each sequence lies in the cache.</param>
    /// <param name="cos">(N, 1, W) of the new tokens' positions; null without rotary positions.</param>
    /// <param name="sin">(N, 1, W / 2)</param>
    /// <param name="scale">Factor of the scores.</param>
    /// <param name="cap">Scores s become c tanh(s / c); null = no cap.</param>
    /// <param name="window">Tokens that one sees, itself included; null = all.</param>
    /// <returns>(N, H, D)</returns>
    public static Tensor Attention(Tensor q, Tensor k, Tensor v, (Tensor Keys, Tensor Values) cache, PastPlaces past, Tensor? cos, Tensor? sin, double scale, double? cap, long? window) =>
        AttentionKernel.Tensor(q, k, v, cache.Keys, cache.Values, past.Places, past.Lengths, cos, sin, scale, cap ?? 0, window ?? 0);

    /// <summary>
    /// All blocks of a decoder for one new token of each of N sequences in one call: RMS norms, attention through the cache as in
    /// <see cref="Attention"/>, SwiGLU, residuals.
    /// </summary>
    /// <param name="x">(N, d) float32 or bfloat16, on the processor.</param>
    /// <param name="weights">The blocks' tensors, <see cref="DecodeBlocks.Slots"/> of each, contiguous, in x's dtype.</param>
    /// <param name="caches">Keys and values of each block: (S, G, D) each; changed.</param>
    /// <param name="past">Where each sequence lies in the caches.</param>
    /// <param name="cos">(N, 1, W) of the new tokens' positions, for each turn of <see cref="DecodeBlocks.Turns"/>.</param>
    /// <param name="sin">(N, 1, W / 2) for each.</param>
    /// <param name="form">Sizes and factors.</param>
    /// <returns>(N, d)</returns>
    public static Tensor Blocks(Tensor x, Tensor?[] weights, Tensor[] caches, PastPlaces past, Tensor[] cos, Tensor[] sin, DecodeBlocks form) =>
        BlocksKernel.Tensor(x, weights, caches, past.Places, past.Lengths, cos, sin, form.Shape, form.Scales, form.Windows, form.Turns);
}

/// <summary>Sizes and factors of the blocks of <see cref="Decoding.Blocks"/>.</summary>
/// <param name="Shape">Query heads, key heads, head width, inner width.</param>
/// <param name="Scales">Factor of the scores, c of capped scores or 0, epsilon of the norms, 1 where their weights multiply before anything is rounded, else 0.</param>
/// <param name="Windows">For each block, the tokens that one sees, itself included; 0 = all.</param>
/// <param name="Turns">For each block, which of the cosines are its own; -1 = it has no positions.</param>
public sealed record DecodeBlocks(long[] Shape, double[] Scales, long[] Windows, long[] Turns)
{
    /// <summary>
    /// Tensors of a block, those that it does not have null: norm (d); query (H D, d), its bias, key (G D, d), its bias, value, its
    /// bias; norms of queries and keys, (D) over each head or (H D) and (G D) over all; output (d, H D), its bias; norm (d); gate (inner, d),
    /// its bias, up, its bias; down (d, inner), its bias; norms of what each half adds (d).
    /// </summary>
    public const int Slots = 20;
}

/// <summary>Where sequences lie in a cache.</summary>
/// <param name="Places">(N, L) int32: the cache's row of each token, the new one last; what is behind a sequence's length does not matter.</param>
/// <param name="Lengths">(N) int64, the new token included.</param>
public sealed record PastPlaces(Tensor Places, Tensor Lengths);
