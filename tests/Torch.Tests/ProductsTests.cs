// Sums of products by the kernels of native/ against the same in float64, and what they promise beside: an element does not depend on
// its neighbours, on threads, or on the width of the processor's vectors.

using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests;

public sealed class ProductsTests(string instructions) : ProductKernelTests(instructions)
{
    private static readonly (long M, long K, long N)[] Sizes =
        [(1, 1, 1), (5, 3, 15), (6, 8, 16), (7, 255, 17), (97, 256, 64), (13, 257, 65), (300, 520, 31), (96, 600, 260), (2, 1000, 513)];

    private static Tensor Random(long rows, long columns, string name) => Near.Random([rows, columns], name, torch.float32);

    private static void AssertProduct(Tensor actual, Tensor expected) => Near.AssertNear(actual, expected, 2e-5);

    // Rounding errors grow with the magnitudes of the terms, not of their sum.
    private static void AssertProduct(Tensor actual, Tensor a, Tensor b)
    {
        var (wideA, wideB) = (a.to(torch.float64), b.to(torch.float64));
        Assert.That(actual.shape, Is.EqualTo((long[])[a.size(0), b.size(1)]));
        Assert.That(((actual.to(torch.float64) - wideA.mm(wideB)).abs() / wideA.abs().mm(wideB.abs())).amax([0, 1]).item<double>(), Is.LessThan(5e-7));
    }

    [TestCaseSource(nameof(Sizes))]
    public void Every_order_of_the_factors((long M, long K, long N) size)
    {
        using var scope = torch.NewDisposeScope();
        var (a, b) = (Random(size.M, size.K, "a"), Random(size.K, size.N, "b"));
        var (turnedA, turnedB) = (a.t().contiguous().t(), b.t().contiguous().t());
        foreach (var left in (Tensor[])[a, turnedA])
            foreach (var right in (Tensor[])[b, turnedB]) AssertProduct(Products.Of(left, right), a, b);
        Assert.That(Products.Of(turnedA, turnedB).equal(Products.Of(a, b)), Is.True, "the order in memory is no part of a result");
    }

    [Test]
    public void Parts_of_wider_matrices()
    {
        using var scope = torch.NewDisposeScope();
        var (a, b) = (Random(40, 100, "a").narrow(1, 7, 50), Random(120, 90, "b").narrow(0, 3, 50).narrow(1, 5, 70));
        AssertProduct(Products.Of(a, b), a, b);
        var apart = Random(100, 180, "apart")[TensorIndex.Slice(0, 100, 2), TensorIndex.Slice(0, 140, 2)]; // no neighbours at all
        AssertProduct(Products.Of(a, apart), a, apart);
    }

    [Test]
    public void A_sum_of_products_a_start_and_a_bias()
    {
        using var scope = torch.NewDisposeScope();
        var (x, w, z, b) = (Random(50, 300, "x"), Random(70, 300, "w"), Random(50, 4, "z"), Random(70, 4, "b"));
        var (start, bias) = (Random(50, 70, "start"), Near.Random([70], "bias", torch.float32));
        static Tensor Wide(Tensor t) => t.to(torch.float64);
        var products = Wide(x).mm(Wide(w).t()) + (Wide(z).mm(Wide(b).t()) * 0.5);
        (Tensor, Tensor, double)[] pairs = [(x, w.t(), 1), (z, b.t(), 0.5)];
        AssertProduct(Products.Sum(pairs), products);
        AssertProduct(Products.Sum(pairs, bias: bias), products + Wide(bias));
        var y = start.clone();
        Assert.That(Products.Add(y, pairs), Is.SameAs(y));
        AssertProduct(y, products + Wide(start));
        var column = torch.cat([start, start], 1);
        Products.Add(column.narrow(1, 70, 70), pairs);
        Assert.That(column.narrow(1, 0, 70).equal(start), Is.True, "what lies beside is left alone");
        AssertProduct(column.narrow(1, 70, 70), products + Wide(start));
    }

    [Test]
    public void An_element_depends_on_its_row_and_column_alone()
    {
        using var scope = torch.NewDisposeScope();
        var (a, b) = (Random(310, 700, "a"), Random(700, 330, "b"));
        var all = Products.Of(a, b);
        foreach (var (row, column) in ((long, long)[])[(0, 0), (5, 63), (6, 64), (200, 329), (309, 256)])
            Assert.That(Products.Of(a.narrow(0, row, 1), b.narrow(1, column, 1)).item<float>(), Is.EqualTo(all[row, column].item<float>()), $"{row}, {column}");
        foreach (var count in (int[])[1, 2, 3])
        {
            using var threads = new Near.Threads(count);
            Assert.That(Products.Of(a, b).equal(all), Is.True, $"{count} threads");
        }
    }

