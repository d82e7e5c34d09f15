// Before the first update, a policy that starts at its reference gives every token the reference's log-prob: margins are 0, DPO's loss
// is log 2. If it does not, everything after would be measured against the wrong reference, so the run stops there.

using PeftAlign.Abstractions;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Training;

internal static class StartInvariant
{
    /// <summary>Natural logarithms, per token: what other packs, or rounding to bfloat16, may change.</summary>
    private static double Tolerance(torch.ScalarType type) => type is torch.ScalarType.Float32 or torch.ScalarType.Float64 ? 1e-3 : 0.5;

    /// <summary>Checks the first micro-batch of a new run.</summary>
    /// <param name="engine">Scores the policy again where its dropout hides what is compared.</param>
    /// <param name="policy">The policy at its start.</param>
    /// <param name="groups">The micro-batch.</param>
    /// <param name="pass">Its log-probs.</param>
    /// <param name="compute">What the model computes in.</param>
    /// <param name="dropout">Whether they were computed under dropout.</param>
    /// <exception cref="UserErrorException">Policy and reference differ.</exception>
    internal static void Check(LogProbEngine engine, TrainedPolicy policy, IReadOnlyList<CompletionGroup> groups, BatchPass pass, torch.ScalarType compute, bool dropout)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        if (!policy.StartsAtReference || pass.Reference is null) return;
        var own = dropout ? engine.LogProbs(groups, policy.Mode) : pass.LogProbs.detach();
        var apart = (own - pass.Reference).abs().max().item<double>();
        if (apart <= Tolerance(compute)) return;
        throw new UserErrorException($"Before the first update the policy and its reference should be the same, but a token's log-probs differ by {apart:0.######}. The reference log-probs belong to other weights, or the adapter does not start where it was saved; remove stored reference log-probs, or name the reference (reference: base, or a folder).");
    }
}
