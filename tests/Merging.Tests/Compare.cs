// Tensors against golden ones: |ours - expected| <= atol + rtol |expected| for every entry.

using PeftAlign.Torch;

namespace PeftAlign.Merging.Tests;

internal static class Compare
{
    public static void Close(string name, Tensor ours, Tensor expected, double atol, double rtol)
    {
        Assert.That(ours.shape, Is.EqualTo(expected.shape), name);
        if (ours.numel() == 0) return;
        var (a, b) = (ours.to(torch.float64), expected.to(torch.float64));
        var excess = (a - b).abs() - b.abs() * rtol;
        var same = a.eq(b).logical_or(a.isnan().logical_and(b.isnan()));
        var worst = torch.where(same, torch.full_like(excess, double.NegativeInfinity), excess).max().item<double>();
        Assert.That(worst, Is.LessThanOrEqualTo(atol), $"{name}: the worst entry is {worst:g3} off beyond rtol {rtol:g2}");
    }

    public static void Close(string what, IReadOnlyDictionary<string, Tensor> ours, IReadOnlyDictionary<string, Tensor> expected, double atol, double rtol)
    {
        Assert.That(ours.Keys.Order(StringComparer.Ordinal), Is.EqualTo(expected.Keys.Order(StringComparer.Ordinal)), what);
        foreach (var (name, tensor) in expected)
        {
            Assert.That(ours[name].dtype, Is.EqualTo(tensor.dtype), $"{what}: {name}");
            Close($"{what}: {name}", ours[name], tensor, atol, rtol);
        }
    }
}
