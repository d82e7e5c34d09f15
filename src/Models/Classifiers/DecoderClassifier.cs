// A causal decoder with a score head (reward models): the numbers of the last token that is not padding.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Classifiers;

/// <param name="model">Its head is (labels, d).</param>
/// <param name="padToken">Tokens of this id at the end of a row are not looked at; null = none.</param>
internal sealed class DecoderClassifier(DecoderModel model, int? padToken) : SequenceClassifier
{
    public override string ModelType => model.Spec.ModelType;

    public override long Labels => model.Spec.Labels!.Value;

    public override long MaxTokens => model.Spec.MaxPositions;

    public override bool TakesLonger => model.Spec.Names.Positions is null;

    public override long Vocabulary => model.Spec.Vocabulary;

    public override IReadOnlyDictionary<string, Tensor> Weights => model.Weights;

    public override void SetWeight(string name, Tensor tensor) => model.SetWeight(name, tensor);

    protected override Tensor Compute(IReadOnlyList<int[]> rows)
    {
        using var scope = torch.NewDisposeScope();
        // What follows the prompt is asked for at the prompt's last row, and makes no row itself.
        var groups = rows.Select(row => new CompletionGroup(row[..LastOf(row)], [Completion.Of([0])])).ToList();
        var logits = new List<Tensor>();
        foreach (var pack in Pack.Of(groups, maxRows: 2048, Place.Of(model).BeforeLast))
        {
            using (pack) logits.Add(Products.Linear(model.Answering(pack, new ForwardMode { Alone = true }), model.Head));
        }
        return torch.cat(logits).MoveToOuterDisposeScope();
    }

    private int LastOf(int[] row) => Math.Max(1, 1 + Array.FindLastIndex(row, id => id != padToken));
}
