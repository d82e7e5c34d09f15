// Products of bfloat16 factors by the kernels of native/: sums are float32 and are rounded once, beside float32 products too.

using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests;

public sealed class NarrowProductsTests(string instructions) : ProductKernelTests(instructions)
{
    [SetUp]
    public void Kernels()
    {
        if (Products.KernelsOf(torch.bfloat16) == "libtorch") Assert.Ignore("this processor's bfloat16 products are libtorch's: it has AMX, or no AVX2");
    }

    private static Tensor Random(long rows, long columns, string name) => Near.Random([rows, columns], name, torch.float32).to(torch.bfloat16);

    private static Tensor Wide(Tensor t) => t.to(torch.float64);

    // Rounding errors of float32 sums grow with the magnitudes of the terms, not of their sum.
    private static void AssertProduct(Tensor actual, Tensor a, Tensor b)
    {
        Assert.That((actual.dtype, actual.size(0), actual.size(1)), Is.EqualTo((torch.float32, a.size(0), b.size(1))));
        Assert.That(((Wide(actual) - Wide(a).mm(Wide(b))).abs() / Wide(a).abs().mm(Wide(b).abs())).amax([0, 1]).item<double>(), Is.LessThan(5e-7));
    }

    [Test]
    public void Every_order_of_the_factors([Values(1, 7, 97)] long m, [Values(1, 2, 255, 1030)] long k, [Values(1, 17, 300)] long n)
    {
        using var scope = torch.NewDisposeScope();
        var (a, b) = (Random(m, k, "a"), Random(k, n, "b"));
        var sum = Products.Sum([(a, b, 1)], dtype: torch.float32);
        AssertProduct(sum, a, b);
        foreach (var left in (Tensor[])[a, a.t().contiguous().t()])
            foreach (var right in (Tensor[])[b, b.t().contiguous().t()])
            {
                Assert.That(Products.Sum([(left, right, 1)], dtype: torch.float32).equal(sum), Is.True, "the order in memory is no part of a result");
                Assert.That(Products.Of(left, right).equal(sum.to(torch.bfloat16)), Is.True, "rounded once");
            }
    }

    // Rows and columns that begin at odd numbers, and that are odd numbers apart.
    [Test]
    public void Parts_of_wider_matrices()
    {
        using var scope = torch.NewDisposeScope();
        var (a, b) = (Random(40, 101, "a").narrow(1, 7, 50), Random(120, 91, "b").narrow(0, 3, 50).narrow(1, 5, 70));
        AssertProduct(Products.Sum([(a, b, 1)], dtype: torch.float32), a, b);
        var turned = Random(90, 121, "turned").narrow(1, 3, 50).t();
        AssertProduct(Products.Sum([(a, turned, 1)], dtype: torch.float32), a, turned);
        var apart = Random(100, 180, "apart")[TensorIndex.Slice(0, 100, 2), TensorIndex.Slice(0, 140, 2)];
        AssertProduct(Products.Sum([(a, apart, 1)], dtype: torch.float32), a, apart);
    }

    // More rows than are summed up at once; a bias, or a start.
    [TestCase(50)]
    [TestCase(1200)]
    public void A_sum_with_float32_products_beside_is_rounded_once(long rows)
    {
        using var scope = torch.NewDisposeScope();
        var (x, w, bias, start) = (Random(rows, 300, "x"), Random(70, 300, "w"), Near.Random([70], "bias", torch.float32).to(torch.bfloat16), Random(rows, 70, "start"));
        var (z, b) = (Near.Random([rows, 4], "z", torch.float32), Near.Random([70, 4], "b", torch.float32));
        (Tensor, Tensor, double)[] pairs = [(x, w.t(), 1), (z, b.t(), 0.5)];
        var exact = Wide(x).mm(Wide(w).t()) + (Wide(z).mm(Wide(b).t()) * 0.5);
        void AssertRounded(Tensor y, Tensor expected)
        {
            Assert.That(y.dtype, Is.EqualTo(torch.bfloat16));
            // Half a unit of 8 bits, at most 2^-8 of the number, and what float32 adds.
            Assert.That(((Wide(y) - expected).abs() - (expected.abs() * (Math.Pow(2, -8) * 1.01))).amax([0, 1]).item<double>(), Is.LessThan(5e-5));
        }
        AssertRounded(Products.Sum(pairs), exact);
        AssertRounded(Products.Sum([pairs[1], pairs[0]], bias, torch.bfloat16), exact + Wide(bias));
        var wide = torch.cat([start, start], 1);
        Products.Add(wide.narrow(1, 70, 70), pairs);
        Assert.That(wide.narrow(1, 0, 70).equal(start), Is.True, "what lies beside is left alone");
        AssertRounded(wide.narrow(1, 70, 70), exact + Wide(start));
    }

    [Test]
    public void An_element_depends_on_its_row_and_column_alone()
    {
        using var scope = torch.NewDisposeScope();
        var (a, b) = (Random(610, 1300, "a"), Random(1300, 330, "b"));
        var all = Products.Of(a, b);
        foreach (var (row, column) in ((long, long)[])[(0, 0), (5, 63), (6, 64), (200, 329), (609, 256)])
            Assert.That(Products.Of(a.narrow(0, row, 1), b.narrow(1, column, 1)).equal(all.narrow(0, row, 1).narrow(1, column, 1)), Is.True, $"{row}, {column}");
        foreach (var count in (int[])[1, 2, 3])
        {
            using var threads = new Near.Threads(count);
            Assert.That(Products.Of(a, b).equal(all), Is.True, $"{count} threads");
        }
    }

    [Test]
    public void What_is_empty_or_not_finite()
    {
        using var scope = torch.NewDisposeScope();
        static Tensor Ones(params long[] shape) => torch.ones(shape).to(torch.bfloat16);
        Assert.That(Products.Of(Ones(0, 5), Ones(5, 3)).shape, Is.EqualTo((long[])[0, 3]));
        Assert.That(Near.Doubles(Products.Of(Ones(2, 0), Ones(0, 2)).to(torch.float64)), Is.All.Zero);
        var a = Ones(7, 3);
        a[2, 1] = torch.tensor(float.NaN).to(torch.bfloat16);
        a[4, 2] = torch.tensor(float.PositiveInfinity).to(torch.bfloat16);
        var y = Near.Doubles(Products.Of(a, Ones(3, 1)).to(torch.float64));
        Assert.That(y, Is.EqualTo((double[])[3, 3, double.NaN, 3, double.PositiveInfinity, 3, 3]));
    }
}
