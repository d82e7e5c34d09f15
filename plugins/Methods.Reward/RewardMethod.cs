// Reward models (Bradley and Terry 1952; Ouyang et al. 2022): a score head gives each answer a number, which training makes larger for
// the chosen answer than for the rejected one. Rows, loss and metrics are TRL 1.16's.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Torch;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Methods.Reward.RewardPlugin))]

namespace PeftAlign.Methods.Reward;

/// <summary>Provides the method reward.</summary>
public sealed class RewardPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IAlignmentMethod, RewardOptions>("reward", resultVersion: 3, (_, options) => new RewardMethod(options));
}

/// <summary>Options of reward.</summary>
[ContractTraits("scores")]
public sealed class RewardOptions
{
    /// <summary>Weight of the mean of (R_w + R_l)^2, which keeps rewards near 0; 0.01 is usual, 0 where not given.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    public double? CenterRewardsCoefficient { get; set; }

    /// <summary>Leave the adapter's dropout off.</summary>
    public bool DisableDropout { get; set; } = true;
}

/// <summary>Reward modelling: the Bradley-Terry loss of each pair's scores.</summary>
internal sealed class RewardMethod(RewardOptions options) : IAlignmentMethod
{
    public MethodNeeds Needs { get; } = new(Reference: false) { Scores = true, Dropout = !options.DisableDropout };

    public bool PreparesConcurrently => true;

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) =>
        [.. records.SelectMany(record => RewardRows.Groups(record, context))];

    public MethodLoss Loss(ScoredBatch batch)
    {
        var rewards = Sequences.Of(batch.Lengths, batch.Weights).Sum(batch.LogProbs); // (2 P)
        var (chosen, rejected) = (Sequences.First(rewards), Sequences.Second(rewards));
        var margins = Sequences.First(torch.tensor<double>([.. batch.Groups.SelectMany(g => g.Completions).Select(c => c.Margin)], device: rewards.device));
        var loss = PreferenceLosses.Logistic(chosen - rejected - margins).mean();
        if (options.CenterRewardsCoefficient is { } weight) loss += (chosen + rejected).square().mean() * weight;
        using var off = torch.no_grad();
        return new MethodLoss(loss, 1, new Dictionary<string, double>
        {
            ["min_reward"] = rewards.min().item<double>(),
            ["mean_reward"] = rewards.mean().item<double>(),
            ["max_reward"] = rewards.max().item<double>(),
            ["accuracy"] = chosen.gt(rejected).to(torch.float64).mean().item<double>(),
            ["margin"] = (chosen - rejected).mean().item<double>(),
        });
    }
}
