// Reductions, order statistics and sampling.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public partial class Tensor
{
    /// <summary>Sum of all elements, without dimensions; in <paramref name="type"/> where given, else integers and bool in int64.</summary>
    public Tensor sum(torch.ScalarType? type = null) => Aten.sum.Tensor(this, type);

    // A literal 0 converts to an enumeration too, and sum(0) would be sum(ScalarType): an int binds here.
    /// <summary>Sum over one dimension, kept with size 1 where <paramref name="keepdim"/>; dtype as <see cref="sum(torch.ScalarType?)"/>.</summary>
    public Tensor sum(int dim, bool keepdim = false, torch.ScalarType? type = null) => sum((long)dim, keepdim, type);

    /// <inheritdoc cref="sum(int, bool, torch.ScalarType?)"/>
    public Tensor sum(long dim, bool keepdim = false, torch.ScalarType? type = null) => Aten.sum_dim.Tensor(this, new[] { dim }, keepdim, type);

    /// <summary>Sum over these dimensions, kept with size 1 where <paramref name="keepdim"/>; dtype as <see cref="sum(torch.ScalarType?)"/>.</summary>
    public Tensor sum(long[] dims, bool keepdim = false, torch.ScalarType? type = null) => Aten.sum_dim.Tensor(this, dims, keepdim, type);

    /// <summary>Mean of all elements, without dimensions; floating dtypes only.</summary>
    public Tensor mean() => Aten.mean.Tensor(this);

    /// <summary>Mean over these dimensions, kept with size 1 where <paramref name="keepdim"/>; in <paramref name="type"/> where given, else floating dtypes only.</summary>
    public Tensor mean(long[] dims, bool keepdim = false, torch.ScalarType? type = null) => Aten.mean_dim.Tensor(this, dims, keepdim, type);

    /// <summary>Product of all elements, without dimensions; integers and bool in int64.</summary>
    public Tensor prod() => Aten.prod.Tensor(this);

    /// <summary>Standard deviation of all n elements, without dimensions; divides by n - 1 where <paramref name="unbiased"/>, else by n.</summary>
    public Tensor std(bool unbiased = true) => Aten.std.Tensor(this, unbiased);

    /// <summary>Standard deviation over one dimension of size n, kept with size 1 where <paramref name="keepdim"/>; divides by n - 1 where <paramref name="unbiased"/>, else by n.</summary>
    public Tensor std(long dim, bool unbiased = true, bool keepdim = false) => Aten.std_dim.Tensor(this, new[] { dim }, unbiased, keepdim);

    /// <summary>Variance of all n elements, without dimensions; divides by n - 1 where <paramref name="unbiased"/>, else by n.</summary>
    public Tensor var(bool unbiased = true) => Aten.var.Tensor(this, unbiased);

    /// <summary>Variance over one dimension of size n, kept with size 1 where <paramref name="keepdim"/>; divides by n - 1 where <paramref name="unbiased"/>, else by n.</summary>
    public Tensor var(long dim, bool unbiased = true, bool keepdim = false) => Aten.var_dim.Tensor(this, new[] { dim }, unbiased, keepdim);

    /// <summary>Largest element, without dimensions; equal ones share the gradient evenly. NaN if there is one.</summary>
    public Tensor max() => Aten.max.Tensor(this);

    /// <summary>Smallest element, without dimensions; equal ones share the gradient evenly. NaN if there is one.</summary>
    public Tensor min() => Aten.min.Tensor(this);

    /// <summary>Largest elements over one dimension, kept with size 1 where <paramref name="keepdim"/>, and their places (int64). The gradient flows to those places only.</summary>
    public (Tensor values, Tensor indexes) max(long dim, bool keepdim = false) => Aten.max_dim.Pair(this, dim, keepdim);

    /// <summary>Smallest elements over one dimension, kept with size 1 where <paramref name="keepdim"/>, and their places (int64). The gradient flows to those places only.</summary>
    public (Tensor values, Tensor indexes) min(long dim, bool keepdim = false) => Aten.min_dim.Pair(this, dim, keepdim);

    /// <summary>Largest elements over these dimensions, kept with size 1 where <paramref name="keepdim"/>; equal ones share the gradient evenly.</summary>
    public Tensor amax(long[] dims, bool keepdim = false) => Aten.amax.Tensor(this, dims, keepdim);

    /// <summary>Smallest elements over these dimensions, kept with size 1 where <paramref name="keepdim"/>; equal ones share the gradient evenly.</summary>
    public Tensor amin(long[] dims, bool keepdim = false) => Aten.amin.Tensor(this, dims, keepdim);

    /// <summary>Place of the largest element (int64) over one dimension, kept with size 1 where <paramref name="keepdim"/>; of the flattened tensor where none is given.</summary>
    public Tensor argmax(long? dim = null, bool keepdim = false) => Aten.argmax.Tensor(this, dim, keepdim);

    /// <summary>Place of the smallest element (int64) over one dimension, kept with size 1 where <paramref name="keepdim"/>; of the flattened tensor where none is given.</summary>
    public Tensor argmin(long? dim = null, bool keepdim = false) => Aten.argmin.Tensor(this, dim, keepdim);

    /// <summary>Places (int64) that put a dimension in ascending or descending order; the order of equal elements is not defined.</summary>
    public Tensor argsort(long dim = -1, bool descending = false) => Aten.argsort.Tensor(this, dim, descending);

    /// <summary>The elements of a dimension in ascending or descending order, and their places (int64); equal ones keep their order where <paramref name="stable"/>.</summary>
    public (Tensor Values, Tensor Indices) sort(long dim = -1, bool descending = false, bool stable = false) => Aten.sort.Pair(this, stable, dim, descending);

    /// <summary>The k largest (or smallest) elements of a dimension, whose size becomes k, and their places (int64); in order where <paramref name="sorted"/>.</summary>
    public (Tensor values, Tensor indexes) topk(int k, int dim = -1, bool largest = true, bool sorted = true) => Aten.topk.Pair(this, k, dim, largest, sorted);

    /// <summary>The k-th smallest element (counted from 1) over one dimension, kept with size 1 where <paramref name="keepdim"/>, and its place (int64).</summary>
    public (Tensor values, Tensor indexes) kthvalue(long k, long dim = -1, bool keepdim = false) => Aten.kthvalue.Pair(this, k, dim, keepdim);

    /// <summary>(sum |x|^p)^(1/p) over all elements, without dimensions.</summary>
    public Tensor norm(float p = 2) => Aten.norm.Tensor(this, (double)p);

    /// <summary>(sum |x|^p)^(1/p) over one dimension, kept with size 1 where <paramref name="keepdim"/>.</summary>
    public Tensor norm(int dim, bool keepdim = false, float p = 2) => Aten.norm_dim.Tensor(this, (double)p, new[] { (long)dim }, keepdim);

    /// <summary>log sum e^x over one dimension, kept with size 1 where <paramref name="keepdim"/>, without overflow.</summary>
    public Tensor logsumexp(long dim, bool keepdim = false) => Aten.logsumexp.Tensor(this, new[] { dim }, keepdim);

    /// <summary>e^x / sum e^x along a dimension, without overflow; computed in <paramref name="dtype"/> where given.</summary>
    public Tensor softmax(long dim, torch.ScalarType? dtype = null) => Aten.softmax.Tensor(this, dim, dtype);

    /// <summary>x - log sum e^x along a dimension, without overflow; computed in <paramref name="dtype"/> where given.</summary>
    public Tensor log_softmax(long dim, torch.ScalarType? dtype = null) => Aten.log_softmax.Tensor(this, dim, dtype);

    /// <summary>Whether no element is 0: one bool, without dimensions (uint8 for uint8).</summary>
    public Tensor all() => Aten.all.Tensor(this);

    /// <summary>Whether some element is not 0: one bool, without dimensions (uint8 for uint8).</summary>
    public Tensor any() => Aten.any.Tensor(this);

    /// <summary>Whether no element is 0, over one dimension, kept with size 1 where <paramref name="keepdim"/>: bool (uint8 for uint8).</summary>
    public Tensor all(long dim, bool keepdim = false) => Aten.all_dim.Tensor(this, dim, keepdim);

    /// <summary>Whether some element is not 0, over one dimension, kept with size 1 where <paramref name="keepdim"/>: bool (uint8 for uint8).</summary>
    public Tensor any(long dim, bool keepdim = false) => Aten.any_dim.Tensor(this, dim, keepdim);

    /// <summary>Number of elements that are not 0 (int64), without dimensions.</summary>
    public Tensor count_nonzero() => Aten.count_nonzero.Tensor(this);

    /// <summary>Indices drawn from each row of weights, which need not add up to 1: (num_samples) or (rows, num_samples) int64. No gradients.</summary>
    public Tensor multinomial(long num_samples, bool replacement = false, torch.Generator? generator = null) => Aten.multinomial.Tensor(this, num_samples, replacement, generator);

    /// <summary>1 with each element as its probability, else 0; shape and dtype stay. Without a generator by the device's own.</summary>
    public Tensor bernoulli(torch.Generator? generator = null) => Aten.bernoulli.Tensor(this, generator);
}
