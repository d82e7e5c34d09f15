// The second corpus: beside each pair goes one of its texts, trained whole as a language model is; the texts follow each other in
// order, and begin anew where there are fewer than pairs. The ledger counts pairs alone.

using PeftAlign.Abstractions;
using PeftAlign.Models.Rows;
using PeftAlign.Torch;

namespace PeftAlign.Methods.Coh;

/// <param name="dataset">Rows {text}, {prompt, completion}, {messages} or {input_ids, labels}.</param>
/// <param name="host">Opens it.</param>
internal sealed class CohCorpus(DatasetReference dataset, IPluginContext? host)
{
    // Completions of the corpus carry this mark; chains carry none.
    private const bool Mark = true;

    /// <summary>The pairs, each with its text.</summary>
    /// <exception cref="UserErrorException">No row of the corpus has a token to train.</exception>
    internal IReadOnlyList<DataRecord> Beside(IReadOnlyList<DataRecord> pairs, PrepareContext context)
    {
        if (pairs.Count == 0) return pairs;
        var own = context with { Ledger = new MaskLedger(), Packing = null };
        var texts = host.Lent<IDatasets>().Open(dataset).SelectMany(record => SequenceRows.Groups(record, new TrainedPart(CompletionOnly: false), own)).Take(pairs.Count)
            .Select(group => group with { Completions = [.. group.Completions.Select(c => c with { Label = Mark })] }).ToList();
        if (texts.Count == 0) throw new UserErrorException("coh: no row of the corpus has a token to train; give rows {text}, or leave corpus out.");
        return [.. pairs.Select((pair, k) => pair with { Prepared = texts[k % texts.Count] })];
    }

    /// <summary>(n) int64 the numbers of the corpus' sequences in a batch, or of the others.</summary>
    internal static Tensor Places(ScoredBatch batch, bool ofCorpus) => torch.tensor(
        batch.Groups.SelectMany(g => g.Completions).Index().Where(c => (c.Item.Label == Mark) == ofCorpus).Select(c => (long)c.Index).ToArray(), device: batch.LogProbs.device);
}
