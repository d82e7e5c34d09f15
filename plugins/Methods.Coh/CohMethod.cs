// Chain of Hindsight (Liu et al. 2023, arXiv 2302.02676): language modelling on answers that stand behind a text which says how good they
// are, alone or one behind the other, so that the policy is asked for a good answer by the good text. A row's loss is the mean over
// its trained tokens (answers and their end tokens; prompts and markers are not), a batch's the mean over its rows.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;

[assembly: PeftAlignPlugin(typeof(PeftAlign.Methods.Coh.CohPlugin))]

namespace PeftAlign.Methods.Coh;

/// <summary>Provides the method coh.</summary>
public sealed class CohPlugin : IPlugin
{
    /// <inheritdoc/>
    public void Register(IPluginRegistry registry) =>
        registry.Add<IAlignmentMethod, CohOptions>("coh", resultVersion: 1, (_, options) => new CohMethod(options));
}

/// <summary>Options of coh.</summary>
public sealed class CohOptions
{
    /// <summary>What a pair becomes: p the good answer, n the bad one, pn the good one and then the bad one, np the reverse; a row for each.</summary>
    [OptionChoices("p", "n", "pn", "np")]
    public IReadOnlyList<string> RowKinds { get; set; } = ["p", "n", "pn", "np"];

    /// <summary>Stands before a good answer, after the prompt and a line's end; a blank follows it.</summary>
    public string GoodMarker { get; set; } = "A helpful answer:";

    /// <summary>Stands before a bad answer likewise.</summary>
    public string BadMarker { get; set; } = "An unhelpful answer:";

    /// <summary>The good marker of rows that hold token ids, as ids.</summary>
    public IReadOnlyList<int> GoodMarkerIds { get; set; } = [];

    /// <summary>The bad marker of rows that hold token ids, as ids.</summary>
    public IReadOnlyList<int> BadMarkerIds { get; set; } = [];
}

/// <summary>The method. A pair is one group for each kind of row.</summary>
internal sealed class CohMethod : IAlignmentMethod
{
    private readonly CohRows rows;

    internal CohMethod(CohOptions options)
    {
        if (options.RowKinds.Count == 0) throw new UserErrorException("coh: row_kinds is empty; name some of p, n, pn, np.");
        if (options.RowKinds.Distinct().Count() < options.RowKinds.Count) throw new UserErrorException($"coh: row_kinds names a kind twice ({string.Join(", ", options.RowKinds)}); name each once.");
        if (string.IsNullOrWhiteSpace(options.GoodMarker) || options.GoodMarker == options.BadMarker)
            throw new UserErrorException($"coh: good_marker '{options.GoodMarker}' and bad_marker '{options.BadMarker}' must be two texts, neither of them empty: nothing else tells good answers from bad ones.");
        if (options.GoodMarkerIds.Count > 0 && options.GoodMarkerIds.SequenceEqual(options.BadMarkerIds))
            throw new UserErrorException("coh: good_marker_ids and bad_marker_ids are the same; give two lists.");
        rows = new CohRows(options);
    }

    public MethodNeeds Needs { get; } = new(Reference: false) { Statistics = ["entropy", "argmax_hit"] };

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) =>
        [.. records.SelectMany(record => rows.Groups(record, context))];

    public MethodLoss Loss(ScoredBatch batch)
    {
        var sequences = Sequences.Of(batch.Lengths, batch.Weights);
        return new MethodLoss(sequences.Mean(batch.LogProbs).sum().neg(), sequences.Count, new Dictionary<string, double>
        {
            ["entropy"] = sequences.TokenMean(batch.Statistics["entropy"]).item<double>(),
            ["mean_token_accuracy"] = sequences.TokenMean(batch.Statistics["argmax_hit"]).item<double>(),
        });
    }
}
