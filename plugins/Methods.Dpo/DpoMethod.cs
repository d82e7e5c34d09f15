// Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) and its variants: a loss on the margin between a chosen and a
// rejected answer, measured against a reference policy. Rows, losses and metrics are TRL 1.16's. Sums are in float64.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Models.Rows;
using PeftAlign.Torch;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Methods.Dpo.DpoPlugin))]

namespace PeftAlign.Methods.Dpo;

/// <summary>Provides the method dpo.</summary>
public sealed class DpoPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IAlignmentMethod, DpoOptions>("dpo", resultVersion: 2, (_, options) => new DpoMethod(options));
}

/// <summary>DPO: (chosen, rejected) pairs to a loss by one or several of <see cref="DpoLosses"/>.</summary>
internal sealed class DpoMethod : IAlignmentMethod
{
    private readonly DpoOptions options;

    internal DpoMethod(DpoOptions options)
    {
        DpoLosses.Check(options);
        this.options = options;
        Needs = new MethodNeeds(Reference: true)
        {
            Statistics = ["entropy", "mean_logit", "argmax_hit", .. options.UseWeighting ? (string[])["log_sum_square"] : []],
            Dropout = !options.DisableDropout,
        };
    }

    public MethodNeeds Needs { get; }

    public bool PreparesConcurrently => true;

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) =>
        [.. records.SelectMany(record => PreferenceRows.Groups(record, context))];

    public MethodLoss Loss(ScoredBatch batch)
    {
        var pairs = PairScores.Of(batch, options);
        var weights = options.UseWeighting ? PairScores.Weights(batch) : null;
        var loss = torch.zeros([], torch.float64, batch.LogProbs.device);
        for (var k = 0; k < options.LossType.Count; k++)
        {
            var values = DpoLosses.Of(options.LossType[k], pairs, options);
            loss = loss + (weights is null ? values : values * weights).mean() * (options.LossWeights?[k] ?? 1);
        }
        return new MethodLoss(loss, 1, Metrics(batch, pairs));
    }

    private Dictionary<string, double> Metrics(ScoredBatch batch, PairScores pairs)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var answers = Sequences.Of(batch.Lengths, batch.Weights);
        var (chosenRewards, rejectedRewards) = (pairs.Chosen.Ratios * options.Beta, pairs.Rejected.Ratios * options.Beta);
        var metrics = PairMetrics.Of(chosenRewards, rejectedRewards, pairs.Chosen.LogProbs, pairs.Rejected.LogProbs, answers, batch.Statistics["mean_logit"]);
        metrics["entropy"] = answers.TokenMean(batch.Statistics["entropy"]).item<double>();
        // TRL's accuracy is that of the chosen answers.
        var (hits, tokens) = (Sequences.First(answers.Sum(batch.Statistics["argmax_hit"])), Sequences.First(answers.Tokens));
        metrics["mean_token_accuracy"] = (hits.sum() / tokens.sum()).item<double>();
        return metrics;
    }
}
