// The engine without gradients: what benchmarks, judges and the command score ask for.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

public sealed partial class LogProbEngine
{
    /// <summary>Log-probs of each completion, token by token.</summary>
    /// <param name="groups">The groups.</param>
    /// <param name="mode">Adapters.</param>
    /// <param name="top">Most likely tokens reported at each position.</param>
    /// <returns>One answer for each completion, in order of groups and completions.</returns>
    public IReadOnlyList<CompletionScore> Scores(IReadOnlyList<CompletionGroup> groups, ForwardMode mode, int top = 0)
    {
        Check(groups, mode);
        using var off = torch.no_grad();
        var tokens = new TokenScore[TokensOf(groups)];
        Array.Fill(tokens, new TokenScore(0, true, []));
        foreach (var pack in Pack.Of(groups, packRows, Place, Fronts.Of(model.Spec, mode)))
        {
            using (pack)
            using (torch.NewDisposeScope())
            {
                var rows = model.Forward(pack, mode).index_select(0, pack.HeadRows);
                var next = 0;
                foreach (var score in HeadLogProbs.Scored(rows, model.HeadUnder(mode), pack.Targets, top, chunkRows, model.Spec.LogitCap ?? 0)) tokens[pack.Slots[next++]] = score;
            }
        }
        var answers = new List<CompletionScore>();
        var first = 0;
        foreach (var completion in groups.SelectMany(g => g.Completions))
        {
            var own = tokens.AsSpan(first, completion.Tokens.Length).ToArray();
            answers.Add(new CompletionScore([.. own.Select(t => t.LogProb)], [.. own.Select(t => t.Hit)]) { Top = top > 0 ? [.. own.Select(t => t.Top)] : [] });
            first += own.Length;
        }
        return answers;
    }

    /// <summary>Sum, length and greediness of each completion, without gradients. Tokens of weight 0 count as 0 and as greedy.</summary>
    /// <param name="groups">The groups.</param>
    /// <param name="mode">Adapters.</param>
    /// <returns>One answer for each completion, in order of groups and completions.</returns>
    public IReadOnlyList<EvalResponse> Score(IReadOnlyList<CompletionGroup> groups, ForwardMode mode) =>
        [.. Scores(groups, mode).Select(s => new EvalResponse(s.LogProb, s.LogProbs.Count, s.IsGreedy))];
}

/// <summary>The engine with a model's adapters, as benchmarks and judges see it.</summary>
/// <param name="engine">The engine.</param>
/// <param name="mode">Adapters.</param>
public sealed class Scorer(LogProbEngine engine, ForwardMode mode) : IScorer
{
    /// <inheritdoc/>
    public IReadOnlyList<CompletionScore> Score(IReadOnlyList<CompletionGroup> groups, int top = 0) => engine.Scores(groups, mode, top);
}
