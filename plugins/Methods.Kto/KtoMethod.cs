// Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306): single answers, each desirable or not, against a
// reference and against z0, an estimate of the policy's divergence from it by answers that belong to other prompts. Also APO-zero
// for single answers (D'Oosterlinck et al. 2024). Rows, losses and metrics are TRL 1.16's. Sums are taken in float64.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Methods.Kto.KtoPlugin))]

namespace PeftAlign.Methods.Kto;

/// <summary>Provides the method kto.</summary>
public sealed class KtoPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IAlignmentMethod, KtoOptions>("kto", resultVersion: 3, (_, options) => new KtoMethod(options));
}

/// <summary>Options of kto.</summary>
[ContractTraits("reference", "mixes-answers:loss_type=kto")]
public sealed class KtoOptions
{
    /// <summary>kto, or apo_zero_unpaired, which measures from 0 instead of z0.</summary>
    [OptionChoices("kto", "apo_zero_unpaired")]
    public string LossType { get; set; } = "kto";

    /// <summary>How strongly the policy is pulled to its reference; rewards are beta times log-ratios.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    public double Beta { get; set; } = 0.1;

    /// <summary>Weight of desirable answers. For n desirable and m undesirable ones, n times this over m times undesirable_weight should be between 1 and 4/3.</summary>
    [OptionRange(0)]
    public double DesirableWeight { get; set; } = 1;

    /// <summary>Weight of undesirable answers.</summary>
    [OptionRange(0)]
    public double UndesirableWeight { get; set; } = 1;

    /// <summary>Leave the adapter's dropout off, so that policy and reference are compared as they are.</summary>
    public bool DisableDropout { get; set; } = true;
}

/// <summary>KTO: a row becomes its own answer and, without gradient, the answer of the previous row in the batch, from which z0 is estimated.</summary>
internal sealed class KtoMethod(KtoOptions options) : IAlignmentMethod, IArrangesRecords
{
    private bool Measures => options.LossType == "kto";

    public MethodNeeds Needs { get; } = new(Reference: true) { Statistics = ["entropy", "mean_logit"], Dropout = !options.DisableDropout };

    public IReadOnlyList<DataRecord> Arrange(IReadOnlyList<DataRecord> records, PrepareContext context)
    {
        var batch = context.TrainingBatchSize ?? context.BatchSize;
        if (Measures && batch < 2)
            throw new UserErrorException($"kto takes its answers for z0 from other rows of a batch, and batch_size is {batch}: z0 would be the rewards themselves. Give at least 2, or loss_type apo_zero_unpaired.");
        return KtoRows.Arrange(records, Measures, context);
    }

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) => KtoRows.Groups(records, Measures, context);

    public MethodLoss Loss(ScoredBatch batch)
    {
        var sequences = Sequences.Of(batch.Lengths, batch.Weights);
        var completions = batch.Groups.SelectMany(g => g.Completions).ToList();
        var rows = new Rows(completions, batch.LogProbs.device);
        var (policy, reference) = (sequences.Sum(batch.LogProbs), sequences.Sum(batch.ReferenceLogProbs!)); // (K)
        var ratios = policy - reference;
        var kl = Measures ? (ratios.detach() * rows.Others).sum().div(rows.Count).clamp(min: 0) : torch.zeros([], torch.float64, ratios.device);
        // 1 for a desirable answer, -1 for another, 0 for what is only measured.
        var signs = rows.Desirable - rows.Undesirable;
        var weights = rows.Desirable * options.DesirableWeight + rows.Undesirable * options.UndesirableWeight;
        var loss = (PreferenceLosses.Kto((ratios - kl) * signs * options.Beta) * weights).sum().div(rows.Count);
        return new MethodLoss(loss, 1, Metrics(batch, sequences, rows, policy, ratios, kl));
    }

    private Dictionary<string, double> Metrics(ScoredBatch batch, Sequences sequences, Rows rows, Tensor policy, Tensor ratios, Tensor kl)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var own = rows.Desirable + rows.Undesirable;
        double Mean(Tensor values, Tensor of) => ((values * of).sum() / of.sum()).item<double>();
        double TokenMean(string statistic, Tensor of) => ((sequences.Sum(batch.Statistics[statistic]) * of).sum() / (sequences.Tokens * of).sum()).item<double>();
        var metrics = new Dictionary<string, double> { ["kl"] = kl.item<double>(), ["entropy"] = TokenMean("entropy", own) };
        foreach (var (side, of, count) in ((string, Tensor, int)[])[("chosen", rows.Desirable, rows.DesirableCount), ("rejected", rows.Undesirable, rows.Count - rows.DesirableCount)])
        {
            if (count == 0) continue; // a class that is not in the batch has no numbers
            metrics[$"logits/{side}"] = TokenMean("mean_logit", of);
            metrics[$"rewards/{side}"] = Mean(ratios, of) * options.Beta;
            metrics[$"logps/{side}"] = Mean(policy, of);
        }
        if (metrics.TryGetValue("rewards/chosen", out var chosen) && metrics.TryGetValue("rewards/rejected", out var rejected)) metrics["rewards/margins"] = chosen - rejected;
        return metrics;
    }

    // Which of the K completions are what, as (K) float64 of 0 and 1.
    private sealed class Rows(List<Completion> completions, torch.Device device)
    {
        internal Tensor Desirable { get; } = Marks(completions, device, c => c is { Gradient: true, Label: true });

        internal Tensor Undesirable { get; } = Marks(completions, device, c => c is { Gradient: true, Label: false });

        /// <summary>Answers of other rows.</summary>
        internal Tensor Others { get; } = Marks(completions, device, c => !c.Gradient);

        internal int Count { get; } = completions.Count(c => c.Gradient);

        internal int DesirableCount { get; } = completions.Count(c => c is { Gradient: true, Label: true });

        private static Tensor Marks(List<Completion> completions, torch.Device device, Func<Completion, bool> holds) =>
            torch.tensor<double>([.. completions.Select(c => holds(c) ? 1.0 : 0.0)], device: device);
    }
}
