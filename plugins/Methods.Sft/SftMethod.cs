// Supervised fine-tuning: token-mean negative log-likelihood of the trained tokens, or dynamic fine-tuning's (Wu et al. 2025,
// arXiv 2508.05629), where each token's loss is weighed by its own probability. Rows become tokens as TRL 1.16 makes them;
// metrics are its entropy (nats) and mean_token_accuracy over the trained tokens.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Models.Rows;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Methods.Sft.SftPlugin))]

namespace PeftAlign.Methods.Sft;

/// <summary>Provides the method sft.</summary>
public sealed class SftPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IAlignmentMethod, SftOptions>("sft", resultVersion: 4, (_, options) => new SftMethod(options));
}

/// <summary>Options of sft.</summary>
[ContractTraits("packs")]
public sealed class SftOptions
{
    /// <summary>nll: negative log-likelihood; dft: each token's weighed by its own probability.</summary>
    [OptionChoices("nll", "dft")]
    public string LossType { get; set; } = "nll";

    /// <summary>Label smoothing: share of the loss that is the mean over the vocabulary instead of the token's own.</summary>
    [OptionRange(0, 1)]
    [OptionOnlyWith("loss_type", "nll")]
    public double LabelSmoothingFactor { get; set; }

    /// <summary>
    /// Train only the completion of rows that have a prompt, and in rows of tokens only those that completion_mask marks; off trains the
    /// prompt as well. Where it is not given, prompts are not trained, and completion_mask counts only in rows that also hold prompt and completion.
    /// </summary>
    public bool? CompletionOnlyLoss { get; set; }

    /// <summary>In conversations, train only what the chat template marks as the assistant's (generation blocks).</summary>
    public bool AssistantOnlyLoss { get; set; }
}

/// <summary>SFT: rows of every shape to the likelihood of their trained tokens.</summary>
internal sealed class SftMethod(SftOptions options) : IAlignmentMethod, IArrangesRecords
{
    private const string Entropy = "entropy";
    private const string Hit = "argmax_hit";
    private const string Mean = "mean_log_prob";

    private readonly TrainedPart part = new(options.CompletionOnlyLoss, options.AssistantOnlyLoss);

    public MethodNeeds Needs { get; } = new(Reference: false)
    {
        Statistics = options.LabelSmoothingFactor > 0 ? [Entropy, Hit, Mean] : [Entropy, Hit],
    };

    public IReadOnlyList<DataRecord> Arrange(IReadOnlyList<DataRecord> records, PrepareContext context) => SequenceRows.Arrange(records, part, context);

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) =>
        [.. records.SelectMany(record => SequenceRows.Groups(record, part, context))];

    public MethodLoss Loss(ScoredBatch batch)
    {
        var trained = batch.Groups.Sum(g => g.Completions.Sum(c => c.Weights.Sum(w => (double)w)));
        var logProbs = batch.LogProbs;
        if (options.LossType == "dft") logProbs *= logProbs.detach().exp();
        if (options.LabelSmoothingFactor > 0) logProbs = (1 - options.LabelSmoothingFactor) * logProbs + options.LabelSmoothingFactor * batch.Statistics[Mean];
        var sequences = Sequences.Of(batch.Lengths, batch.Weights);
        return new MethodLoss((logProbs * batch.Weights).sum().neg(), trained, new Dictionary<string, double>
        {
            ["entropy"] = sequences.TokenMean(batch.Statistics[Entropy]).item<double>(),
            ["mean_token_accuracy"] = sequences.TokenMean(batch.Statistics[Hit]).item<double>(),
        });
    }
}
