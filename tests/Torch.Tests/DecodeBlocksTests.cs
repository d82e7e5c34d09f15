// A decoding step in one native call against the same step operator by operator: biases and norms before each half, behind it, over heads
// or whole rows; blocks without positions; widths with and without tails, windows, bfloat16; rows alone and together, one thread and several.

using PeftAlign.Torch.Extras;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Torch.Tests;

public sealed class DecodeBlocksTests(string instructions) : KernelTests(instructions)
{
    private const double Epsilon = 1e-5;
    private static readonly long[] Lengths = [3, 9, 1, 6, 5, 9, 2];

    private sealed record Case(long Hidden, long Heads, long Groups, long Width, long Inner, bool All, torch.ScalarType Dtype)
    {
        // Norms behind each half, in the place of those before it, and over all queries and all keys; the second block has no positions.
        internal bool Behind { get; init; }

        internal Tensor Random(string name, params long[] shape) => (new CounterStream(9, "blocks", name).Normal(shape) * 0.3).to(Dtype);

        internal DecodeBlocks Form => new([Heads, Groups, Width, Inner], [0.3, 0, Epsilon, Behind ? 1 : 0], [0, 4], [0, Behind ? -1 : 0]);

        // Two blocks.
        internal Tensor?[] Weights()
        {
            Tensor? Optional(string name, params long[] shape) => All ? Random(name, shape) : null;
            Tensor? Norm(string name, bool there) => there ? Random(name, Hidden) + 1 : null;
            var (q, k) = (Heads * Width, Groups * Width);
            return [.. Enumerable.Range(0, 2).SelectMany(b => (Tensor?[])
            [
                Norm($"n{b}", !Behind), Random($"q{b}", q, Hidden), Optional($"qb{b}", q), Random($"k{b}", k, Hidden), Optional($"kb{b}", k), Random($"v{b}", k, Hidden), Optional($"vb{b}", k),
                Behind ? Random($"qn{b}", q) : Optional($"qn{b}", Width), Behind ? Random($"kn{b}", k) : Optional($"kn{b}", Width), Random($"o{b}", Hidden, q), Optional($"ob{b}", Hidden), Norm($"m{b}", !Behind),
                Random($"g{b}", Inner, Hidden), Optional($"gb{b}", Inner), Random($"u{b}", Inner, Hidden), Optional($"ub{b}", Inner), Random($"d{b}", Hidden, Inner), Optional($"db{b}", Hidden),
                Norm($"an{b}", Behind), Norm($"fn{b}", Behind),
            ])];
        }

        internal Tensor[] Caches() => [.. Enumerable.Range(0, 4).Select(c => Random($"c{c}", 80, Groups, Width))];
    }

    [Test]
    public void One_call_is_the_step_operator_by_operator([Values(32, 44)] long hidden, [Values(1, 2, 4)] long groups, [Values(8, 16)] long width, [Values(48, 50)] long inner, [Values] bool all) =>
        Assert.That(Difference(new Case(hidden, 4, groups, width, inner, all, torch.float32)), Is.LessThan(2e-6));

    [Test]
    public void Norms_behind_each_half_and_blocks_without_positions([Values(44, 64)] long hidden, [Values(1, 4)] long groups, [Values] bool all) =>
        Assert.That(Difference(new Case(hidden, 4, groups, 8, 50, all, torch.float32) { Behind = true }), Is.LessThan(2e-6));

    [Test]
    public void Bfloat16_is_rounded_where_the_operators_round() =>
        // A few units in the last of 8 binary digits, since sums differ in their order.
        Assert.That((double[])[Difference(new Case(64, 4, 2, 16, 48, true, torch.bfloat16)), Difference(new Case(64, 4, 2, 16, 48, true, torch.bfloat16) { Behind = true })], Is.All.LessThan(0.02));

    [Test]
    public void A_row_does_not_depend_on_its_neighbours_nor_on_the_number_of_threads()
    {
        using var scope = torch.NewDisposeScope();
        var one = new Case(640, 4, 2, 16, 900, false, torch.float32);
        var (weights, x) = (one.Weights(), one.Random("x", Lengths.Length, one.Hidden));
        var before = torch.get_num_threads();
        try
        {
            torch.set_num_threads(1);
            var caches = one.Caches();
            var alone = Enumerable.Range(0, Lengths.Length).Select(r => Made(one, weights, x.narrow(0, r, 1), caches, r, 1)).ToList();
            torch.set_num_threads(4);
            for (var run = 0; run < 20; run++)
                Assert.That(Made(one, weights, x, one.Caches(), 0, Lengths.Length).eq(torch.cat(alone)).all().item<bool>(), Is.True);
        }
        finally
        {
            torch.set_num_threads(before);
        }
    }

