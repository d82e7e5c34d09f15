// The one log-prob engine: groups in, log-probs of their completions' tokens out, for training and evaluation alike.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <summary>Scores completion groups with a model.</summary>
/// <param name="model">The model.</param>
/// <param name="packRows">Most rows of one forward pass (peak memory follows it; results do not depend on it).</param>
public sealed class LogProbEngine(DecoderModel model, long packRows = 2048)
{
    /// <summary>
    /// Log-probs of every completion token of the groups, in order of groups, completions, tokens; 0 where a token's
    /// weight is 0. With gradients where the mode's deltas or the weights ask for them.
    /// </summary>
    /// <param name="groups">The groups.</param>
    /// <param name="mode">Adapters and dropout.</param>
    /// <returns>(N) float32</returns>
    public Tensor LogProbs(IReadOnlyList<CompletionGroup> groups, ForwardMode mode)
    {
        var packs = Pack.Of(groups, packRows, model.Device);
        try
        {
            var total = groups.Sum(g => g.Completions.Sum(c => (long)c.Tokens.Length));
            var result = torch.zeros([total], torch.float32, model.Device);
            foreach (var pack in packs.Where(p => p.Slots.numel() > 0))
                result = result.index_add(0, pack.Slots, LogProbs(pack, mode), 1);
            return result;
        }
        finally
        {
            foreach (var pack in packs) pack.Dispose();
        }
    }

    /// <summary>(N) the completions' weights, in the order of <see cref="LogProbs(IReadOnlyList{CompletionGroup}, ForwardMode)"/>.</summary>
    public Tensor Weights(IReadOnlyList<CompletionGroup> groups) =>
        torch.tensor(groups.SelectMany(g => g.Completions).SelectMany(c => c.Weights).ToArray(), device: model.Device);

    /// <summary>Sum, length and greediness of each completion, without gradients.</summary>
    /// <param name="groups">The groups.</param>
    /// <param name="mode">Adapters.</param>
    /// <returns>One answer for each completion, in order of groups and completions.</returns>
    public IReadOnlyList<EvalResponse> Score(IReadOnlyList<CompletionGroup> groups, ForwardMode mode)
    {
        using var off = torch.no_grad();
        using var scope = torch.NewDisposeScope();
        var completions = groups.SelectMany(g => g.Completions).ToList();
        var total = completions.Sum(c => c.Tokens.Length);
        var (logProbs, best) = (new double[total], new bool[total]);
        foreach (var pack in Pack.Of(groups, packRows, model.Device))
        {
            using (pack) Answer(pack, mode, logProbs, best);
        }
        var answers = new List<EvalResponse>(completions.Count);
        for (int k = 0, first = 0; k < completions.Count; first += completions[k].Tokens.Length, k++)
        {
            var length = completions[k].Tokens.Length;
            answers.Add(new EvalResponse(logProbs.AsSpan(first, length).ToArray().Sum(), length, best.AsSpan(first, length).IndexOf(false) < 0));
        }
        return answers;
    }

    private Tensor LogProbs(Pack pack, ForwardMode mode) =>
        HeadLogProbs.apply(model.Forward(pack, mode).index_select(0, pack.HeadRows), model.Head, pack.Targets);

    private void Answer(Pack pack, ForwardMode mode, double[] logProbs, bool[] best)
    {
        using var scope = torch.NewDisposeScope();
        var rows = model.Forward(pack, mode).index_select(0, pack.HeadRows);
        var values = HeadLogProbs.apply(rows, model.Head, pack.Targets).to(torch.float64).data<double>().ToArray();
        var hits = HeadLogProbs.Hits(rows, model.Head, pack.Targets);
        var slots = pack.Slots.data<long>().ToArray();
        for (var k = 0; k < slots.Length; k++) (logProbs[slots[k]], best[slots[k]]) = (values[k], hits[k]);
    }
}