    // Factors that round, sums over several chunks and a start: in every place of a tile, whole or cut off, alike.
    [TestCase(61)]
    [TestCase(64)]
    [TestCase(70)]
    [TestCase(130)]
    public void Equal_rows_stay_equal(long columns)
    {
        using var scope = torch.NewDisposeScope();
        static Tensor Same(Tensor row) => row.expand(13, row.size(1)).contiguous();
        var (x, z, start) = (Same(Random(1, 600, "x")), Same(Random(1, 8, "z")), Same(Random(1, 130, "start")));
        var (w, b) = (Random(130, 600, "w"), Random(130, 8, "b"));
        Tensor Sum(long n) => Products.Add(start.narrow(1, 0, n).clone(), (x, w.narrow(0, 0, n).t(), 0.7), (z, b.narrow(0, 0, n).t(), 1.0 / 3));
        var y = Sum(columns);
        Assert.That(y.equal(y.narrow(0, 0, 1).expand(13, columns)), Is.True, "rows");
        Assert.That(y.equal(Sum(130).narrow(1, 0, columns)), Is.True, "columns");
    }

    [Test]
    public void What_is_empty_or_not_finite()
    {
        using var scope = torch.NewDisposeScope();
        Assert.That(Products.Of(torch.zeros([0, 5]), torch.zeros([5, 3])).shape, Is.EqualTo((long[])[0, 3]));
        Assert.That(Near.Doubles(Products.Of(torch.zeros([2, 0]), torch.zeros([0, 2]))), Is.All.Zero);
        Assert.That(Near.Doubles(Products.Sum([(torch.zeros([1, 0]), torch.zeros([0, 2]), 1)], bias: torch.tensor([1f, 2]))), Is.EqualTo((double[])[1, 2]));
        var a = torch.ones([7, 3]);
        a[2, 1] = torch.tensor(float.NaN);
        a[4, 1] = torch.tensor(float.PositiveInfinity);
        var y = Near.Doubles(Products.Of(a, torch.ones([3, 1])));
        Assert.That(y, Is.EqualTo((double[])[3, 3, double.NaN, 3, double.PositiveInfinity, 3, 3]));
    }

    [Test]
    public void Shapes_that_do_not_fit_are_refused()
    {
        using var scope = torch.NewDisposeScope();
        Assert.That(() => Products.Of(torch.ones([2, 3]), torch.ones([4, 2])), Throws.InstanceOf<TorchException>().With.Message.Contains("[2, 3] times [4, 2]"));
        Assert.That(() => Products.Sum([(torch.ones([2, 3]), torch.ones([3, 2]), 1)], torch.ones([3])), Throws.InstanceOf<TorchException>().With.Message.Contains("bias is (2)"));
        Assert.That(() => Products.Linear(torch.ones([2, 3]), torch.ones([3, 2])), Throws.InstanceOf<TorchException>().With.Message.Contains("(out, in)"));
    }

    [TestCase(true, true, true)]
    [TestCase(true, false, false)]
    [TestCase(false, true, false)]
    [TestCase(false, false, true)]
    public void Gradients_of_a_linear_layer(bool byInput, bool byWeight, bool byBias)
    {
        using var scope = torch.NewDisposeScope();
        var (x, w, b) = (Random(20, 30, "x").requires_grad_(byInput), Random(40, 30, "w").requires_grad_(byWeight), Near.Random([40], "b", torch.float32).requires_grad_(byBias));
        var grad = Random(20, 40, "grad");
        Products.Linear(x, w, b).backward(grad);
        var wide = new[] { x, w, b }.Select(t => t.detach().to(torch.float64).requires_grad_()).ToArray();
        torch.nn.functional.linear(wide[0], wide[1], wide[2]).backward(grad.to(torch.float64));
        foreach (var (own, reference) in new[] { x, w, b }.Zip(wide))
        {
            if (own.requires_grad) AssertProduct(own.grad!, reference.grad!);
            else Assert.That(own.grad, Is.Null);
        }
    }

    [Test]
    public void Other_dtypes_and_second_derivatives_are_composed()
    {
        using var scope = torch.NewDisposeScope();
        var (x, w) = (Near.Random([4, 5], "x"), Near.Random([3, 5], "w"));
        Near.AssertNear(Products.Linear(x, w), x.mm(w.t()), 1e-15);
        Near.AssertGradients(t =>
        {
            using var on = torch.enable_grad();
            return torch.autograd.grad([Products.Linear(t[0], t[1]).square().sum()], [t[0]], create_graph: true)[0];
        }, x, w);
        Near.AssertNear(Products.Of(x.to(torch.bfloat16), w.t().to(torch.bfloat16)).to(torch.float64), x.mm(w.t()), 0.05);
    }
}
