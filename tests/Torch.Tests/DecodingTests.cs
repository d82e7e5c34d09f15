// The kernels for decoding against libtorch's own operators: shapes with and without tails, one thread and several.

using PeftAlign.Torch.Extras;
using F = PeftAlign.Torch.torch.nn.functional;

namespace PeftAlign.Torch.Tests;

public sealed class DecodingTests(string instructions) : KernelTests(instructions)
{
    private static Tensor Random(string name, params long[] shape) => new CounterStream(5, "decoding", name).Normal(shape);

    [Test]
    public void Few_rows_are_the_product([Values(1, 2, 3, 4, 5, 8, 13, 16, 35)] long rows, [Values(1, 15, 16, 40, 272)] long inputs, [Values(1, 3, 4, 1030)] long outputs)
    {
        using var scope = torch.NewDisposeScope();
        var (x, w, b) = (Random("x", rows, inputs), Random("w", outputs, inputs), Random("b", outputs));
        var expected = F.linear(x.to(torch.float64), w.to(torch.float64), b.to(torch.float64));
        Assert.That((Decoding.Linear(x, w, b).to(torch.float64) - expected).abs().max().item<double>(), Is.LessThan(2e-5));
        Assert.That((Decoding.Linear(x, w).to(torch.float64) + b - expected).abs().max().item<double>(), Is.LessThan(2e-5));
    }

    [Test]
    public void Bfloat16_is_summed_in_float32_and_rounded_once()
    {
        using var scope = torch.NewDisposeScope();
        var (x, w) = (Random("x", 5, 700).to(torch.bfloat16), Random("w", 37, 700).to(torch.bfloat16));
        var made = Decoding.Linear(x, w);
        Assert.That(made.dtype, Is.EqualTo(torch.bfloat16));
        var exact = F.linear(x.to(torch.float64), w.to(torch.float64));
        // Half a unit in the last of bfloat16's 8 digits, and the float32 sum's own error.
        Assert.That(((made.to(torch.float64) - exact).abs() - exact.abs() / 256).max().item<double>(), Is.LessThan(1e-3));
    }

    [Test]
    public void A_row_does_not_depend_on_its_neighbours_nor_on_the_number_of_threads()
    {
        using var scope = torch.NewDisposeScope();
        var (x, w) = (Random("x", 7, 333), Random("w", 5000, 333));
        var before = torch.get_num_threads();
        try
        {
            torch.set_num_threads(1);
            var alone = Enumerable.Range(0, 7).Select(r => Decoding.Linear(x.narrow(0, r, 1), w)).ToList();
            torch.set_num_threads(4);
            for (var run = 0; run < 50; run++)
                Assert.That(Decoding.Linear(x, w).eq(torch.cat(alone)).all().item<bool>(), Is.True);
        }
        finally
        {
            torch.set_num_threads(before);
        }
    }

    [Test]
    public void Other_dtypes_go_to_libtorch()
    {
        using var scope = torch.NewDisposeScope();
        var (x, w) = (Random("x", 2, 9).to(torch.float64), Random("w", 3, 9).to(torch.float64));
        Assert.That(Decoding.Linear(x, w).eq(F.linear(x, w)).all().item<bool>(), Is.True);
    }

    [Test]
    public void A_place_outside_the_cache_is_an_error()
    {
        using var scope = torch.NewDisposeScope();
        var cache = (torch.zeros([4, 1, 8]), torch.zeros([4, 1, 8]));
        var past = new PastPlaces(torch.tensor(new[] { 4 }, [1, 1]), torch.tensor(new[] { 1L }));
        var one = torch.zeros([1, 1, 8]);
        Assert.That(() => Decoding.Attention(one, one, one, cache, past, null, null, 1, null, null), Throws.InstanceOf<TorchException>().With.Message.Contains("place 4 of a cache of 4"));
    }
}
