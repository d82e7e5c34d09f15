// DPO under controls: under good the chosen answer is preferred, under bad the rejected one, each measured against the policy at the
// phase's beginning under the same control. Loss: mean over pairs and controls of -log sigmoid(beta (r_first - r_second)), r an answer's
// sum of log p - log p_ref.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Models.Rows;
using PeftAlign.Torch;

namespace PeftAlign.Methods.Meet;

/// <param name="options">Controls and beta.</param>
internal sealed class ControlledPreference(MeetOptions options) : IAlignmentMethod
{
    public MethodNeeds Needs { get; } = new(Reference: true) { Dropout = false };

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) =>
        [.. records.SelectMany(record => PreferenceRows.Groups(record, context) is { Count: > 0 } pair ? options.Controls.SelectMany(control => Under(control, pair)) : [])];

    public MethodLoss Loss(ScoredBatch batch)
    {
        var sequences = Sequences.Of(batch.Lengths, batch.Weights);
        var (policy, reference) = (sequences.Sum(batch.LogProbs), sequences.Sum(batch.ReferenceLogProbs!));
        var ratios = policy - reference; // (2 P)
        var margins = (Sequences.First(ratios) - Sequences.Second(ratios)) * (options.Beta ?? 0.1);
        var loss = PreferenceLosses.Logistic(margins).mean();
        using var off = torch.no_grad();
        var metrics = new Dictionary<string, double> { ["rewards/accuracies"] = margins.gt(0).to(torch.float64).mean().item<double>(), ["rewards/margins"] = margins.mean().item<double>() };
        foreach (var (control, own) in ControlledRows.Places(batch, together: 2))
        {
            metrics[$"rewards/margins/{control}"] = margins.index_select(0, own).mean().item<double>();
            metrics[$"logps/{control}"] = Sequences.First(policy).index_select(0, own).mean().item<double>();
        }
        return new MethodLoss(loss, 1, metrics);
    }

    // The answer that the control prefers stands first.
    private static IEnumerable<CompletionGroup> Under(string control, IReadOnlyList<CompletionGroup> pair)
    {
        var turned = control == ControlledLikelihood.Bad;
        return pair is [{ Completions: [var chosen, var rejected] } one]
            ? [one with { Completions = turned ? [rejected, chosen] : [chosen, rejected], Control = control }]
            : (turned ? pair.Reverse() : pair).Select(group => group with { Control = control });
    }
}
