// Properties of the algebra that hold for every input.

using FsCheck;
using PeftAlign.Algebra;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Merging.Tests;

public class AlgebraProperties
{
    private static Tensor Vector(int seed, int n, int steps) => (new CounterStream((ulong)(uint)seed, "v").Uniform([n], -1, 1) * steps).round() / steps;

    // Coarse steps make many equal magnitudes, fine ones few.
    [FsCheck.NUnit.Property(MaxTest = 60)]
    public bool TrimKeepsExactlyItsShareAndTheLargest(int seed, PositiveInt size, byte share, bool coarse)
    {
        using var scope = torch.NewDisposeScope();
        var (n, density) = (size.Get * 37 % 5000 + 1, share / 256.0);
        var (x, origin) = (Vector(seed, n, coarse ? 8 : 1 << 20), torch.zeros([n]));
        var kept = Masks.Largest(x, origin, density).Slice(0, n);
        var wanted = density <= 0 ? 0 : Math.Max(1, (long)(density * n));
        // Zeros may be kept or not: nothing depends on it.
        var (magnitude, positive) = (x.abs(), x.ne(0));
        var count = kept.logical_and(positive).to(torch.ScalarType.Int64).sum().item<long>();
        var possible = positive.to(torch.ScalarType.Int64).sum().item<long>();
        if (count != Math.Min(wanted, possible)) return false;
        if (count == 0 || count == possible) return true;
        var least = torch.where(kept.logical_and(positive), magnitude, torch.full_like(magnitude, 9)).min().item<float>();
        var most = torch.where(kept, torch.full_like(magnitude, -1), magnitude).max().item<float>();
        return least >= most;
    }

    [FsCheck.NUnit.Property(MaxTest = 60)]
    public bool SumsOfAMaskAreThoseOfItsEntries(int seed, PositiveInt size, byte share, byte top)
    {
        using var scope = torch.NewDisposeScope();
        var n = size.Get * 53 % 9000 + 1;
        var (x, origin) = (Vector(seed, n, 64), Vector(seed + 1, n, 64));
        var mask = Masks.Middle(x, origin, share / 256.0, top / 1024.0);
        var magnitude = (x - origin).abs().to(torch.float64);
        var (all, kept) = (magnitude.sum().item<double>(), (magnitude * mask.Slice(0, n).to(torch.float64)).sum().item<double>());
        return Math.Abs(mask.Norm - all) <= 1e-5 * all + 1e-12 && Math.Abs(mask.KeptNorm - kept) <= 1e-5 * all + 1e-12;
    }

    [FsCheck.NUnit.Property(MaxTest = 40)]
    public bool OneModelWithoutDropsIsItself(int seed, PositiveInt size, bool elect, bool normalize)
    {
        using var scope = torch.NewDisposeScope();
        var n = size.Get * 31 % 4000 + 1;
        var (x, origin) = (Vector(seed, n, 256), Vector(seed + 1, n, 256));
        return TaskVectors.Sum(origin, [new TaskVector(x, Masks.All, 1, 1)], elect, normalize, 1, torch.float32).eq(x).all().item<bool>();
    }

    [FsCheck.NUnit.Property(MaxTest = 40)]
    public bool TheOrderOfModelsDoesNotMatter(int seed, PositiveInt size, bool elect)
    {
        using var scope = torch.NewDisposeScope();
        var n = size.Get * 31 % 4000 + 1;
        var origin = Vector(seed, n, 256);
        TaskVector[] vectors = [.. Enumerable.Range(1, 2).Select(k => new TaskVector(Vector(seed + k, n, 256), Masks.All, 1, 0.25 * k))];
        var (one, two) = (TaskVectors.Sum(origin, vectors, elect, true, 1, torch.float32), TaskVectors.Sum(origin, [vectors[1], vectors[0]], elect, true, 1, torch.float32));
        return (one - two).abs().max().item<float>() <= 1e-6;
    }

    [FsCheck.NUnit.Property(MaxTest = 40)]
    public bool L1RescalingKeepsTheSumOfMagnitudes(int seed, PositiveInt size, byte share)
    {
        using var scope = torch.NewDisposeScope();
        var n = size.Get * 31 % 4000 + 2;
        var (x, origin) = (Vector(seed, n, 1 << 16), torch.zeros([n]));
        var mask = Masks.Largest(x, origin, (share + 1) / 257.0);
        var merged = TaskVectors.Sum(origin, [new TaskVector(x, mask, TaskVectors.L1Scale(mask), 1)], false, false, 1, torch.float32);
        return Math.Abs(merged.abs().sum().item<float>() - x.abs().sum().item<float>()) <= 1e-4 * n;
    }
}
