// Groups and answers by control.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Methods.Meet;

internal static class ControlledRows
{
    /// <summary>Each answer as a group of its own, in order.</summary>
    internal static IEnumerable<CompletionGroup> Answers(IReadOnlyList<CompletionGroup> groups) =>
        groups.SelectMany(group => group.Completions.Select(answer => group with { Completions = [answer] }));

    /// <summary>Of each control in the batch, (n) int64 the numbers of its answers, or of its pairs of answers.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="together">Answers that stand together under one control.</param>
    internal static IEnumerable<(string Control, Tensor Own)> Places(ScoredBatch batch, int together = 1)
    {
        var controls = batch.Groups.SelectMany(g => g.Completions.Select(c => g.Control ?? (c.Label == false ? ControlledLikelihood.Bad : ControlledLikelihood.Good))).Where((_, k) => k % together == 0).ToList();
        foreach (var control in controls.Distinct().Order(StringComparer.Ordinal))
            yield return (control, torch.tensor(controls.Index().Where(c => c.Item == control).Select(c => (long)c.Index).ToArray(), device: batch.LogProbs.device));
    }
}
