// Likelihood of answers under their controls: chosen and desirable ones under good, the others under bad. Rows are pairs or single
// answers with a label, as the other methods read them.

using PeftAlign.Abstractions;
using PeftAlign.Algebra;
using PeftAlign.Models.Rows;
using PeftAlign.Torch;

namespace PeftAlign.Methods.Meet;

/// <param name="options">Controls and the kind of mean.</param>
internal sealed class ControlledLikelihood(MeetOptions options) : IAlignmentMethod
{
    internal const string Good = "good", Bad = "bad";

    public MethodNeeds Needs { get; } = new(Reference: false) { Statistics = ["argmax_hit"] };

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context) =>
        [.. records.SelectMany(record => record.Has("label") ? Single(record, context) : Pair(record, context))];

    public MethodLoss Loss(ScoredBatch batch) => Of(batch, options.LossType == "sum");

    /// <summary>The mean over answers of -log p, by token or in all; and each control's own in the metrics.</summary>
    internal static MethodLoss Of(ScoredBatch batch, bool sum)
    {
        var sequences = Sequences.Of(batch.Lengths, batch.Weights);
        var (means, sums) = (sequences.Mean(batch.LogProbs), sequences.Sum(batch.LogProbs)); // (S)
        var loss = (sum ? sums : means).sum().neg();
        using var off = torch.no_grad();
        var metrics = new Dictionary<string, double> { ["mean_token_accuracy"] = sequences.TokenMean(batch.Statistics["argmax_hit"]).item<double>() };
        foreach (var (control, own) in ControlledRows.Places(batch))
        {
            metrics[$"nll/{control}"] = -means.index_select(0, own).mean().item<double>();
            metrics[$"logps/{control}"] = sums.index_select(0, own).mean().item<double>();
        }
        return new MethodLoss(loss, sequences.Count, metrics);
    }

    private IEnumerable<CompletionGroup> Pair(DataRecord record, PrepareContext context)
    {
        var answers = ControlledRows.Answers(PreferenceRows.Groups(record, context));
        return answers.Select((answer, k) => answer with { Control = k == 0 ? Good : Bad }).Take(options.Controls.Count);
    }

    private IEnumerable<CompletionGroup> Single(DataRecord record, PrepareContext context)
    {
        var (answer, label) = AnswerRows.Read(record, context);
        if (!label && !options.Controls.Contains(Bad)) return []; // nothing is trained on it
        return AnswerRows.Groups(answer, context).Select(group => group with { Control = label ? Good : Bad });
    }
}
