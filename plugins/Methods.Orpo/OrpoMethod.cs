// Odds ratio preference optimisation (Hong et al. 2024, arXiv 2403.07691): language modelling on prompt and chosen answer, and the
// log-odds of the chosen answer over the rejected one, without a reference. Rows, loss and metrics are TRL 1.16's, except logits/*:
// here means over the answers' tokens, in TRL over padding and prompts too. Sums are taken in float64.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Models.Rows;
using PeftAlign.Torch;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Methods.Orpo.OrpoPlugin))]

namespace PeftAlign.Methods.Orpo;

/// <summary>Provides the method orpo.</summary>
public sealed class OrpoPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IAlignmentMethod, OrpoOptions>("orpo", resultVersion: 2, (_, options) => new OrpoMethod(options));
}

/// <summary>Options of orpo.</summary>
public sealed class OrpoOptions
{
    /// <summary>Weight of the odds-ratio term relative to the language-modelling term (lambda in the paper); rewards are beta times mean log-probs.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    public double Beta { get; set; } = 0.1;

    /// <summary>Leave the adapter's dropout off.</summary>
    public bool DisableDropout { get; set; } = true;
}

/// <summary>ORPO: a row becomes two groups, the chosen sequence, trained as a whole, and the rejected answer.</summary>
internal sealed class OrpoMethod(OrpoOptions options) : IAlignmentMethod
{
    public MethodNeeds Needs { get; } = new(Reference: false) { Statistics = ["mean_logit"], Dropout = !options.DisableDropout };

    public bool PreparesConcurrently => true;

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) =>
        [.. records.SelectMany(record => Row(record, context))];

    public MethodLoss Loss(ScoredBatch batch)
    {
        var whole = Sequences.Of(batch.Lengths, batch.Weights);
        var answers = Sequences.Of(batch.Lengths, AnswerWeights(batch));
        var means = answers.Mean(batch.LogProbs); // (2 P)
        var (chosen, rejected) = (Sequences.First(means), Sequences.Second(means));
        var nll = Sequences.First(whole.Sum(batch.LogProbs)).sum() / Sequences.First(whole.Tokens).sum() * -1.0;
        var odds = PreferenceLosses.LogOdds(chosen) - PreferenceLosses.LogOdds(rejected);
        var ratio = PreferenceLosses.Logistic(odds).mean();
        return new MethodLoss(nll + ratio * options.Beta, 1, Metrics(batch, answers, new Parts(chosen, rejected, nll, ratio, odds)));
    }

    private sealed record Parts(Tensor Chosen, Tensor Rejected, Tensor Nll, Tensor Ratio, Tensor Odds);

    private Dictionary<string, double> Metrics(ScoredBatch batch, Sequences answers, Parts parts)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var metrics = PairMetrics.Of(parts.Chosen * options.Beta, parts.Rejected * options.Beta, parts.Chosen, parts.Rejected, answers, batch.Statistics["mean_logit"]);
        metrics["nll_loss"] = parts.Nll.item<double>();
        metrics["log_odds_ratio"] = -parts.Ratio.item<double>();
        metrics["log_odds_chosen"] = parts.Odds.mean().item<double>();
        return metrics;
    }

    // The chosen sequence is predicted from its first token on; the recorded length says how much of its end is the answer.
    private static IEnumerable<CompletionGroup> Row(DataRecord record, PrepareContext context)
    {
        var pair = JoinedPreferenceRows.Groups(record, context);
        if (pair.Count == 0) return [];
        var (prompt, answer) = (pair[0].Prompt, pair[0].Completions[0]);
        context.Ledger.TokensTrained += prompt.Length - 1;
        var chosen = Completion.Of([.. prompt[1..], .. answer.Tokens]) with { RecordedLength = answer.Tokens.Length };
        return [new CompletionGroup(prompt[..1], [chosen]), new CompletionGroup(pair[^1].Prompt, [pair[^1].Completions[^1] with { RecordedLength = pair[^1].Completions[^1].Tokens.Length }])];
    }

    // (N) the weights without the prompts that are trained.
    private static Tensor AnswerWeights(ScoredBatch batch)
    {
        var weights = batch.Groups.SelectMany(g => g.Completions).SelectMany(c => c.Weights.Select((w, t) => t < c.Tokens.Length - c.RecordedLength ? 0 : w));
        return torch.tensor(weights.ToArray(), device: batch.Weights.device);
    }
}
