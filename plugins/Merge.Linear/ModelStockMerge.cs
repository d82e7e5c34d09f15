// Model Stock (Jang et al. 2024): between the base and the models' mean, by the mean cosine c of their differences from the base:
// t = N c / (1 + (N - 1) c). filter_wise has a t for each row.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

namespace PeftAlign.Merge.Linear;

internal sealed class ModelStockMerge(ModelStockOptions options) : IMergeStrategy
{
    private const double Tiny = 1e-6;

    public Tensor Merge(MergeTensor tensor)
    {
        var inputs = tensor.Inputs.ToArray();
        if (options.FilterWise) return Pieces.MapRows([tensor.Base!, .. inputs], false, tensor.ResultType, ByRow);
        var products = Mixtures.Products(inputs, tensor.Base);
        var (n, sum, pairs) = (inputs.Length, 0.0, 0);
        for (var i = 0; i < n; i++)
            for (var j = i + 1; j < n; j++, pairs++)
                sum += Math.Clamp(products[i, j] / Math.Max(Math.Sqrt(products[i, i] * products[j, j]), Tiny), -1, 1);
        var (cosine, denominator) = (sum / pairs, 1 + (n - 1) * (sum / pairs));
        var t = Math.Abs(denominator) < Tiny ? 0 : n * cosine / denominator;
        return Mixtures.SumOver(tensor.Base!, inputs, [.. inputs.Select(_ => t / n)], tensor.ResultType);
    }

    private static Tensor ByRow(Tensor[] parts)
    {
        var (origin, n) = (parts[0], parts.Length - 1);
        var differences = parts.Skip(1).Select(part => part - origin).ToList();
        var norms = differences.Select(d => (d * d).sum(-1, true).sqrt()).ToList();
        var (cosine, mean) = (torch.zeros_like(norms[0]), torch.zeros_like(origin));
        for (var i = 0; i < n; i++)
        {
            mean.add_(differences[i]);
            for (var j = i + 1; j < n; j++)
                cosine.add_(((differences[i] * differences[j]).sum(-1, true) / (norms[i] * norms[j]).clamp(Tiny)).clamp(-1, 1));
        }
        cosine /= n * (n - 1) / 2;
        var denominator = cosine * (n - 1) + 1;
        var singular = denominator.abs().lt(Tiny);
        var t = torch.where(singular, torch.zeros_like(cosine), cosine * n / torch.where(singular, torch.ones_like(denominator), denominator));
        return origin + t * (mean / n);
    }
}
