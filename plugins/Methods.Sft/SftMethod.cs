// Supervised fine-tuning: token-mean negative log-likelihood of the trained tokens. Rows become tokens as TRL 1.16 does it:
// text rows train every token, prompt-completion rows the completion, EOS is appended to text that does not end with it,
// and a completion starts at the first token in which prompt and prompt + completion differ.

using PeftAlign.Abstractions;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Methods.Sft.SftPlugin))]

namespace PeftAlign.Methods.Sft;

/// <summary>Provides the method sft.</summary>
public sealed class SftPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IAlignmentMethod, SftOptions>("sft", resultVersion: 1, (_, options) => new SftMethod(options));
}

/// <summary>Options of sft.</summary>
public sealed class SftOptions
{
    /// <summary>Train only the completion of rows that have a prompt; off trains the prompt as well.</summary>
    public bool CompletionOnlyLoss { get; set; } = true;
}

/// <summary>The method.</summary>
internal sealed class SftMethod(SftOptions options) : IAlignmentMethod
{
    public MethodNeeds Needs { get; } = new(Reference: false);

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context)
    {
        var groups = new List<CompletionGroup>();
        foreach (var record in records)
            if (SftRow.Of(record, options.CompletionOnlyLoss, context).Group(context) is { } group) groups.Add(group);
        return groups;
    }

    public MethodLoss Loss(ScoredBatch batch)
    {
        var trained = batch.Groups.Sum(g => g.Completions.Sum(c => c.Weights.Sum(w => (double)w)));
        return new MethodLoss((batch.LogProbs * batch.Weights).sum().neg(), trained, new Dictionary<string, double>());
    }
}
