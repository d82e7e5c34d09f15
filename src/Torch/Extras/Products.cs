// Matrix products by the kernels of native/, float32 and bfloat16 on the processor; elsewhere by libtorch's.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Extras;

/// <summary>
/// Sums of products in one call, faster than libtorch's and reproducible: an element does not depend on the rows and columns beside
/// it, on the number of threads, or on whether the processor has AVX2 or AVX-512 (numbers below 2^-126 aside, which its instructions for
/// bfloat16 take for 0). Sums are float32 and are rounded once. Other dtypes and devices, and processors without AVX2, go to libtorch's products.
/// </summary>
public static class Products
{
    // Not in the table of Aten: nothing but this file calls them, and tests/Torch.Tests compares them with composed forms.
    private static readonly Operator SumKernel = new("peftalign::products");
    private static readonly Operator AddKernel = new("peftalign::add_products_");
    private static readonly Operator LinearKernel = new("peftalign::linear");

    private static readonly Operator InstructionsKernel = new("peftalign::products_instructions");

    /// <summary>
    /// What float32 products on the processor are computed with: "avx512", "avx2" (both give the same bits), or "libtorch", on
    /// processors without AVX2 or where PEFTALIGN_PRODUCTS says so.
    /// </summary>
    public static string Kernels => KernelsOf(torch.ScalarType.Float32);

    /// <summary>The same of one dtype; "libtorch" also for bfloat16 on processors with AMX, which libtorch's products use, and for dtypes that have no
    /// products of our own.</summary>
    /// <param name="dtype">Of the factors.</param>
    public static string KernelsOf(torch.ScalarType dtype) => dtype is torch.ScalarType.Float32 or torch.ScalarType.BFloat16
        ? (long)InstructionsKernel.Any(dtype)[0]! switch { >= 2 => "avx512", 1 => "avx2", _ => "libtorch" } : "libtorch";

    /// <summary>a b, without a graph.</summary>
    /// <param name="a">(M, K)</param>
    /// <param name="b">(K, N)</param>
    /// <returns>(M, N)</returns>
    public static Tensor Of(Tensor a, Tensor b) => Sum([(a, b, 1)]);

    /// <summary>bias + sum of factor a b, without a graph.</summary>
    /// <param name="pairs">Of each a (M, K) and b (K, N) of one dtype, and a factor, which is rounded to float32; at least one.</param>
    /// <param name="bias">(N) in the result's dtype, or null.</param>
    /// <param name="dtype">The result's, float32 or bfloat16 where it differs from some pair's; null = the first pair's.</param>
    /// <returns>(M, N)</returns>
    public static Tensor Sum((Tensor A, Tensor B, double Factor)[] pairs, Tensor? bias = null, torch.ScalarType? dtype = null) =>
        SumKernel.Tensor(Lefts(pairs), Rights(pairs), Factors(pairs), bias, dtype);

    /// <summary>Adds the sum of factor a b to y in place, without a graph.</summary>
    /// <param name="y">(M, N), changed; its dtype may differ from the pairs' as in <see cref="Sum"/>.</param>
    /// <param name="pairs">As in <see cref="Sum"/>.</param>
    /// <returns>y</returns>
    public static Tensor Add(Tensor y, params (Tensor A, Tensor B, double Factor)[] pairs)
    {
        AddKernel.InPlace(y, Lefts(pairs), Rights(pairs), Factors(pairs));
        return y;
    }

    /// <summary>x weight^T + bias with gradients; of a frozen weight x is not kept.</summary>
    /// <param name="x">(..., in)</param>
    /// <param name="weight">(out, in), any strides.</param>
    /// <param name="bias">(out), or null.</param>
    /// <returns>(..., out)</returns>
    public static Tensor Linear(Tensor x, Tensor weight, Tensor? bias = null) => x.dim() == 2
        ? LinearKernel.Tensor(x, weight, bias)
        : LinearKernel.Tensor(x.reshape(-1, x.size(-1)), weight, bias).view([.. x.shape[..^1], weight.size(0)]);

    private static Tensor[] Lefts((Tensor A, Tensor B, double Factor)[] pairs) => Array.ConvertAll(pairs, p => p.A);

    private static Tensor[] Rights((Tensor A, Tensor B, double Factor)[] pairs) => Array.ConvertAll(pairs, p => p.B);

    private static double[] Factors((Tensor A, Tensor B, double Factor)[] pairs) => Array.ConvertAll(pairs, p => (double)(float)p.Factor);
}
