// Dropout's decisions made by operators on a device are those that the processor draws, bit by bit: for odd sizes and offsets, in
// pieces, and for packs in which answers share their prompt. Compiled into tests/Rehearsal.Tests too.

using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Tests.Engine;

public sealed class ComposedDrawsTests : ScopedTest
{
    private static readonly CounterStream[] Streams = [.. Enumerable.Range(0, 5).Select(k => Stream(k))];

    private static CounterStream Stream(int k) => new(ulong.MaxValue - (ulong)k, "dropout", $"module/{k}", k << 20);

    // Row k is row (3 k + 1) % 11 of stream k % 5.
    private static (Tensor Expected, Tensor Actual) Both(int count, int width, double p, torch.ScalarType dtype, long atOnce)
    {
        var (streamOf, rows) = (Enumerable.Range(0, count).Select(k => k % 5L).ToArray(), Enumerable.Range(0, count).Select(k => ((3 * k) + 1) % 11L).ToArray());
        var drawn = Enumerable.Range(0, 5).Select(k => Stream(k).Bernoulli([11, width], p, dtype)).ToArray();
        var expected = torch.stack(Enumerable.Range(0, count).Select(k => drawn[streamOf[k]].select(0, rows[k])));
        Tensor There(long[] values) => torch.tensor(values, device: TestDevice.Here);
        return (expected, ComposedDraws.Bernoulli(ComposedDraws.Schedule(Streams, TestDevice.Here), There(streamOf), There(rows), width, p, dtype, atOnce));
    }

    [Test]
    public void They_are_the_processors([Values(1, 2, 3, 5, 6, 7, 8, 64, 1023)] int width, [Values(1, 37)] int count, [Values(1, 600, ComposedDraws.BlocksAtOnce)] long atOnce)
    {
        var (expected, actual) = Both(count, width, 0.37, torch.float32, atOnce);
        Assert.That(actual.device, Is.EqualTo(TestDevice.Here));
        Assert.That(actual.cpu().equal(expected), Is.True);
    }

    [Test]
    public void In_every_type_and_at_both_ends([Values(0, 1e-9, 0.9, 1)] double p, [Values(torch.ScalarType.BFloat16, torch.ScalarType.Float16, torch.ScalarType.Float64)] torch.ScalarType dtype)
    {
        var (expected, actual) = Both(11, 12, p, dtype, ComposedDraws.BlocksAtOnce);
        Assert.That(actual.cpu().equal(expected), Is.True);
    }

    [TestCase(24)]
    [TestCase(29)]
    public void A_packs_mask_is_the_processors(int width)
    {
        Tensor Mask(torch.Device device)
        {
            var place = Place.Of(Tiny.Model(torch.float32)) with { Device = device };
            using var pack = Pack.Of([.. Tiny.Groups(12), .. Tiny.Groups(9, completions: 1)], 4096, place).Single();
            return DropoutMask.Of(new DropoutKey(3, 5), "module", 0.3, pack, torch.zeros([pack.Tokens.size(0), width], torch.bfloat16, device)).cpu();
        }
        var expected = Mask(torch.CPU);
        Assert.That(expected.gt(0).to(torch.float32).mean().item<float>(), Is.InRange(0.6, 0.8));
        Assert.That(Mask(TestDevice.Here).equal(expected), Is.True);
    }
}
