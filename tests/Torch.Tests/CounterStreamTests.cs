// Counter-based streams: the published vectors, numbers that depend on the stream's name alone, and distributions.

using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests;

public sealed class CounterStreamTests
{
    // Known answers of the Random123 distribution (philox4x32, 10 rounds).
    [TestCase(new uint[] { 0, 0, 0, 0 }, new uint[] { 0, 0 }, new uint[] { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 })]
    [TestCase(new uint[] { ~0u, ~0u, ~0u, ~0u }, new uint[] { ~0u, ~0u }, new uint[] { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd })]
    [TestCase(new uint[] { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 }, new uint[] { 0xa4093822, 0x299f31d0 }, new uint[] { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 })]
    public void Philox_gives_the_published_answers(uint[] counter, uint[] key, uint[] expected)
    {
        var bits = new Philox(counter[0], counter[1], counter[2], counter[3]).Encrypt(key[0] | ((ulong)key[1] << 32));
        Assert.That(new[] { bits.A, bits.B, bits.C, bits.D }, Is.EqualTo(expected));
    }

    [TestCase(torch.ScalarType.Float64)]
    [TestCase(torch.ScalarType.Float32)]
    [TestCase(torch.ScalarType.Float16)]
    [TestCase(torch.ScalarType.BFloat16)]
    public void Numbers_do_not_depend_on_threads_or_on_how_many_follow(torch.ScalarType dtype)
    {
        using var scope = torch.NewDisposeScope();
        var before = torch.get_num_threads();
        var many = new CounterStream(7, "test", "w", 3).Normal([100_003], dtype: dtype);
        torch.set_num_threads(1);
        var one = new CounterStream(7, "test", "w", 3).Normal([100_003], dtype: dtype);
        var few = new CounterStream(7, "test", "w", 3).Normal([1001], dtype: dtype);
        torch.set_num_threads(before);
        Assert.That(one.equal(many), Is.True);
        Assert.That(few.equal(many.narrow(0, 0, 1001)), Is.True);
    }

    [Test]
    public void Every_part_of_the_name_makes_another_stream()
    {
        using var scope = torch.NewDisposeScope();
        CounterStream[] streams = [new(1, "a", "b", 0), new(2, "a", "b", 0), new(1, "c", "b", 0), new(1, "a", "c", 0), new(1, "a", "b", 1), new(1, "ab", "", 0), new(1, "", "ab", 0)];
        var first = streams.Select(s => s.NextInt64(long.MaxValue)).ToArray();
        Assert.That(first, Is.Unique);
        Assert.That(new CounterStream(1, "a", "b").NextInt64(long.MaxValue), Is.EqualTo(first[0]));
    }

    [Test]
    public void Draws_after_draws_are_new_numbers()
    {
        using var scope = torch.NewDisposeScope();
        var stream = new CounterStream(1, "draws");
        var drawn = new List<double> { stream.NextDouble() };
        drawn.AddRange(stream.Uniform([5], dtype: torch.float64).data<double>());
        drawn.AddRange(stream.Uniform([5], dtype: torch.float64).data<double>());
        drawn.Add(stream.NextDouble());
        drawn.Add(stream.NextDouble());
        Assert.That(drawn, Is.Unique);
        Assert.That(drawn, Is.All.InRange(0.0, 1.0));
    }

    // Standard errors at n = 10^6: mean 0.001, variance 0.0014; five of them are allowed.
    [Test]
    public void Normal_numbers_have_their_moments()
    {
        using var scope = torch.NewDisposeScope();
        var x = new CounterStream(5, "moments").Normal([1_000_000], 2, 3, torch.float64);
        var z = (x - 2) / 3;
        Assert.That(z.mean().item<double>(), Is.EqualTo(0).Within(0.005));
        Assert.That(z.pow(2).mean().item<double>(), Is.EqualTo(1).Within(0.007));
        Assert.That(z.pow(3).mean().item<double>(), Is.EqualTo(0).Within(0.02));
        Assert.That(z.pow(4).mean().item<double>(), Is.EqualTo(3).Within(0.05));
        var neighbours = z.narrow(0, 0, 999_999) * z.narrow(0, 1, 999_999);
        Assert.That(neighbours.mean().item<double>(), Is.EqualTo(0).Within(0.005));
    }