    [Test]
    public void A_weight_of_another_shape_and_a_place_outside_the_cache_are_errors()
    {
        using var scope = torch.NewDisposeScope();
        var one = new Case(32, 4, 2, 8, 48, false, torch.float32);
        var (weights, x) = (one.Weights(), one.Random("x", 1, 32));
        Assert.That(() => Made(one, weights, x, [.. one.Caches().Select(c => c.narrow(0, 0, 5))], 1, 1), Throws.InstanceOf<TorchException>().With.Message.Contains("of a cache of 5"));
        weights[DecodeBlocks.Slots] = torch.zeros(33);
        Assert.That(() => Made(one, weights, x, one.Caches(), 0, 1), Throws.InstanceOf<TorchException>().With.Message.Contains("tensor 20 is Float [33]"));
    }

    // Of states and stored keys and values, in relation to the largest.
    private static double Difference(Case one)
    {
        using var scope = torch.NewDisposeScope();
        var (weights, x, caches, own) = (one.Weights(), one.Random("x", Lengths.Length, one.Hidden), one.Caches(), one.Caches());
        var made = Made(one, weights, x, caches, 0, Lengths.Length);
        var expected = x;
        var (cos, sin) = Turns(one, 0, Lengths.Length);
        for (var b = 0; b < 2; b++) expected = Composed(one, weights.AsSpan(b * DecodeBlocks.Slots, DecodeBlocks.Slots).ToArray(), expected, (own[2 * b], own[2 * b + 1]), one.Form.Turns[b] < 0 ? null : (cos, sin), one.Form.Windows[b]);
        Assert.That(made.dtype, Is.EqualTo(one.Dtype));
        Assert.That((expected - x).abs().max().item<float>(), Is.GreaterThan(0.5), "blocks that change nothing would prove nothing");
        static double Apart(Tensor a, Tensor b) => (a.to(torch.float32) - b.to(torch.float32)).abs().max().item<float>() / b.abs().max().to(torch.float32).item<float>();
        return Math.Max(Apart(made, expected), Enumerable.Range(0, 4).Max(c => Apart(caches[c], own[c])));
    }

    private static Tensor Composed(Case one, Tensor?[] w, Tensor x, (Tensor, Tensor) cache, (Tensor Cos, Tensor Sin)? turn, long window)
    {
        Tensor Normal(Tensor y, Tensor? norm) => norm is null ? y : one.Behind ? F.rms_norm(y.to(torch.float32), norm.to(torch.float32), Epsilon).to(y.dtype) : F.rms_norm(y, norm, Epsilon);
        Tensor Heads(Tensor y, long heads, Tensor? norm) => one.Behind ? Normal(y, norm).view(-1, heads, one.Width) : Normal(y.view(-1, heads, one.Width), norm);
        var n = Normal(x, w[0]);
        var (q, k, v) = (Heads(F.linear(n, w[1]!, w[2]), one.Heads, w[7]), Heads(F.linear(n, w[3]!, w[4]), one.Groups, w[8]), Heads(F.linear(n, w[5]!, w[6]), one.Groups, null));
        var mixed = Decoding.Attention(q, k, v, cache, Past(0, Lengths.Length), turn?.Cos, turn?.Sin, 0.3, null, window == 0 ? null : window);
        x = x + Normal(F.linear(mixed.view(x.size(0), -1), w[9]!, w[10]), w[18]);
        n = Normal(x, w[11]);
        return x + Normal(F.linear(F.silu(F.linear(n, w[12]!, w[13])) * F.linear(n, w[14]!, w[15]), w[16]!, w[17]), w[19]);
    }

    private static Tensor Made(Case one, Tensor?[] weights, Tensor x, Tensor[] caches, int row, int rows)
    {
        var (cos, sin) = Turns(one, row, rows);
        return Decoding.Blocks(x, weights, caches, Past(row, rows), [cos], [sin], one.Form);
    }

    private static (Tensor Cos, Tensor Sin) Turns(Case one, int row, int rows)
    {
        var angles = one.Random("angles", Lengths.Length, 1, one.Width / 2).narrow(0, row, rows);
        return (torch.cat([angles.cos(), angles.cos()], 2), angles.sin());
    }

    private static PastPlaces Past(int row, int rows)
    {
        var longest = Lengths.Max();
        var places = Enumerable.Range(row, rows).SelectMany(r => Enumerable.Range(0, (int)longest).Select(t => 10 * r + t)).ToArray();
        return new PastPlaces(torch.tensor(places, [rows, longest]), torch.tensor(Lengths[row..(row + rows)]));
    }
}
