// log p(target) from hidden rows through the output head. In float32 or bfloat16 on the processor one kernel computes it, and all else that a
// forward pass needs, without logits in memory; elsewhere, and where logits are capped, it is computed in chunks: logits of a chunk live only while
// it is worked on, and what else is asked of them (HeadAnswers) is taken then. Under a frozen head the gradient by a row is a number
// times a vector that the forward pass knows (W[y] - p W, where logits are not capped): that vector is kept and the backward pass
// needs no logits. For a trained head, or a trained bias, the backward pass computes them, in chunks, and adds to the head's gradient itself where it is told to.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Engine;

/// <summary>
/// apply(hidden (N, d), head (V, d), targets (N), answers[, whether the head's own gradient is added to[, bias (V)]]); returns (N) log-probs, then, where the answers ask for it, (N) means of
/// the log-probs of the whole vocabulary; in float32 (float64 for float64 rows).
/// </summary>
internal sealed class HeadLogProbs : torch.autograd.MultiTensorFunction<HeadLogProbs>
{
    /// <summary>Rows of one chunk where logits are needed: 32 MB of them at 32,000 entries.</summary>
    internal const long ChunkRows = 256;

    public override string Name => "HeadLogProbs";

    public override List<Tensor> forward(torch.autograd.AutogradContext ctx, params object[] vars)
    {
        var (hidden, head, targets, answers) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (HeadAnswers)vars[3]);
        var bias = vars.Length > 5 ? (Tensor)vars[5] : null;
        var (frozen, picked, means) = (!head.requires_grad && bias is not { requires_grad: true }, new List<Tensor>(), new List<Tensor>());
        using var scope = torch.NewDisposeScope();
        var slopes = frozen && hidden.requires_grad ? torch.empty_like(hidden) : null;
        var meanSlopes = slopes is not null && answers.MeanLogProb ? torch.empty_like(hidden) : null;
        var bare = TokenDistributions.NeedNoLogits(hidden, head, answers.Cap);
        foreach (var (h, y, first) in Chunks(hidden, targets, bare ? hidden.size(0) : answers.Rows))
        {
            using var inner = torch.NewDisposeScope();
            var rows = bare ? TokenDistributions.Under(h, (head, bias), y, slopes is not null) : TokenDistributions.Of(Logits(h, head, answers.Cap, bias), y, slopes is not null, answers.Cap);
            picked.Add(rows[TargetFigure.LogProb].MoveToOuterDisposeScope());
            if (answers.MeanLogProb) means.Add(rows[TargetFigure.MeanLogProb].MoveToOuterDisposeScope());
            answers.Take(rows);
            meanSlopes?.narrow(0, first, h.size(0)).copy_(rows.MeanSlopes(head));
            slopes?.narrow(0, first, h.size(0)).copy_(rows.Slopes(head));
        }
        ctx.save_data("answers", answers);
        ctx.save_data("adds", vars.Length > 4 && (bool)vars[4]);
        ctx.save_data("trains", head.requires_grad);
        ctx.save_data("biased", bias is not null);
        ctx.save_for_backward(frozen ? [.. new[] { slopes, meanSlopes }.OfType<Tensor>().Select(t => t.MoveToOuterDisposeScope())] : bias is null ? [hidden, head, targets] : [hidden, head, targets, bias]);
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
            var slopes = byMean is null ? gradient : gradient.add_(saved[1] * byMean.to(saved[1].dtype));
            return (bool)ctx.get_data("biased")! ? [slopes, null, null, null] : [slopes, null, null];
        }
        var (hidden, head, targets, bias) = (saved[0], saved[1], saved[2], saved.Count > 3 ? saved[3] : null);
        var dhidden = torch.empty_like(hidden);
        var narrow = head.dtype is torch.ScalarType.BFloat16 or torch.ScalarType.Float16;
        using var sum = (bool)ctx.get_data("adds")! ? head.grad : null;
        var type = narrow ? torch.float32 : head.dtype; // of sums over many rows
        var dhead = sum ?? ((bool)ctx.get_data("trains")! ? torch.zeros(head.shape, type, head.device) : null);
        var dbias = bias is null ? null : torch.zeros(bias.shape, type, bias.device);
        foreach (var (h, y, first) in Chunks(hidden, targets, answers.Rows))
        {
            using var inner = torch.NewDisposeScope();
            var (target, mean) = (byTarget.narrow(0, first, h.size(0)), byMean?.narrow(0, first, h.size(0)));
            var dlogits = TokenDistributions.Of(Logits(h, head, answers.Cap, bias), y, gradients: true, answers.Cap).ByLogits(target, mean).to(h.dtype);
            dhidden.narrow(0, first, h.size(0)).copy_(Products.Of(dlogits, head));
            if (dhead is not null) Products.Add(dhead, (dlogits.t(), h, 1));
            dbias?.add_(dlogits.sum([0], type: type));
        }
        var own = sum is null ? dhead?.to(head.dtype) : null;
        return dbias is null ? [dhidden, own, null] : [dhidden, own, null, dbias.to(bias!.dtype)];
    }

    /// <summary>Without gradients: log-probs, whether each target is the most probable token, and the most probable ones.</summary>
    /// <param name="hidden">(N, d)</param>
    /// <param name="head">The head.</param>
    /// <param name="targets">(N) int64.</param>
    /// <param name="top">Most probable tokens to report.</param>
    /// <param name="rows">Rows of one chunk.</param>
    /// <param name="cap">Of the logits; 0 for none.</param>
    internal static IEnumerable<TokenScore> Scored(Tensor hidden, HeadForm head, Tensor targets, int top, long rows = ChunkRows, double cap = 0)
    {
        var bare = top == 0 && head.Change is null && TokenDistributions.NeedNoLogits(hidden, head.Layer.Weight, cap);
        foreach (var (h, y, _) in Chunks(hidden, targets, bare ? hidden.size(0) : rows))
        {
            using var scope = torch.NewDisposeScope();
            var logits = bare ? null : head.Logits(h, cap);
            var best = top > 0 ? Top(LogSoftmax(logits!), Math.Min(top, logits!.size(1))) : null;
            var all = bare ? TokenDistributions.Under(h, (head.Layer.Weight, head.Layer.Bias), y, slopes: false) : TokenDistributions.Of(logits!, y, gradients: false, cap);
            double[] Figure(TargetFigure figure) => all[figure].to(torch.float64).cpu().data<double>().ToArray();
            var (values, hits) = (Figure(TargetFigure.LogProb), Figure(TargetFigure.ArgmaxHit));
            for (var k = 0; k < values.Length; k++) yield return new TokenScore(values[k], hits[k] > 0, best?[k] ?? []);
        }
    }

    private static TokenLogProb[][] Top(Tensor logProbs, long top)
    {
        var (values, ids) = logProbs.topk((int)top, 1);
        var (v, i) = (values.to(torch.float64).cpu().contiguous().data<double>().ToArray(), ids.cpu().contiguous().data<long>().ToArray());
        return [.. v.Zip(i, (value, id) => new TokenLogProb((int)id, value)).Chunk((int)top)];
    }

    /// <summary>(N, V) capped where cap is not 0.</summary>
    internal static Tensor Logits(Tensor h, Tensor head, double cap, Tensor? bias = null)
    {
        var logits = Products.Linear(h, head, bias);
        return cap == 0 ? logits : logits.div_(cap).tanh().mul_(cap);
    }

    /// <summary>In float32, or float64 of such logits.</summary>
    internal static Tensor LogSoftmax(Tensor logits) =>
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

/// <summary>What is said of one token.</summary>
/// <param name="LogProb">Natural logarithm of its probability.</param>
/// <param name="Hit">Whether it is the most probable one.</param>
/// <param name="Top">The most probable ones, best first.</param>
internal readonly record struct TokenScore(double LogProb, bool Hit, IReadOnlyList<TokenLogProb> Top);
