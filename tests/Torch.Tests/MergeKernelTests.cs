// The kernels of merges against their definitions, with each instruction set: sizes around a line of 16, a word of 64, a block of 2048 and
// a task of 65,536 entries. tests/Merging.Tests compares whole merges with mergekit, with the processor's best set.

using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests;

public sealed class MergeKernelTests(string instructions) : KernelTests(instructions)
{
    private static readonly long[] Sizes = [1, 15, 17, 31, 33, 64, 127, 2047, 2050, 65_536 + 2048 + 77];
    private static readonly torch.ScalarType[] Types = [torch.float32, torch.bfloat16, torch.float16, torch.float64];

    private static Tensor Call(string name, params object?[] arguments) => (Tensor)new TensorOperator($"peftalign::{name}").Call(arguments)[0]!;

    private static (Tensor Bits, double All, double Kept) Marked(string name, params object?[] arguments)
    {
        var results = new TensorOperator($"peftalign::{name}").Call(arguments);
        var sums = Near.Doubles((Tensor)results[1]!);
        return ((Tensor)results[0]!, sums[0], sums[1]);
    }

    // Steps of 1/8 in a type of 8 bits: magnitudes are exact in all types, and many are equal.
    private static Tensor Steps(string name, long n, torch.ScalarType type) => (Near.Random([n], name) * 8).round().clamp(-24, 24).div(8).to(type);

    private static Tensor Wide(Tensor x) => x.to(torch.float32).to(torch.float64);

    private static bool[] Flags(Tensor bits, long n) => Call("merge_unpack", bits, 0L, n).data<bool>().ToArray();

    [Test]
    public void Inner_products_of_models_and_of_their_differences([ValueSource(nameof(Sizes))] long n, [ValueSource(nameof(Types))] torch.ScalarType type)
    {
        using var scope = torch.NewDisposeScope();
        Tensor[] models = [Near.Random([n], "a").to(type), Near.Random([n], "b").to(type), Near.Random([n], "c").to(type)];
        var origin = Near.Random([n], "origin").to(type);
        foreach (var from in (Tensor[][])[[], [origin]])
        {
            var rows = torch.stack([.. models.Select(x => from.Length == 0 ? Wide(x) : (x.to(torch.float32) - from[0].to(torch.float32)).to(torch.float64))]);
            var (expected, magnitude) = (rows.mm(rows.t()), rows.abs().mm(rows.abs().t()));
            var error = (Call("merge_gram", models, from) - expected).abs() / magnitude;
            Assert.That(error.amax([0, 1]).item<double>(), Is.LessThan(2e-6)); // lanes of at most 128 float32 products
        }
    }

    [Test]
    public void A_weighted_sum_is_rounded_once([ValueSource(nameof(Sizes))] long n, [ValueSource(nameof(Types))] torch.ScalarType type)
    {
        using var scope = torch.NewDisposeScope();
        var (a, b) = (Near.Random([n], "a").to(type), Near.Random([n], "b").to(type));
        var sum = Call("merge_combine", (Tensor[])[a, b], (double[])[0.75, -1.5], torch.float32);
        var (expected, magnitude) = ((Wide(a) * 0.75) - (Wide(b) * 1.5), (Wide(a).abs() * 0.75) + (Wide(b).abs() * 1.5));
        Assert.That(((sum.to(torch.float64) - expected).abs() / magnitude).amax([0]).item<double>(), Is.LessThan(2e-7));
        foreach (var to in Types) Assert.That(Call("merge_combine", (Tensor[])[a, b], (double[])[0.75, -1.5], to).equal(sum.to(to)), Is.True, $"{to}");
    }

    // Equal magnitudes rank by their places, or against them; whether a zero is kept changes nothing.
    [Test]
    public void A_window_of_ranks_and_its_sums([ValueSource(nameof(Sizes))] long n, [ValueSource(nameof(Types))] torch.ScalarType type, [Values] bool firstIsLargest)
    {
        using var scope = torch.NewDisposeScope();
        var (x, origin) = (Steps("x", n, type), Steps("origin", n, type));
        var magnitudes = Near.Doubles((x.to(torch.float32) - origin.to(torch.float32)).abs());
        int[] ranked = [.. Enumerable.Range(0, (int)n).OrderBy(k => magnitudes[k]).ThenBy(k => firstIsLargest ? -k : k)];
        foreach (var (first, count) in ((long, long)[])[(0, n), (0, n / 3), (n / 4, n / 2), (n - n / 5, n / 5), (n / 2, 1), (n / 2, 0)])
        {
            var kept = new bool[n];
            foreach (var k in ranked.Skip((int)first).Take((int)count)) kept[k] = true;
            var (bits, all, sum) = Marked("merge_window", x, origin, first, count, firstIsLargest);
            var flags = Flags(bits, n);
            Assert.That(Enumerable.Range(0, (int)n).FirstOrDefault(k => magnitudes[k] > 0 && flags[k] != kept[k], -1), Is.EqualTo(-1), $"ranks {first} to {first + count}");
            AssertSums(all, sum, magnitudes, kept);
        }
    }

