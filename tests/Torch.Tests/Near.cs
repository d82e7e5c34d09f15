// Comparing tensors in tests.

namespace PeftAlign.Torch.Tests;

internal static class Near
{
    internal static double[] Doubles(Tensor tensor)
    {
        using var scope = torch.NewDisposeScope();
        return tensor.detach().to(torch.float64).contiguous().data<double>().ToArray();
    }

    /// <summary>Same shape, and each element within an absolute tolerance that grows with its magnitude above 1.</summary>
    internal static void AssertNear(Tensor actual, Tensor expected, double tolerance)
    {
        Assert.That(actual.shape, Is.EqualTo(expected.shape));
        var (x, y) = (Doubles(actual), Doubles(expected));
        for (var k = 0; k < x.Length; k++) Assert.That(x[k], Is.EqualTo(y[k]).Within(tolerance * Math.Max(1, Math.Abs(y[k]))), $"element {k}");
    }

    /// <summary>Central differences of a scalar function of float64 tensors against its gradients, to 1e-6 relative.</summary>
    internal static void AssertGradients(Func<Tensor[], Tensor> function, params Tensor[] inputs)
    {
        const double step = 1e-6;
        using var threads = new Threads(1); // on a busy machine a barrier of many tiny operators takes seconds
        using var scope = torch.NewDisposeScope();
        var leaves = inputs.Select(t => t.detach().clone().requires_grad_()).ToArray();
        var gradients = torch.autograd.grad([function(leaves).sum()], leaves);
        foreach (var (leaf, gradient) in leaves.Zip(gradients))
        {
            using var off = torch.no_grad();
            var (flat, analytic) = (leaf.detach().view(-1), Doubles(gradient.reshape(-1)));
            for (var k = 0L; k < flat.numel(); k++)
            {
                using var inner = torch.NewDisposeScope();
                var element = flat.narrow(0, k, 1);
                var value = element.item<double>();
                element.fill_(value + step);
                var above = function(leaves).sum().item<double>();
                element.fill_(value - step);
                var below = function(leaves).sum().item<double>();
                element.fill_(value);
                Assert.That(analytic[k], Is.EqualTo((above - below) / (2 * step)).Within(1e-6 * Math.Max(1, Math.Abs(analytic[k]))), $"element {k}");
            }
        }
    }

    internal static Tensor Random(long[] shape, string name = "", torch.ScalarType dtype = torch.ScalarType.Float64) =>
        new Extras.CounterStream(11, "tests", name).Normal(shape, dtype: dtype);

    /// <summary>A number of threads until the end of a block.</summary>
    internal sealed class Threads : IDisposable
    {
        private readonly int before = torch.get_num_threads();

        internal Threads(int number) => torch.set_num_threads(number);

        public void Dispose() => torch.set_num_threads(before);
    }
}
