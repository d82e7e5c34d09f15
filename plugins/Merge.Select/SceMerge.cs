// sce: select the entries whose variance over the models is largest, calculate a weight for each model from the energy of its
// selected differences, erase what has not the sign of their sum.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

namespace PeftAlign.Merge.Select;

internal sealed class SceMerge(SceOptions options) : IMergeStrategy
{
    private const double Tiny = 1e-6;

    public Tensor Merge(MergeTensor tensor)
    {
        Tensor[] all = [tensor.Base!, .. tensor.Inputs];
        var mask = Select(all);
        var weights = Weights(all, mask);
        return Pieces.Map(all, tensor.ResultType, (first, parts) =>
        {
            var differences = Differences(parts, mask, first);
            var sign = differences.Aggregate((a, b) => a + b).ge(0).to(torch.float32) * 2 - 1;
            var (sum, divisor) = (torch.zeros_like(parts[0]), torch.zeros_like(parts[0]));
            foreach (var (difference, weight) in differences.Zip(weights))
            {
                var kept = difference.sign().eq(sign).to(torch.float32) * weight;
                sum.add_(difference * kept);
                divisor.add_(kept);
            }
            return parts[0] + sum / divisor.clamp(Tiny);
        });
    }

    private Mask Select(Tensor[] all)
    {
        if (options.SelectTopk >= 1) return Masks.All;
        var varied = 0L;
        using var variance = Pieces.Map(all, torch.float32, (_, parts) =>
        {
            var differences = parts.Skip(1).Select(part => part - parts[0]).ToList();
            var mean = differences.Aggregate((a, b) => a + b) / differences.Count;
            var own = differences.Select(d => (d - mean) * (d - mean)).Aggregate((a, b) => a + b) / differences.Count;
            varied += (long)own.ne(0).to(torch.float32).sum().item<float>();
            return own;
        });
        return Masks.LargestOf(variance, (long)(varied * options.SelectTopk));
    }

    // Mean square of the selected differences, of all models together 1.
    private static double[] Weights(Tensor[] all, Mask mask)
    {
        var energy = new double[all.Length - 1];
        var n = all[0].numel();
        Pieces.ForEach(all, (first, parts) =>
        {
            foreach (var (difference, k) in Differences(parts, mask, first).Select((d, k) => (d, k))) energy[k] += (difference * difference).sum().item<float>() / n;
        });
        var sum = energy.Sum();
        return Math.Abs(sum) < Tiny ? [.. energy.Select(_ => 1.0 / energy.Length)] : [.. energy.Select(e => e / sum)];
    }

    private static List<Tensor> Differences(Tensor[] parts, Mask mask, long first)
    {
        var chosen = mask.KeepsAll ? null : mask.Slice(first, parts[0].numel());
        return [.. parts.Skip(1).Select(part => chosen is null ? part - parts[0] : torch.where(chosen, part - parts[0], torch.zeros_like(part)))];
    }
}
