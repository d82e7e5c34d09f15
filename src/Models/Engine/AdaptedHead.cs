// The head's answers where an adapter changes its products: logits of a chunk are computed with the change beside the matrix, live
// while the chunk is worked on, and are computed again in the backward pass. No copy of the matrix, and no gradient of it. Logits that a
// change leaves as they are have the log-probs of the unchanged head, bit for bit, so that a new adapter's margins are exactly 0.

using PeftAlign.Models.Decoders;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Engine;

internal static class AdaptedHead
{
    /// <summary>What <see cref="HeadLogProbs"/> gives, of a head under a change.</summary>
    /// <param name="head">The head.</param>
    /// <param name="hidden">(N, d)</param>
    /// <param name="targets">(N) int64.</param>
    /// <param name="answers">What is asked for.</param>
    /// <param name="mask">(N, d) what dropout of a rate multiplies the change's input by; null = no dropout.</param>
    internal static List<Tensor> LogProbs(HeadForm head, Tensor hidden, Tensor targets, HeadAnswers answers, Func<double, Tensor>? mask)
    {
        using var scope = torch.NewDisposeScope();
        var rates = mask is null ? [] : head.DropoutRates.ToList();
        var masks = rates.ConvertAll(rate => mask!(rate).split(answers.Rows));
        var (picked, means, rows) = (new List<Tensor>(), new List<Tensor>(), targets.split(answers.Rows));
        foreach (var (k, h) in hidden.split(answers.Rows).Index())
        {
            using var inner = torch.NewDisposeScope();
            var outputs = Recomputed.Of(flowing => Chunk(head, rates, flowing, answers), [h, rows[k], .. masks.Select(m => m[k])], [.. head.Trained.Distinct()]);
            picked.Add(outputs[0].MoveToOuterDisposeScope());
            if (answers.MeanLogProb) means.Add(outputs[1].MoveToOuterDisposeScope());
            if (answers.Asks) Take(head, rates, [h.detach(), rows[k], .. masks.Select(m => m[k])], answers);
        }
        answers.Join();
        var logProbs = torch.cat(picked).MoveToOuterDisposeScope();
        return answers.MeanLogProb ? [logProbs, torch.cat(means).MoveToOuterDisposeScope()] : [logProbs];
    }

    // Flowing: rows, targets, and a mask for each rate.
    private static Tensor[] Chunk(HeadForm head, List<double> rates, IReadOnlyList<Tensor> flowing, HeadAnswers answers)
    {
        var logits = Logits(head, rates, flowing, answers);
        if (answers.Cap == 0 && Fused.Has(logits.device, logits.dtype)) return [.. LogitLogProbs.apply(logits, flowing[1], answers.MeanLogProb, TokenDistributions.NeedNoLogits(flowing[0], head.Layer.Weight, answers.Cap))];
        var logProbs = HeadLogProbs.LogSoftmax(logits);
        var picked = logProbs.gather(1, flowing[1].unsqueeze(1)).squeeze(1);
        return answers.MeanLogProb ? [picked, logProbs.mean([1])] : [picked];
    }

    // Statistics carry no gradient.
    private static void Take(HeadForm head, List<double> rates, IReadOnlyList<Tensor> flowing, HeadAnswers answers)
    {
        using var off = torch.no_grad();
        answers.Take(TokenDistributions.Of(Logits(head, rates, flowing, answers), flowing[1], gradients: false, answers.Cap));
    }

    private static Tensor Logits(HeadForm head, List<double> rates, IReadOnlyList<Tensor> flowing, HeadAnswers answers) =>
        head.Logits(flowing[0], answers.Cap, (x, rate) => rates.IndexOf(rate) is >= 0 and var k ? x * flowing[2 + k] : x);
}
