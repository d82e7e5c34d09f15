// A pairwise method on tokenised rows, -log sigmoid of the margin over a reference, right or wrong in one way.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace Sample.Faulty;

/// <summary>Options of the method.</summary>
public sealed class MethodOptions
{
    /// <summary>In which way to be wrong.</summary>
    public MethodFault Fault { get; set; }
}

/// <summary>Ways for a method to be wrong.</summary>
public enum MethodFault
{
    None,
    PreparesAnew,
    MiscountsTokens,
    DetachesAPart,
    WeighsTheFirst,
    Remembers,
    MissesTheReference,
    TrainsEmptyRows,
    NoneWithState,
    HidesAPartOfItsState,
    TrainsTheChosenAlone,
}

internal class MarginMethod(MethodFault fault) : IAlignmentMethod
{
    private int prepared;
    private int seen;

    public MethodNeeds Needs { get; } = new(Reference: true);

    public IReadOnlyList<CompletionGroup> Prepare(IReadOnlyList<DataRecord> records, PrepareContext context)
    {
        var groups = new List<CompletionGroup>();
        foreach (var record in records)
        {
            context.Ledger.Rows++;
            var (chosen, rejected) = (record.Ids("chosen_ids"), record.Ids("rejected_ids"));
            if (chosen.Length == 0 || rejected.Length == 0)
            {
                if (fault == MethodFault.TrainsEmptyRows) groups.Add(new CompletionGroup(record.Ids("prompt_ids"), [Completion.Of([1]), Completion.Of([2])]));
                context.Ledger.RowsWithoutTrainedToken++;
                continue;
            }
            context.Ledger.TokensTrained += chosen.Length + rejected.Length + (fault == MethodFault.MiscountsTokens ? 1 : 0);
            groups.Add(new CompletionGroup(record.Ids("prompt_ids"), [Completion.Of(chosen) with { Margin = fault == MethodFault.PreparesAnew ? prepared : 0 }, Completion.Of(rejected)]));
        }
        prepared++;
        return groups;
    }

    public MethodLoss Loss(ScoredBatch batch)
    {
        var ratio = batch.LogProbs - batch.ReferenceLogProbs!;
        if (fault == MethodFault.DetachesAPart) ratio = ratio + batch.LogProbs.detach() * 0.5;
        Tensor? sum = null;
        var at = 0L;
        for (var k = 0; k < batch.Groups.Count; k++)
        {
            var (chosen, rejected) = (batch.Groups[k].Completions[0].Tokens.Length, batch.Groups[k].Completions[1].Tokens.Length);
            var other = ratio.narrow(0, at + chosen, rejected);
            var margin = ratio.narrow(0, at, chosen).sum() - (fault == MethodFault.TrainsTheChosenAlone ? other.detach() : other).sum();
            at += chosen + rejected;
            if (fault == MethodFault.MissesTheReference) margin = margin + 1;
            var loss = (margin.neg().exp() + 1).log() * (fault == MethodFault.WeighsTheFirst && k == 0 ? 2 : 1);
            sum = sum is null ? loss : sum + loss;
        }
        var scale = fault == MethodFault.Remembers ? ++seen : 1;
        return new MethodLoss(sum! * scale, batch.Groups.Count, new Dictionary<string, double>());
    }
}

// Its loss is weighed by a running mean of its log-probs, which it declares; wrong, it counts its batches too.
internal sealed class RunningMethod(MethodFault fault) : MarginMethod(fault), IAlignmentMethod, IKeepsState
{
    private readonly Tensor mean = torch.ones([1]).DetachFromDisposeScope();
    private readonly MethodFault fault = fault;
    private int seen;

    public IReadOnlyDictionary<string, Tensor> State => new Dictionary<string, Tensor> { ["mean"] = mean };

    MethodLoss IAlignmentMethod.Loss(ScoredBatch batch)
    {
        var loss = Loss(batch);
        var weight = mean.item<float>() + (fault == MethodFault.HidesAPartOfItsState ? seen++ : 0);
        using (torch.no_grad()) mean.mul_(0.9).add_(batch.ReferenceLogProbs!.mean() * -0.1);
        return loss with { Numerator = loss.Numerator * weight };
    }
}
