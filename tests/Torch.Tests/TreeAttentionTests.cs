// The packed-tree attention against dense masks in float64: groups around the kernel's blocks, one that goes to several tasks, rows without a gradient.

using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests;

public sealed class TreeAttentionTests(string instructions) : KernelTests(instructions)
{
    // Prompts and their answers.
    private static readonly int[][] Trees = [[60, 20, 37], [1, 1], [47, 2, 95], [16], [1600]];

    // Either run of a row may be the first that is named.
    [TestCase(4, 2, 20, false)]
    [TestCase(2, 2, 80, false)]
    [TestCase(4, 2, 20, true)]
    public void Agrees_with_dense_masks(int heads, int groups, int width, bool turned)
    {
        using var scope = torch.NewDisposeScope();
        var runs = Runs(Trees, turned);
        var rows = runs.Spans.size(0);
        torch.manual_seed(3);
        Tensor Random(int count) => torch.randn([rows, count, width], torch.float64);
        var (q, k, v, grad) = (Random(heads), Random(groups), Random(groups), Random(heads));
        grad.narrow(0, 0, 70).zero_(); // as of rows that nothing behind them asks for
        var scale = 1 / Math.Sqrt(width);

        var (out32, sums) = Fused.TreeAttention(Narrow(q), Narrow(k), Narrow(v), null, null, runs, scale);
        var (dq, dk, dv) = Fused.TreeAttentionBackward(Narrow(grad), Narrow(q), Narrow(k), Narrow(v), (out32, sums), null, null, runs, scale);

        Tensor[] inputs = [q.requires_grad_(), k.requires_grad_(), v.requires_grad_()];
        var dense = Dense(inputs, runs, scale);
        var expected = torch.autograd.grad([dense], inputs, [grad]);
        Assert.Multiple(() =>
        {
            Assert.That(Worst(out32, dense), Is.LessThan(3e-6), "values");
            foreach (var (mine, other, name) in ((Tensor, Tensor, string)[])[(dq, expected[0], "q"), (dk, expected[1], "k"), (dv, expected[2], "v")])
                Assert.That(Worst(mine, other), Is.LessThan(3e-5), $"gradient by {name}");
        });
    }

    private static Tensor Narrow(Tensor wide) => wide.detach().to(torch.float32);

    private static double Worst(Tensor mine, Tensor expected) => (mine.to(torch.float64) - expected.detach()).abs().max().item<double>();

    // Softmax over all rows, group by group.
    private static Tensor Dense(Tensor[] inputs, RowRuns runs, double scale)
    {
        var share = inputs[0].size(1) / inputs[1].size(1);
        var spans = runs.Spans.to(torch.int64);
        var parts = new List<Tensor>();
        for (var g = 0; g < runs.Groups.Length; g += 2)
        {
            var (start, length) = (runs.Groups[g], runs.Groups[g + 1]);
            Tensor Heads(int which) => inputs[which].narrow(0, start, length).transpose(0, 1); // (heads, n, D)
            var at = torch.arange(length);
            Tensor Bound(int which) => spans.narrow(0, start, length).select(1, which).unsqueeze(1);
            var seen = (at.ge(Bound(0)) & at.lt(Bound(1))) | (at.ge(Bound(2)) & at.lt(Bound(3)));
            var scores = Heads(0).bmm(Heads(1).repeat_interleave(share, 0).transpose(1, 2)) * scale;
            var probs = scores.masked_fill(seen.logical_not(), double.NegativeInfinity).softmax(-1);
            parts.Add(probs.bmm(Heads(2).repeat_interleave(share, 0)).transpose(0, 1));
        }
        return torch.cat(parts);
    }

    private static RowRuns Runs(int[][] trees, bool turned)
    {
        var (spans, groups, start) = (new List<int>(), new List<long>(), 0L);
        foreach (var parts in trees)
        {
            var first = 0;
            for (var b = 0; b < parts.Length; first += parts[b], b++)
                for (var row = first; row < first + parts[b]; row++)
                    spans.AddRange(turned && row % 3 == 0 ? [first, row + 1, 0, b > 0 ? parts[0] : 0] : [0, b > 0 ? parts[0] : 0, first, row + 1]);
            groups.AddRange([start, first]);
            start += first;
        }
        return new RowRuns(torch.tensor([.. spans]).view(-1, 4), [.. groups]);
    }
}
