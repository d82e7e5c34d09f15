// The kernel of decode attention equals its composed form: grouped heads, caps, windows, partial rotation, odd widths, bfloat16.

using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Generation;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Tests.Generation;

internal sealed class DecodeAttentionTests
{
    private static readonly long[] Lengths = [1, 7, 33, 16];

    [Test]
    public void Kernel_is_the_composed_form([Values(6, 16, 24)] long width, [Values(1, 2, 4)] long groups, [Values(0, 4, 6)] long turned, [Values(null, 5L)] long? window, [Values(null, 3.0)] double? cap)
    {
        using var scope = torch.NewDisposeScope();
        var (made, expected, keys) = Both(width, groups, turned, window, cap, torch.float32);
        Assert.That((made - expected).abs().max().item<double>(), Is.LessThan(3e-6));
        Assert.That(keys, Is.LessThan(1e-6), "what both store");
    }

    [Test]
    public void Bfloat16_differs_by_rounding_only()
    {
        using var scope = torch.NewDisposeScope();
        var (made, expected, keys) = Both(16, 2, 16, null, null, torch.bfloat16);
        Assert.That(made.dtype, Is.EqualTo(torch.bfloat16));
        Assert.That((made.to(torch.float32) - expected.to(torch.float32)).abs().max().item<double>(), Is.LessThan(0.05));
        Assert.That(keys, Is.LessThan(0.05), "what both store");
    }

    private static (Tensor Made, Tensor Expected, double Keys) Both(long width, long groups, long turned, long? window, double? cap, torch.ScalarType dtype)
    {
        Tensor Random(string name, params long[] shape) => new CounterStream(11, "attention", name).Normal(shape).to(dtype);
        long rows = Lengths.Length, longest = Lengths.Max(), size = 80;
        var (q, k, v) = (Random("q", rows, 4, width), Random("k", rows, groups, width), Random("v", rows, groups, width));
        var (keys, values) = (Random("keys", size, groups, width), Random("values", size, groups, width));
        // The first three sequences share their first places; the places of new tokens are their own.
        var places = new int[rows * longest];
        for (var r = 0; r < rows; r++)
            for (var t = 0; t < longest; t++) places[r * longest + t] = t == Lengths[r] - 1 ? 70 + r : r < 3 ? t : 40 + t % 30;
        var past = new PastPlaces(torch.tensor(places, [rows, longest]), torch.tensor(Lengths));
        var angles = new CounterStream(11, "attention", "angles").Normal([rows, 1, Math.Max(2, turned) / 2]);
        var rotary = turned == 0 ? null : new Rotary(torch.cat([angles.cos(), angles.cos()], 2).to(dtype), angles.sin().to(dtype));
        var form = new AttentionForm(rotary, 0.4, cap, window);
        var (keys2, values2) = (keys.clone(), values.clone());
        var made = Decoding.Attention(q, k, v, (keys, values), past, rotary?.Cos, rotary?.Sin, form.Scale, cap, window);
        var expected = CachedAttention.Composed(q, k, v, (keys2, values2), past, form);
        return (made, expected, (keys - keys2).abs().max().to(torch.float64).item<double>() + (values - values2).abs().max().to(torch.float64).item<double>());
    }
}
