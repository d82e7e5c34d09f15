// ram and ramplus_tl (Reinforced Agent Merging, 2026), and nearswap: entry by entry.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

namespace PeftAlign.Merge.Select;

internal sealed class NearSwapMerge(NearSwapOptions options) : IMergeStrategy
{
    private const double Tiny = 1e-6;

    public Tensor Merge(MergeTensor tensor) => Pieces.Map([.. tensor.Inputs], tensor.ResultType, (_, parts) =>
    {
        var weight = (options.T / (parts[0] - parts[1]).abs().clamp(Tiny)).clamp(0, 1);
        return weight * parts[1] + (1 - weight) * parts[0];
    });
}

internal sealed class RamMerge(RamOptions options) : IMergeStrategy
{
    public Tensor Merge(MergeTensor tensor)
    {
        Tensor[] all = [tensor.Base!, .. tensor.Inputs];
        var factors = options is RamPlusOptions plus ? Factors(all, plus) : [.. tensor.Inputs.Select(_ => 1.0)];
        return Pieces.Map(all, tensor.ResultType, (_, parts) =>
        {
            var (changes, count) = Changes(parts);
            var (unique, shares) = (count.eq(1), count.clamp(1));
            var sum = parts[0].clone();
            foreach (var ((difference, changed), factor) in changes.Zip(factors))
                sum.add_(torch.where(changed, difference, torch.zeros_like(difference)) * torch.where(unique, torch.full_like(shares, factor), 1 / shares));
            return sum;
        });
    }

    // 1 + r * min(shared / own, alpha) for each model.
    private double[] Factors(Tensor[] all, RamPlusOptions plus)
    {
        var (shared, own) = (new double[all.Length - 1], new double[all.Length - 1]);
        Pieces.ForEach(all, (_, parts) =>
        {
            var (changes, count) = Changes(parts);
            for (var k = 0; k < changes.Count; k++)
            {
                shared[k] += Count(changes[k].Changed.logical_and(count.gt(1)));
                own[k] += Count(changes[k].Changed.logical_and(count.eq(1)));
            }
        });
        return [.. shared.Zip(own, (s, o) => 1 + plus.R * Math.Clamp(s / Math.Max(o, options.Epsilon), 0, plus.Alpha))];
    }

    private static double Count(Tensor flags) => flags.to(torch.float32).sum().item<float>();

    private (List<(Tensor Difference, Tensor Changed)> Changes, Tensor Count) Changes(Tensor[] parts)
    {
        var changes = new List<(Tensor, Tensor)>();
        var count = torch.zeros_like(parts[0]);
        foreach (var part in parts.Skip(1))
        {
            var difference = part - parts[0];
            var changed = difference.abs().gt(options.Epsilon);
            changes.Add((difference, changed));
            count.add_(changed.to(torch.float32));
        }
        return (changes, count);
    }
}
