// Reductions, order statistics and sampling.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public partial class Tensor
{
    public Tensor sum(torch.ScalarType? type = null) => Aten.sum.Tensor(this, type);
    // A literal 0 converts to an enumeration too, and sum(0) would be sum(ScalarType): an int binds here.
    public Tensor sum(int dim, bool keepdim = false, torch.ScalarType? type = null) => sum((long)dim, keepdim, type);
    public Tensor sum(long dim, bool keepdim = false, torch.ScalarType? type = null) => Aten.sum_dim.Tensor(this, new[] { dim }, keepdim, type);
    public Tensor sum(long[] dims, bool keepdim = false, torch.ScalarType? type = null) => Aten.sum_dim.Tensor(this, dims, keepdim, type);
    public Tensor mean() => Aten.mean.Tensor(this);
    public Tensor mean(long[] dims, bool keepdim = false, torch.ScalarType? type = null) => Aten.mean_dim.Tensor(this, dims, keepdim, type);
    public Tensor prod() => Aten.prod.Tensor(this);
    public Tensor std(bool unbiased = true) => Aten.std.Tensor(this, unbiased);
    public Tensor std(long dim, bool unbiased = true, bool keepdim = false) => Aten.std_dim.Tensor(this, new[] { dim }, unbiased, keepdim);
    public Tensor var(bool unbiased = true) => Aten.var.Tensor(this, unbiased);
    public Tensor var(long dim, bool unbiased = true, bool keepdim = false) => Aten.var_dim.Tensor(this, new[] { dim }, unbiased, keepdim);
    public Tensor max() => Aten.max.Tensor(this);
    public Tensor min() => Aten.min.Tensor(this);
    public (Tensor values, Tensor indexes) max(long dim, bool keepdim = false) => Aten.max_dim.Pair(this, dim, keepdim);
    public (Tensor values, Tensor indexes) min(long dim, bool keepdim = false) => Aten.min_dim.Pair(this, dim, keepdim);
    public Tensor amax(long[] dims, bool keepdim = false) => Aten.amax.Tensor(this, dims, keepdim);
    public Tensor amin(long[] dims, bool keepdim = false) => Aten.amin.Tensor(this, dims, keepdim);
    public Tensor argmax(long? dim = null, bool keepdim = false) => Aten.argmax.Tensor(this, dim, keepdim);
    public Tensor argmin(long? dim = null, bool keepdim = false) => Aten.argmin.Tensor(this, dim, keepdim);
    public Tensor argsort(long dim = -1, bool descending = false) => Aten.argsort.Tensor(this, dim, descending);
    public (Tensor Values, Tensor Indices) sort(long dim = -1, bool descending = false, bool stable = false) => Aten.sort.Pair(this, stable, dim, descending);
    public (Tensor values, Tensor indexes) topk(int k, int dim = -1, bool largest = true, bool sorted = true) => Aten.topk.Pair(this, k, dim, largest, sorted);
    public (Tensor values, Tensor indexes) kthvalue(long k, long dim = -1, bool keepdim = false) => Aten.kthvalue.Pair(this, k, dim, keepdim);
    public Tensor norm(float p = 2) => Aten.norm.Tensor(this, (double)p);
    public Tensor norm(int dim, bool keepdim = false, float p = 2) => Aten.norm_dim.Tensor(this, (double)p, new[] { (long)dim }, keepdim);
    public Tensor logsumexp(long dim, bool keepdim = false) => Aten.logsumexp.Tensor(this, new[] { dim }, keepdim);
    public Tensor softmax(long dim, torch.ScalarType? dtype = null) => Aten.softmax.Tensor(this, dim, dtype);
    public Tensor log_softmax(long dim, torch.ScalarType? dtype = null) => Aten.log_softmax.Tensor(this, dim, dtype);
    public Tensor all() => Aten.all.Tensor(this);
    public Tensor any() => Aten.any.Tensor(this);
    public Tensor all(long dim, bool keepdim = false) => Aten.all_dim.Tensor(this, dim, keepdim);
    public Tensor any(long dim, bool keepdim = false) => Aten.any_dim.Tensor(this, dim, keepdim);
    public Tensor count_nonzero() => Aten.count_nonzero.Tensor(this);
    public Tensor multinomial(long num_samples, bool replacement = false, torch.Generator? generator = null) => Aten.multinomial.Tensor(this, num_samples, replacement, generator);
    public Tensor bernoulli(torch.Generator? generator = null) => Aten.bernoulli.Tensor(this, generator);
}