    [TestCase(torch.ScalarType.Float32)]
    [TestCase(torch.ScalarType.Float16)]
    [TestCase(torch.ScalarType.BFloat16)]
    public void Uniform_numbers_fill_their_interval_and_never_reach_its_end(torch.ScalarType dtype)
    {
        using var scope = torch.NewDisposeScope();
        var x = new CounterStream(5, "uniform").Uniform([1_000_000], -1, 1, dtype).to(torch.float64);
        Assert.That(x.max().item<double>(), Is.LessThan(1).And.GreaterThan(0.99));
        Assert.That(x.min().item<double>(), Is.GreaterThanOrEqualTo(-1).And.LessThan(-0.99));
        Assert.That(x.mean().item<double>(), Is.EqualTo(0).Within(0.003));
        Assert.That(x.pow(2).mean().item<double>(), Is.EqualTo(1.0 / 3).Within(0.003));
    }

    [Test]
    public void Rounding_is_libtorchs()
    {
        using var scope = torch.NewDisposeScope();
        var wide = new CounterStream(9, "rounding").Normal([10_000], dtype: torch.float64);
        var narrow = new CounterStream(9, "rounding").Normal([10_000], dtype: torch.float32);
        var brain = new CounterStream(9, "rounding").Normal([10_000], dtype: torch.bfloat16);
        Assert.That(narrow.equal(wide.to(torch.float32)), Is.True);
        Assert.That(brain.equal(wide.to(torch.bfloat16)), Is.True);
    }

    [Test]
    public void Bernoulli_keeps_its_probability_and_its_ends()
    {
        using var scope = torch.NewDisposeScope();
        var stream = new CounterStream(5, "bernoulli");
        Assert.That(stream.Bernoulli([1_000_000], 0.1).mean().item<double>(), Is.EqualTo(0.1).Within(0.0015));
        Assert.That(stream.Bernoulli([1000], 0).sum().item<double>(), Is.Zero);
        Assert.That(stream.Bernoulli([1000], 1, torch.@bool).all().item<bool>(), Is.True);
    }

    // Chi-squared with 6 degrees of freedom: 22.5 is its 0.999 quantile.
    [Test]
    public void Integers_are_equally_likely_and_permutations_hold_everything_once()
    {
        var stream = new CounterStream(5, "integers");
        var counts = new double[7];
        for (var k = 0; k < 70_000; k++) counts[stream.NextInt64(7)]++;
        Assert.That(counts.Sum(c => (c - 10_000) * (c - 10_000) / 10_000), Is.LessThan(22.5));
        var order = stream.Permutation(1000);
        Assert.That(order.Order(), Is.EqualTo(Enumerable.Range(0, 1000).Select(k => (long)k)));
        Assert.That(order.Where((value, k) => value == k).Count(), Is.LessThan(10));
        Assert.That(stream.Permutation(1), Is.EqualTo(new long[] { 0 }));
    }

    [Test]
    public void Mistakes_are_named()
    {
        var stream = new CounterStream(1, "mistakes");
        Assert.That(() => stream.Bernoulli([1], 1.5), Throws.ArgumentException.With.Message.Contains("1.5"));
        Assert.That(() => stream.Uniform([1], 2, 1), Throws.ArgumentException.With.Message.Contains("[2, 1)"));
        Assert.That(() => stream.Normal([1], 0, -1), Throws.ArgumentException.With.Message.Contains("-1"));
        Assert.That(() => stream.Normal([1], dtype: torch.int64), Throws.ArgumentException.With.Message.Contains("Int64"));
        Assert.That(() => stream.NextInt64(0), Throws.InstanceOf<ArgumentOutOfRangeException>());
    }
}
