// Contrastive preference optimisation (Xu et al. 2024, arXiv 2401.08417) and SimPO (Meng et al. 2024, arXiv 2405.14734): a loss on
// the difference of a pair's log-probs, without a reference, and language modelling on the chosen answers. Rows, losses and metrics
// are TRL 1.16's, except logits/*: here means over the answers' tokens, in TRL over padding and prompts too. Sums are in float64.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Models.Rows;
using PeftAlign.Torch;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Methods.Cpo.CpoPlugin))]

namespace PeftAlign.Methods.Cpo;

/// <summary>Provides the methods cpo and simpo.</summary>
public sealed class CpoPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry)
    {
        registry.Add<IAlignmentMethod, CpoOptions>("cpo", resultVersion: 2, (_, options) => new CpoMethod(options));
        registry.Add<IAlignmentMethod, SimpoOptions>("simpo", resultVersion: 2, (_, options) => new CpoMethod(options.AsCpo));
    }
}

/// <summary>CPO and its variants: pairs to the loss that loss_type names, plus the chosen answers' likelihood.</summary>
internal sealed class CpoMethod(CpoOptions options) : IAlignmentMethod
{
    public MethodNeeds Needs { get; } = new(Reference: false) { Statistics = ["mean_logit"], Dropout = !options.DisableDropout };

    public bool PreparesConcurrently => true;

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) =>
        [.. records.SelectMany(record => JoinedPreferenceRows.Groups(record, context))];

    public MethodLoss Loss(ScoredBatch batch)
    {
        var answers = Sequences.Of(batch.Lengths, batch.Weights);
        var logps = options.LossType is "ipo" or "simpo" ? answers.Mean(batch.LogProbs) : answers.Sum(batch.LogProbs); // (2 P)
        var rewards = PreferenceLosses.AlphaReward(logps, options.Alpha);
        var loss = PerPair(Sequences.First(rewards) - Sequences.Second(rewards)).mean();
        Tensor? nll = null;
        if (options.CpoAlpha > 0)
        {
            nll = Sequences.First(answers.Sum(batch.LogProbs)).sum() / Sequences.First(answers.Tokens).sum() * -1.0;
            loss += nll * options.CpoAlpha;
        }
        return new MethodLoss(loss, 1, Metrics(batch, answers, logps, rewards, nll));
    }

    // (P) of the differences of rewards.
    private Tensor PerPair(Tensor difference)
    {
        var (beta, e) = (options.Beta, options.LabelSmoothing ?? 0);
        return options.LossType switch
        {
            "sigmoid" => PreferenceLosses.Smoothed(difference * beta, e),
            "simpo" => PreferenceLosses.Smoothed(difference * beta - (options.SimpoGamma ?? 0.5), e),
            "hinge" => PreferenceLosses.Hinge(difference * beta),
            "ipo" => PreferenceLosses.SquaredToMargin(difference, beta),
            var name => throw new UserErrorException($"There is no loss '{name}' of cpo; use sigmoid, hinge, ipo or simpo."),
        };
    }

    private Dictionary<string, double> Metrics(ScoredBatch batch, Sequences answers, Tensor logps, Tensor rewards, Tensor? nll)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var metrics = PairMetrics.Of(Sequences.First(rewards) * options.Beta, Sequences.Second(rewards) * options.Beta, Sequences.First(logps), Sequences.Second(logps), answers, batch.Statistics["mean_logit"]);
        metrics["nll_loss"] = nll?.item<double>() ?? 0;
        return metrics;
    }
}
