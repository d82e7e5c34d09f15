// multislerp and the Karcher mean. Every intermediate vector is a linear mixture of the inputs, so all lengths and angles follow
// from the inputs' inner products, and the tensors are read twice however many steps there are.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

namespace PeftAlign.Merge.Slerp;

/// <summary>Mixtures of n directions, as vectors of their n coefficients.</summary>
/// <param name="cosines">Inner products of the directions.</param>
internal sealed class Directions(double[,] cosines)
{
    public double Dot(double[] a, double[] b)
    {
        var sum = 0.0;
        for (var i = 0; i < a.Length; i++)
            for (var j = 0; j < b.Length; j++) sum += a[i] * b[j] * cosines[i, j];
        return sum;
    }

    public double Length(double[] a) => Math.Sqrt(Math.Max(0, Dot(a, a)));

    public static double[] Unit(int n, int at) => [.. Enumerable.Range(0, n).Select(k => k == at ? 1.0 : 0.0)];

    public static double[] Sum(double x, double[] a, double y, double[] b) => [.. a.Zip(b, (p, q) => x * p + y * q)];

    public static double[] Scaled(double x, double[] a) => [.. a.Select(p => x * p)];
}

internal sealed class MultiSlerpMerge(MultiSlerpOptions options) : IMergeStrategy
{
    public Tensor Merge(MergeTensor tensor)
    {
        var inputs = tensor.Inputs.ToArray();
        if (inputs.Length == 1) return inputs[0].alias();
        var mixture = Mixture(Mixtures.Products(inputs, tensor.Base), tensor.Name);
        return tensor.Base is null ? Mixtures.Sum(inputs, mixture, tensor.ResultType) : Mixtures.SumOver(tensor.Base, inputs, mixture, tensor.ResultType);
    }

    private double[] Mixture(double[,] products, string name)
    {
        var n = products.GetLength(0);
        var total = options.Weight.Sum();
        var weights = options.NormalizeWeights ? Directions.Scaled(1 / total, [.. options.Weight]) : [.. options.Weight];
        double[] lengths = [.. Enumerable.Range(0, n).Select(i => Math.Sqrt(products[i, i]))];
        var cosines = new double[n, n];
        for (var i = 0; i < n; i++)
            for (var j = 0; j < n; j++) cosines[i, j] = products[i, j] / (lengths[i] + options.Eps) / (lengths[j] + options.Eps);
        var directions = new Directions(cosines);
        var length = directions.Length(weights);
        // Below a few float32 roundings a mean direction is no direction.
        if (length < Math.Max(options.Eps, 1e-7))
        {
            if (n == 2) return weights;
            throw new UserErrorException($"{name}: the weighted directions of the models cancel, so they have no mean; use other weights.");
        }
        var mean = Directions.Scaled(1 / length, weights);
        var tangent = weights;
        var along = Enumerable.Range(0, n).Sum(i => weights[i] * directions.Dot(Directions.Unit(n, i), mean));
        tangent = Directions.Sum(1, tangent, -along, mean);
        var angle = directions.Length(tangent) + options.Eps;
        var result = Directions.Sum(Math.Cos(angle), mean, Math.Sin(angle) / angle, tangent);
        var scale = lengths.Zip(weights, (l, w) => l * w).Sum();
        return [.. result.Select((r, i) => scale * r / (lengths[i] + options.Eps))];
    }
}

internal sealed class KarcherMerge(KarcherOptions options) : IMergeStrategy
{
    public Tensor Merge(MergeTensor tensor)
    {
        var inputs = tensor.Inputs.ToArray();
        return inputs.Length == 1 ? inputs[0].alias() : Mixtures.Sum(inputs, Mixture(Mixtures.Products(inputs, null)), tensor.ResultType);
    }

    private double[] Mixture(double[,] products)
    {
        var n = products.GetLength(0);
        double[] lengths = [.. Enumerable.Range(0, n).Select(i => Math.Sqrt(products[i, i]))];
        var used = Enumerable.Range(0, n).Where(i => lengths[i] > options.Tol).ToArray();
        if (used.Length == 0) return new double[n];
        var cosines = new double[used.Length, used.Length];
        for (var i = 0; i < used.Length; i++)
            for (var j = 0; j < used.Length; j++) cosines[i, j] = i == j ? 1 : products[used[i], used[j]] / lengths[used[i]] / lengths[used[j]];
        var mean = Mean(new Directions(cosines), used.Length);
        var scale = lengths.Sum() / n;
        var mixture = new double[n];
        for (var k = 0; k < used.Length; k++) mixture[used[k]] = scale * mean[k] / lengths[used[k]];
        return mixture;
    }

    private double[] Mean(Directions directions, int n)
    {
        double[] even = [.. Enumerable.Repeat(1.0 / n, n)];
        var length = directions.Length(even);
        var mean = length < options.Tol ? Directions.Unit(n, 0) : Directions.Scaled(1 / length, even);
        for (var iteration = 0; iteration < options.MaxIter; iteration++)
        {
            var tangent = new double[n];
            for (var i = 0; i < n; i++)
            {
                var unit = Directions.Unit(n, i);
                // In float32, where mergekit works: an exact opposite has a sine that is not 0.
                var cosine = Math.Clamp(directions.Dot(mean, unit), -1, 1);
                var angle = Math.Acos(cosine);
                if (angle < options.Tol) continue;
                tangent = Directions.Sum(1, tangent, angle / Math.Sin(angle) / n, Directions.Sum(1, unit, -cosine, mean));
            }
            var step = directions.Length(tangent);
            if (step < options.Tol) break;
            mean = Directions.Sum(Math.Cos(step), mean, Math.Sin(step) / step, tangent);
            if (directions.Length(mean) is var now && now > options.Tol) mean = Directions.Scaled(1 / now, mean);
        }
        return mean;
    }
}
