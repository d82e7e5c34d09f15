// log p(target) from hidden rows through the output head, in chunks. Logits of a chunk live only while it is worked on:
// the backward pass computes them again from the rows and the kept log-sum-exp, so full logits are never stored.

using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>apply(hidden (N, d), head (V, d), targets (N)); returns (N) log-probs in float32 (float64 for float64 rows).</summary>
internal sealed class HeadLogProbs : torch.autograd.SingleTensorFunction<HeadLogProbs>
{
    /// <summary>Rows of one chunk: 32 MB of logits at 32,000 entries.</summary>
    internal const long ChunkRows = 256;

    public override string Name => "HeadLogProbs";

    public override Tensor forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (hidden, head, targets) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2]);
        var sums = new List<Tensor>();
        var picked = new List<Tensor>();
        using var scope = torch.NewDisposeScope();
        foreach (var (h, y) in Chunks(hidden, targets))
        {
            var logits = Logits(h, head);
            var sum = logits.logsumexp(-1);
            picked.Add(logits.gather(1, y.unsqueeze(1)).squeeze(1) - sum);
            sums.Add(sum);
        }
        var logSums = torch.cat(sums).MoveToOuterDisposeScope();
        ctx.save_for_backward([hidden, head, targets, logSums]);
        return torch.cat(picked).MoveToOuterDisposeScope();
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, Tensor grad_output)
    {
        var saved = ctx.get_saved_variables();
        var (hidden, head, targets, logSums) = (saved[0], saved[1], saved[2], saved[3]);
        var dhidden = torch.empty_like(hidden);
        var dhead = head.requires_grad ? torch.zeros_like(head) : null;
        using (torch.NewDisposeScope())
        {
            long first = 0;
            foreach (var (h, y) in Chunks(hidden, targets))
            {
                var n = h.size(0);
                var weight = grad_output.narrow(0, first, n).unsqueeze(1);
                // d log p(y) / d logits = onehot(y) - softmax(logits)
                var dlogits = (Logits(h, head) - logSums.narrow(0, first, n).unsqueeze(1)).exp_().neg_();
                dlogits.scatter_add_(1, y.unsqueeze(1), torch.ones_like(weight));
                dlogits = dlogits.mul_(weight).to(h.dtype);
                dhidden.narrow(0, first, n).copy_(dlogits.mm(head));
                dhead?.addmm_(dlogits.t(), h);
                first += n;
            }
        }
        return [dhidden, dhead, null];
    }

    /// <summary>For each row whether the target is the most probable token.</summary>
    internal static bool[] Hits(Tensor hidden, Tensor head, Tensor targets)
    {
        using var scope = torch.NewDisposeScope();
        return torch.cat(Chunks(hidden, targets).Select(c => Logits(c.Hidden, head).argmax(1).eq(c.Targets)).ToList()).data<bool>().ToArray();
    }

    private static Tensor Logits(Tensor h, Tensor head)
    {
        var logits = h.mm(head.t());
        return logits.dtype is torch.ScalarType.Float64 ? logits : logits.to(torch.ScalarType.Float32);
    }

    private static IEnumerable<(Tensor Hidden, Tensor Targets)> Chunks(Tensor hidden, Tensor targets)
    {
        var rows = hidden.size(0);
        for (long first = 0; first < rows; first += ChunkRows)
        {
            var n = Math.Min(ChunkRows, rows - first);
            yield return (hidden.narrow(0, first, n), targets.narrow(0, first, n));
        }
    }
}
