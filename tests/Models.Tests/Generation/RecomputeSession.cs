// Next-token scores by computing every sequence anew in each step: slow, without a cache, and so what the cache must equal.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Generation;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Generation;

internal sealed class RecomputeSession(DecoderModel model, ForwardMode? mode = null) : IDecodeSession
{
    private List<int[]> sequences = [];

    public Tensor Begin(IReadOnlyList<int[]> prompts)
    {
        sequences = [.. prompts];
        return Scores();
    }

    public Tensor Next(IReadOnlyList<int> parents, IReadOnlyList<int> tokens)
    {
        sequences = [.. parents.Select((parent, k) => (int[])[.. sequences[parent], tokens[k]])];
        return Scores();
    }

    public void Dispose()
    {
    }

    private Tensor Scores()
    {
        using var scope = torch.NewDisposeScope();
        using var off = torch.no_grad();
        var groups = sequences.Select(s => new CompletionGroup(s, [Completion.Of([0])])).ToList();
        var rows = new List<Tensor>();
        foreach (var pack in Pack.Of(groups, 2048, Place.Of(model).BeforeLast, Fronts.Of(model.Spec, mode ?? ForwardMode.Plain)))
            using (pack) rows.Add(model.HeadUnder(mode ?? ForwardMode.Plain).Logits(model.Forward(pack, mode ?? ForwardMode.Plain).index_select(0, pack.HeadRows), model.Spec.LogitCap ?? 0).to(torch.float32));
        return torch.cat(rows).cpu().MoveToOuterDisposeScope();
    }
}
