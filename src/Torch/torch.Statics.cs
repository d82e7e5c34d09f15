// The static spellings of common methods: torch.exp(x) beside x.exp().

namespace PeftAlign.Torch;

/// <summary>Functions, types and constants under the names that PyTorch gives them.</summary>
public static partial class torch
{
    /// <summary>Matrix product over the last two dimensions, those before broadcast: (..., m, k) by (..., k, n) gives (..., m, n); of two vectors, their dot product.</summary>
    public static Tensor matmul(Tensor input, Tensor other) => input.matmul(other);

    /// <summary>Product of two matrices: (m, k) by (k, n) gives (m, n).</summary>
    public static Tensor mm(Tensor input, Tensor mat2) => input.mm(mat2);

    /// <summary>Products of matrices pair by pair: (b, m, k) by (b, k, n) gives (b, m, n).</summary>
    public static Tensor bmm(Tensor input, Tensor mat2) => input.bmm(mat2);

    /// <summary>left + right, elementwise, with broadcasting.</summary>
    public static Tensor add(Tensor left, Tensor right) => left.add(right);

    /// <summary>left - right, elementwise, with broadcasting.</summary>
    public static Tensor sub(Tensor left, Tensor right) => left.sub(right);

    /// <summary>left * right, elementwise, with broadcasting.</summary>
    public static Tensor mul(Tensor left, Tensor right) => left.mul(right);

    /// <summary>left / right, elementwise, with broadcasting; of integers, a floating-point quotient.</summary>
    public static Tensor div(Tensor left, Tensor right) => left.div(right);

    /// <summary>left^exponent, elementwise.</summary>
    public static Tensor pow(Tensor left, Scalar exponent) => left.pow(exponent);

    /// <summary>Magnitude, elementwise.</summary>
    public static Tensor abs(Tensor input) => input.abs();

    /// <summary>-1, 0 or 1 by the sign, elementwise.</summary>
    public static Tensor sign(Tensor input) => input.sign();

    /// <summary>Square root, elementwise; NaN below 0.</summary>
    public static Tensor sqrt(Tensor input) => input.sqrt();

    /// <summary>1 / sqrt(x), elementwise.</summary>
    public static Tensor rsqrt(Tensor input) => input.rsqrt();

    /// <summary>x^2, elementwise.</summary>
    public static Tensor square(Tensor input) => input.square();

    /// <summary>e^x, elementwise.</summary>
    public static Tensor exp(Tensor input) => input.exp();

    /// <summary>Natural logarithm, elementwise.</summary>
    public static Tensor log(Tensor input) => input.log();

    /// <summary>log(1 + x), elementwise, accurate also near 0.</summary>
    public static Tensor log1p(Tensor input) => input.log1p();

    /// <summary>Sine of radians, elementwise.</summary>
    public static Tensor sin(Tensor input) => input.sin();

    /// <summary>Cosine of radians, elementwise.</summary>
    public static Tensor cos(Tensor input) => input.cos();

    /// <summary>Hyperbolic tangent, elementwise.</summary>
    public static Tensor tanh(Tensor input) => input.tanh();

    /// <summary>1 / (1 + e^-x), elementwise.</summary>
    public static Tensor sigmoid(Tensor input) => input.sigmoid();

    /// <summary>Limits elements to [min, max]; a bound that is null is none, and one of the two must be given.</summary>
    public static Tensor clamp(Tensor input, Scalar? min = null, Scalar? max = null) => input.clamp(min, max);

    /// <summary>Sum of all elements, without dimensions; of integers and bools in int64.</summary>
    public static Tensor sum(Tensor input) => input.sum();

    /// <summary>Sum over one dimension, which goes, or stays with size 1 under <paramref name="keepdim"/>.</summary>
    public static Tensor sum(Tensor input, long dim, bool keepdim = false) => input.sum(dim, keepdim);

    /// <summary>Mean of all elements, without dimensions; floating-point types only.</summary>
    public static Tensor mean(Tensor input) => input.mean();

    /// <summary>e^x / sum e^x over one dimension, without overflow; computed in <paramref name="dtype"/> if given.</summary>
    public static Tensor softmax(Tensor input, long dim, ScalarType? dtype = null) => input.softmax(dim, dtype);

    /// <summary>x - log sum e^x over one dimension, without overflow; computed in <paramref name="dtype"/> if given.</summary>
    public static Tensor log_softmax(Tensor input, long dim, ScalarType? dtype = null) => input.log_softmax(dim, dtype);

    /// <summary>log sum e^x over one dimension, which goes, or stays with size 1 under <paramref name="keepdim"/>; without overflow.</summary>
    public static Tensor logsumexp(Tensor input, long dim, bool keepdim = false) => input.logsumexp(dim, keepdim);

    /// <summary>int64 place of the largest element along a dimension, or of the flattened tensor where <paramref name="dim"/> is null; no gradient.</summary>
    public static Tensor argmax(Tensor input, long? dim = null, bool keepdim = false) => input.argmax(dim, keepdim);

    /// <summary>The k largest (or smallest) elements along a dimension, best first if <paramref name="sorted"/>, and their int64 places; that dimension becomes k.</summary>
    public static (Tensor values, Tensor indexes) topk(Tensor tensor, int k, int dim = -1, bool largest = true, bool sorted = true) => tensor.topk(k, dim, largest, sorted);

    /// <summary>Elements along a dimension by int64 place: of dimension 0, result[i, j] = input[index[i, j], j]; shaped as the index.</summary>
    public static Tensor gather(Tensor input, long dim, Tensor index) => input.gather(dim, index);

    /// <summary>A copy with zeros above a diagonal of the last two dimensions; diagonal 0 is the main one, positive ones lie above it.</summary>
    public static Tensor tril(Tensor input, long diagonal = 0) => input.tril(diagonal);

    /// <summary>A copy with zeros below a diagonal of the last two dimensions; diagonal 0 is the main one, positive ones lie above it.</summary>
    public static Tensor triu(Tensor input, long diagonal = 0) => input.triu(diagonal);

    /// <summary>The larger of two elements, with broadcasting; NaN where either is NaN.</summary>
    public static Tensor maximum(Tensor input, Tensor other) => input.maximum(other);

    /// <summary>The smaller of two elements, with broadcasting; NaN where either is NaN.</summary>
    public static Tensor minimum(Tensor input, Tensor other) => input.minimum(other);

    /// <summary>Outer product of two vectors: (n) and (m) give (n, m).</summary>
    public static Tensor outer(Tensor input, Tensor vec2) => input.outer(vec2);

    /// <summary>Whether |input - target| &lt;= atol + rtol |target| for every element; NaN equals NaN only under <paramref name="equal_nan"/>.</summary>
    public static bool allclose(Tensor input, Tensor target, double rtol = 1e-05, double atol = 1e-08, bool equal_nan = false) => input.allclose(target, rtol, atol, equal_nan);
}