    [Test]
    public void A_mask_that_is_given_and_its_sums([ValueSource(nameof(Sizes))] long n, [ValueSource(nameof(Types))] torch.ScalarType type)
    {
        using var scope = torch.NewDisposeScope();
        var (x, none, mask) = (Near.Random([n], "x").to(type), torch.empty([0]), new CounterStream(3, "mask").Bernoulli([n], 0.4, torch.@bool));
        var (bits, all, sum) = Marked("merge_pack", mask, x, none);
        var kept = mask.data<bool>().ToArray();
        Assert.That(Flags(bits, n), Is.EqualTo(kept));
        AssertSums(all, sum, Near.Doubles(x.abs()), kept);
        if (n > 64) Assert.That(Call("merge_unpack", bits, 64L, n - 64).data<bool>().ToArray(), Is.EqualTo(kept[64..]));
    }

    [Test]
    public void Draws_are_the_streams([ValueSource(nameof(Sizes))] long n, [Values(0.0, 0.3, 1.0)] double p)
    {
        using var scope = torch.NewDisposeScope();
        var (key, stream) = new CounterStream(9, "merge 1", "weight").Address;
        var (bits, all, sum) = Marked("merge_bernoulli", torch.ones([n]), torch.empty([0]), p, (long)key, (long)stream);
        var kept = new bool[n];
        for (var k = 0; k < n; k++)
        {
            var block = Philox.Counter((ulong)k / 4, stream).Encrypt(key);
            kept[k] = ((uint[])[block.A, block.B, block.C, block.D])[k % 4] < Math.Round(p * 4294967296.0);
        }
        Assert.That(Flags(bits, n), Is.EqualTo(kept));
        Assert.That((all, sum), Is.EqualTo(((double)n, (double)kept.Count(k => k))));
    }

    // TIES: entries that have not the sign of the sum are left out, of the mean too; plus is elected where the sum is 0.
    [Test]
    public void Sums_of_task_vectors([ValueSource(nameof(Sizes))] long n, [ValueSource(nameof(Types))] torch.ScalarType type, [Values] bool elect, [Values] bool normalize)
    {
        using var scope = torch.NewDisposeScope();
        var origin = Steps("origin", n, type);
        Tensor[] models = [Steps("a", n, type), Steps("b", n, type), Steps("c", n, type)];
        var masks = models.Select((_, k) => new CounterStream(4, "mask", $"{k}").Bernoulli([n], 0.5, torch.@bool)).ToArray();
        double[] weights = [0.5, 1, -0.25], scales = [2, 1, 4];
        Tensor[] bits = [Marked("merge_pack", masks[0], models[0], origin).Bits, torch.empty([0], torch.int64), Marked("merge_pack", masks[2], models[2], origin).Bits];
        var zero = torch.zeros([n], torch.float64);
        Tensor[] own = [.. models.Select((x, k) => ((Wide(x) - Wide(origin)) * (weights[k] * scales[k])).mul(k == 1 ? torch.ones([n], torch.float64) : masks[k].to(torch.float64)))];
        var sum = own.Aggregate(zero, (total, one) => total + one);
        var divisor = torch.full([n], weights.Sum(), torch.float64);
        if (elect)
        {
            var sign = torch.where(sum.ge(0), torch.ones_like(sum), -torch.ones_like(sum));
            Tensor[] agrees = [.. own.Select(one => one.sign().eq(sign).to(torch.float64))];
            sum = own.Zip(agrees, (one, kept) => one * kept).Aggregate((a, b) => a + b);
            divisor = agrees.Select((kept, k) => kept * weights[k]).Aggregate((a, b) => a + b);
            divisor = torch.where(divisor.eq(0), torch.ones_like(divisor), divisor);
        }
        var expected = Wide(origin) + ((normalize ? sum / divisor : sum) * 0.75);
        var merged = Call("merge_task_vectors", origin, models, bits, weights, scales, elect, normalize, 0.75, torch.float32);
        Near.AssertNear(merged, expected, 1e-6);
        foreach (var to in Types) Assert.That(Call("merge_task_vectors", origin, models, bits, weights, scales, elect, normalize, 0.75, to).equal(merged.to(to)), Is.True, $"{to}");
    }

    private static void AssertSums(double all, double sum, double[] magnitudes, bool[] kept)
    {
        var total = magnitudes.Sum();
        Assert.That(all, Is.EqualTo(total).Within(2e-6 * total));
        Assert.That(sum, Is.EqualTo(magnitudes.Where((_, k) => kept[k]).Sum()).Within(2e-6 * total));
    }
}
