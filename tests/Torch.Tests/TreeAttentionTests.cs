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

    // Rows at the borders of blocks, a group's only row, none of a group, and the last ones.
    [TestCase(4, 2, 20, false, false)]
    [TestCase(4, 2, 20, false, true)]
    [TestCase(2, 2, 80, false, false)]
    [TestCase(4, 2, 32, true, false)]
    public void Rows_that_are_asked_for_are_those_of_all_rows_bit_for_bit(int heads, int groups, int width, bool narrow, bool turned)
    {
        using var scope = torch.NewDisposeScope();
        var runs = Runs(Trees, turned);
        var rows = runs.Spans.size(0);
        torch.manual_seed(3);
        Tensor Random(long of, int count) => torch.randn([of, count, width]).to(narrow ? torch.bfloat16 : torch.float32);
        var (q, k, v, cos, sin) = (Random(rows, heads), Random(rows, groups), Random(rows, groups), torch.randn([rows, 1, 8]), torch.randn([rows, 1, 4]));
        var asked = torch.tensor([47, 48, 61, 116, 117, 118, .. Enumerable.Range(165, 97).Select(row => (long)row), 263, 279, rows - 1]);
        var scale = 1 / Math.Sqrt(width);
        var whole = Fused.TreeAttention(q, k, v, cos, sin, runs, scale);
        var some = Fused.TreeAttention(q, k, v, cos, sin, runs, scale, asked);
        var few = Fused.TreeAttention(q.index_select(0, asked), k, v, cos, sin, runs, scale, asked);
        var grad = torch.zeros_like(q).index_copy_(0, asked, Random(asked.size(0), heads));
        var (a, b) = (Fused.TreeAttentionBackward(grad, q, k, v, whole, cos, sin, runs, scale), Fused.TreeAttentionBackward(grad, q, k, v, some, cos, sin, runs, scale));
        Assert.Multiple(() =>
        {
            Assert.That(some.Mixed.index_select(0, asked).equal(whole.Mixed.index_select(0, asked)), "values");
            Assert.That(some.Sums.index_select(0, asked).equal(whole.Sums.index_select(0, asked)), "sums");
            Assert.That(some.Mixed.abs().sum([1, 2]).gt(0).sum().item<long>(), Is.EqualTo(asked.size(0)), "rows that were computed");
            Assert.That(few.Mixed.equal(whole.Mixed.index_select(0, asked)), "values of few queries");
            foreach (var (mine, other, name) in ((Tensor, Tensor, string)[])[(b.Q, a.Q, "q"), (b.K, a.K, "k"), (b.V, a.V, "v")])
                Assert.That(mine.equal(other), $"gradient by {name}");
        });
    }

    [Test]
    public void What_is_asked_for_rises_and_is_there()
    {
        using var scope = torch.NewDisposeScope();
        var (runs, x) = (Runs([[3, 2]]), torch.randn([5, 2, 8]));
        foreach (var asked in (long[][])[[1, 1], [3, 2], [-1, 2], [2, 5]])
            Assert.That(() => Fused.TreeAttention(x, x, x, null, null, runs, 1, torch.tensor(asked)), Throws.InstanceOf<TorchException>().With.Message.Contains("out of order"), string.Join(" ", asked));
        Assert.That(() => Fused.TreeAttention(x.narrow(0, 0, 3), x, x, null, null, runs, 1, torch.tensor((long[])[1, 4])), Throws.InstanceOf<TorchException>().With.Message.Contains("for 5 rows"));
        Assert.That(() => Fused.TreeAttention(x.narrow(0, 0, 3), x, x, null, null, runs, 1), Throws.InstanceOf<TorchException>().With.Message.Contains("for 5 rows"));
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

    private static RowRuns Runs(int[][] trees, bool turned = false)
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
