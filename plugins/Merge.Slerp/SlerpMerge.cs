// slerp and nuslerp: two weights from the angle between two tensors.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

namespace PeftAlign.Merge.Slerp;

internal static class Arc
{
    /// <summary>sin((1 - t) angle) / sin(angle) and sin(t angle) / sin(angle).</summary>
    public static (double First, double Second) Weights(double cosine, double t)
    {
        var angle = Math.Acos(cosine);
        return (Math.Sin((1 - t) * angle) / Math.Sin(angle), Math.Sin(t * angle) / Math.Sin(angle));
    }
}

internal sealed class SlerpMerge(SlerpOptions options) : IMergeStrategy
{
    private const double Shortest = 1e-8;
    private const double Colinear = 0.9995;

    public Tensor Merge(MergeTensor tensor)
    {
        var inputs = tensor.Inputs.ToArray();
        var products = Mixtures.Products(inputs, null);
        static double Length(double square) => Math.Sqrt(square) is > Shortest and var length ? length : 1;
        var cosine = Math.Clamp(products[0, 1] / Length(products[0, 0]) / Length(products[1, 1]), -1, 1);
        var (first, second) = Math.Abs(cosine) > Colinear ? (1 - options.T, options.T) : Arc.Weights(cosine, options.T);
        return Mixtures.Sum(inputs, [first, second], tensor.ResultType);
    }
}

internal sealed class NuSlerpMerge(NuSlerpOptions options) : IMergeStrategy
{
    private const double Tiny = 1e-7;

    private double T => options.Weight.Sum() is var sum && Math.Abs(sum) < 1e-6 ? 0.5 : options.Weight[1] / sum;

    public Tensor Merge(MergeTensor tensor)
    {
        var inputs = tensor.Inputs.ToArray();
        if (!options.NuslerpFlatten) return Sliced(tensor, inputs);
        var products = Mixtures.Products(inputs, tensor.Base);
        static double Length(double square) => Math.Max(Math.Sqrt(square), Tiny);
        var cosine = Math.Clamp(products[0, 1] / Length(products[0, 0]) / Length(products[1, 1]), -1, 1);
        // mergekit compares in float32, where a cosine this close to 1 is 1.
        var (first, second) = Math.Abs((float)cosine) >= 1 ? (1 - T, T) : Arc.Weights(cosine, T);
        return tensor.Base is null ? Mixtures.Sum(inputs, [first, second], tensor.ResultType) : Mixtures.SumOver(tensor.Base, inputs, [first, second], tensor.ResultType);
    }

    // Each row, or each column, is a vector of its own.
    private Tensor Sliced(MergeTensor tensor, Tensor[] inputs)
    {
        var byColumns = options.NuslerpRowWise && inputs[0].dim() > 1;
        Tensor[] all = tensor.Base is null ? inputs : [.. inputs, tensor.Base];
        return Pieces.MapRows(all, byColumns, tensor.ResultType, parts =>
        {
            if (parts.Length == 2) return Between(parts[0], parts[1], byColumns ? 0 : 1);
            return parts[2] + Between(parts[0] - parts[2], parts[1] - parts[2], byColumns ? 0 : 1);
        });
    }

    private Tensor Between(Tensor first, Tensor second, long dim)
    {
        Tensor Length(Tensor x) => (x * x).sum(dim, true).sqrt().clamp(Tiny);
        var cosine = (first / Length(first) * (second / Length(second))).sum(dim, true).clamp(-1, 1);
        var colinear = (1 - cosine * cosine).le(1e-16);
        var angle = torch.where(colinear, torch.zeros_like(cosine), cosine).acos();
        var arc = ((angle * (1 - T)).sin() * first + (angle * T).sin() * second) / angle.sin();
        return torch.where(colinear, first * (1 - T) + second * T, arc);
    }
}
