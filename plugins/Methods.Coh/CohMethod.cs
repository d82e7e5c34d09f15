// Chain of Hindsight (Liu et al. 2023, arXiv 2302.02676): language modelling on answers that follow a text which says how good they
// are, alone or one after the other, so that the good text asks the policy for a good answer. A row's loss is the mean over
// its trained tokens (answers and their end tokens; prompts and markers are not trained), a batch's the mean over its rows. In training up
// to hidden_past of the tokens are hidden from those after them, and a second corpus keeps the policy a language model:
// loss = mean over rows + corpus_weight * mean over the corpus' rows.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Methods.Coh.CohPlugin))]

namespace PeftAlign.Methods.Coh;

/// <summary>Provides the method coh.</summary>
public sealed class CohPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IAlignmentMethod, CohOptions>("coh", resultVersion: 4, (context, options) => new CohMethod(options, context));
}

/// <summary>Chain of Hindsight: a pair becomes one group for each template, and one of the corpus where there is one.</summary>
internal sealed class CohMethod : IAlignmentMethod, IArrangesRecords, IHasTextControls
{
    private readonly CohRows rows;
    private readonly CohOptions options;
    private readonly CohCorpus? corpus;

    internal CohMethod(CohOptions options, IPluginContext? context)
    {
        CohOptions.Check(options);
        this.options = options;
        rows = new CohRows(options);
        corpus = options.Corpus is { } dataset ? new CohCorpus(dataset, context) : null;
        TextControls = CohTemplate.Controls(options);
        Needs = new MethodNeeds(Reference: false) { Statistics = ["entropy", "argmax_hit"], HiddenPast = options.HiddenPast };
    }

    public MethodNeeds Needs { get; }

    public IReadOnlyDictionary<string, TextControl> TextControls { get; }

    public IReadOnlyList<DataRecord> Arrange(IReadOnlyList<DataRecord> records, PrepareContext context) => corpus?.Beside(records, context) ?? records;

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) => [.. records.SelectMany(record =>
    {
        var own = rows.Groups(record, context);
        return own.Count > 0 && record.Prepared is CompletionGroup beside ? [.. own, beside] : own;
    })];

    public MethodLoss Loss(ScoredBatch batch)
    {
        var sequences = Sequences.Of(batch.Lengths, batch.Weights);
        var losses = sequences.Mean(batch.LogProbs).neg(); // (S)
        var metrics = new Dictionary<string, double>
        {
            ["entropy"] = sequences.TokenMean(batch.Statistics["entropy"]).item<double>(),
            ["mean_token_accuracy"] = sequences.TokenMean(batch.Statistics["argmax_hit"]).item<double>(),
        };
        if (corpus is null) return new MethodLoss(losses.sum(), sequences.Count, metrics);
        var (chains, texts) = (CohCorpus.Places(batch, ofCorpus: false), CohCorpus.Places(batch, ofCorpus: true));
        var (own, other) = (losses.index_select(0, chains).sum(), losses.index_select(0, texts).sum());
        var (rowCount, textCount) = (chains.numel(), texts.numel());
        metrics["loss/chains"] = own.item<double>() / rowCount;
        metrics["loss/corpus"] = other.item<double>() / textCount;
        return new MethodLoss(own + other * (options.CorpusWeight!.Value * rowCount / textCount), rowCount, metrics);
    }
}
