// log p(target) from hidden rows through the output head, in chunks: logits of a chunk live only while it is worked on, and what else
// is asked of them (HeadAnswers) is taken then. Under a frozen head the gradient by a row is a number times a vector that the
// forward pass knows (W[y] - p W): that vector is kept and the backward pass needs no logits. For a trained head the backward pass
// computes the logits again.

using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>
/// apply(hidden (N, d), head (V, d), targets (N), answers); returns (N) log-probs, then, where the answers ask for it, (N) means of
/// the log-probs of the whole vocabulary; in float32 (float64 for float64 rows).
/// </summary>
internal sealed class HeadLogProbs : torch.autograd.MultiTensorFunction<HeadLogProbs>
{
    /// <summary>Rows of one chunk: 32 MB of logits at 32,000 entries.</summary>
    internal const long ChunkRows = 256;

    public override string Name => "HeadLogProbs";

    /// <summary>(N) log-probs alone.</summary>
    internal static Tensor Of(Tensor hidden, Tensor head, Tensor targets, long rows = ChunkRows) => apply(hidden, head, targets, new HeadAnswers([], rows))[0];

    public override List<Tensor> forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (hidden, head, targets, answers) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (HeadAnswers)vars[3]);
        var (frozen, picked, means) = (!head.requires_grad, new List<Tensor>(), new List<Tensor>());
        using var scope = torch.NewDisposeScope();
        var slopes = frozen && hidden.requires_grad ? torch.empty_like(hidden) : null;
        var meanSlopes = slopes is not null && answers.MeanLogProb ? torch.empty_like(hidden) : null;
        var meanRow = meanSlopes is null ? null : head.mean([0]); // (d)
        foreach (var (h, y, first) in Chunks(hidden, targets, answers.Rows))
        {
            using var inner = torch.NewDisposeScope();
            var logits = h.mm(head.t());
            var logProbs = LogSoftmax(logits);
            picked.Add(logProbs.gather(1, y.unsqueeze(1)).squeeze(1).MoveToOuterDisposeScope());
            if (answers.MeanLogProb) means.Add(logProbs.mean([1]).MoveToOuterDisposeScope());
            answers.Take(logits, logProbs, y);
            if (slopes is null) continue;
            var expected = logProbs.exp_().to(h.dtype).mm(head); // p W
            slopes.narrow(0, first, h.size(0)).copy_(head.index_select(0, y).sub_(expected));
            meanSlopes?.narrow(0, first, h.size(0)).copy_(meanRow! - expected);
        }
        ctx.save_data("answers", answers);
        ctx.save_for_backward(frozen ? [.. new[] { slopes, meanSlopes }.OfType<Tensor>().Select(t => t.MoveToOuterDisposeScope())] : [hidden, head, targets]);
        answers.Join();
        var logProb = torch.cat(picked).MoveToOuterDisposeScope();
        return answers.MeanLogProb ? [logProb, torch.cat(means).MoveToOuterDisposeScope()] : [logProb];
    }

    public override List<Tensor?> backward(torch.autograd.AutogradContext ctx, List<Tensor> grad_outputs)
    {
        var saved = ctx.get_saved_variables();
        var (answers, byTarget) = ((HeadAnswers)ctx.get_data("answers")!, grad_outputs[0].unsqueeze(1)); // (N, 1)
        var byMean = answers.MeanLogProb ? grad_outputs[1].unsqueeze(1) : null;
        if (saved.Count < 3)
        {
            var gradient = saved[0] * byTarget.to(saved[0].dtype);
            return [byMean is null ? gradient : gradient.addcmul_(saved[1], byMean.to(saved[1].dtype), 1), null, null];
        }
        var (hidden, head, targets) = (saved[0], saved[1], saved[2]);
        var dhidden = torch.empty_like(hidden);
        var dhead = torch.zeros_like(head);
        foreach (var (h, y, first) in Chunks(hidden, targets, answers.Rows))
        {
            using var inner = torch.NewDisposeScope();
            var (target, mean) = (byTarget.narrow(0, first, h.size(0)), byMean?.narrow(0, first, h.size(0)));
            // by the logits: d log p(y) = onehot(y) - p, and the mean's is 1 / V - p
            var dlogits = LogSoftmax(h.mm(head.t())).exp_().mul_((mean is null ? target : target + mean).neg());
            if (mean is not null) dlogits.add_(mean / head.size(0));
            dlogits = dlogits.scatter_add_(1, y.unsqueeze(1), target).to(h.dtype);
            dhidden.narrow(0, first, h.size(0)).copy_(dlogits.mm(head));
            dhead.addmm_(dlogits.t(), h);
        }
        return [dhidden, dhead, null];
    }

    /// <summary>Without gradients: log-probs, and for each row whether the target is the most probable token.</summary>
    internal static (double[] LogProbs, bool[] Hits) Scored(Tensor hidden, Tensor head, Tensor targets, long rows = ChunkRows)
    {
        using var scope = torch.NewDisposeScope();
        var answers = new HeadAnswers([HeadAnswers.ArgmaxHit], rows);
        var logProbs = apply(hidden, head, targets, answers)[0];
        return (logProbs.to(torch.float64).cpu().data<double>().ToArray(), answers.Statistics[HeadAnswers.ArgmaxHit].ne(0).cpu().data<bool>().ToArray());
    }

    private static Tensor LogSoftmax(Tensor logits) =>
        logits.log_softmax(-1, logits.dtype == torch.float64 ? torch.float64 : torch.float32);

    private static IEnumerable<(Tensor Hidden, Tensor Targets, long First)> Chunks(Tensor hidden, Tensor targets, long rows)
    {
        var total = hidden.size(0);
        for (long first = 0; first < total; first += rows)
        {
            var n = Math.Min(rows, total - first);
            yield return (hidden.narrow(0, first, n), targets.narrow(0, first, n), first);
        }
    }
}
