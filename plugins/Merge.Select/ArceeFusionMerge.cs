// arcee_fusion: importance |x - base| * KL(softmax of the row || softmax of the base's row); the model's entry where it reaches
// median + 1.5 * interquartile range. Quantiles are exact up to a million entries, beyond that of a million drawn ones.
// All in float32, as mergekit has it: of nearly equal rows the divergence is mostly rounding, and another order of sums or a wider type
// would take other entries than mergekit does with the same libtorch.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

namespace PeftAlign.Merge.Select;

internal sealed class ArceeFusionMerge : IMergeStrategy
{
    private const long Sample = 1_000_000;
    private const double Tiny = 1e-8;

    public Tensor Merge(MergeTensor tensor)
    {
        Tensor[] pair = [.. tensor.Inputs];
        var scores = new List<float>();
        var every = Drawn(tensor, pair[0].numel());
        var (next, passed) = (0, 0L);
        Pieces.MapRows(pair, false, torch.float32, parts =>
        {
            using var importance = Importance(parts).reshape(-1).contiguous();
            var values = importance.data<float>();
            var count = importance.numel();
            if (every is null) scores.AddRange(values.ToArray());
            else
                for (; next < every.Length && every[next] < passed + count; next++) scores.Add(values[(int)(every[next] - passed)]);
            passed += count;
            return parts[0];
        }).Dispose();
        if (scores.Count == 0) return pair[0].clone();
        var threshold = Threshold(scores);
        return Pieces.MapRows(pair, false, tensor.ResultType, parts => parts[0] + (parts[1] - parts[0]) * Importance(parts).ge(threshold).to(torch.float32));
    }

    // Positions in ascending order, drawn with replacement; null for all.
    private static long[]? Drawn(MergeTensor tensor, long n)
    {
        if (n <= Sample) return null;
        var stream = tensor.RandomOf(1);
        var drawn = new long[Sample];
        for (var k = 0; k < Sample; k++) drawn[k] = stream.NextInt64(n);
        Array.Sort(drawn);
        return drawn;
    }

    private static float Threshold(List<float> scores)
    {
        scores.Sort();
        float At(float share) => scores[(int)(share * (scores.Count - 1))];
        return At(0.5f) + 1.5f * (At(0.75f) - At(0.25f));
    }

    private static Tensor Importance(Tensor[] parts)
    {
        var (p, q) = (parts[1].softmax(-1) + Tiny, parts[0].softmax(-1) + Tiny);
        return (parts[1] - parts[0]).abs() * (p * (p / q).log()).sum(-1, true);
    }
}
