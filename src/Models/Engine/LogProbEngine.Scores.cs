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
    public IReadOnlyList<CompletionScore> Scores(IReadOnlyList<CompletionGroup> groups, ForwardMode mode, int top = 0) => Scores(groups, mode, null, top);

    /// <summary>The same for groups that begin with a prefix which was computed before.</summary>
    /// <param name="groups">The groups, each with its whole prompt.</param>
    /// <param name="mode">Adapters; those of the prefix.</param>
    /// <param name="prefix">From <see cref="Share"/>, and each group fits it; null for none.</param>
    /// <param name="top">Most likely tokens reported at each position.</param>
    /// <returns>One answer for each completion, in order of groups and completions.</returns>
    public IReadOnlyList<CompletionScore> Scores(IReadOnlyList<CompletionGroup> groups, ForwardMode mode, SharedPrefix? prefix, int top = 0)
    {
        Check(groups, mode);
        mode = mode with { Alone = true };
        using var off = torch.no_grad();
        var tokens = new TokenScore[TokensOf(groups)];
        for (var token = 0; token < tokens.Length; token++) tokens[token] = new TokenScore(0, true, []);
        var rest = prefix is null ? groups : [.. groups.Select(g => g with { Prompt = g.Prompt[prefix.Length..] })];
        foreach (var pack in Pack.Of(rest, packRows, Place, Fronts.Of(model.Spec, mode), prefix?.Length ?? 0))
        {
            using (pack)
            using (torch.NewDisposeScope())
            {
                if (prefix is not null) pack.Attention = new PrefixAttention(pack.Buckets, prefix);
                var rows = model.Answering(pack, mode);
                var next = 0;
                foreach (var score in HeadLogProbs.Scored(rows, model.HeadUnder(mode), pack.Targets, top, chunkRows, model.Spec.LogitCap ?? 0)) tokens[pack.Slots[next++]] = score;
            }
        }
        var answers = new List<CompletionScore>();
        var first = 0;
        foreach (var completion in groups.SelectMany(g => g.Completions))
        {
            var count = completion.Tokens.Length;
            var (logProbs, hits, most) = (new double[count], new bool[count], new IReadOnlyList<TokenLogProb>[top > 0 ? count : 0]);
            for (var token = 0; token < count; token++)
            {
                (logProbs[token], hits[token], var likely) = tokens[first + token];
                if (top > 0) most[token] = likely;
            }
            answers.Add(new CompletionScore(logProbs, hits) { Top = most });
            first += count;
        }
        return answers;
    }

    /// <summary>Sum, length and greediness of each completion, without gradients. Tokens of weight 0 count as 0 and as greedy.</summary>
    /// <param name="groups">The groups.</param>
    /// <param name="mode">Adapters.</param>
    /// <returns>One answer for each completion, in order of groups and completions.</returns>
    public IReadOnlyList<EvalResponse> Score(IReadOnlyList<CompletionGroup> groups, ForwardMode mode) =>
        [.. Scores(groups, mode).Select(s => new EvalResponse(s.LogProb, s.LogProbs.Count, s.IsGreedy))];

    /// <summary>Computes what many groups begin with, once for all of them.</summary>
    /// <param name="prefix">Token ids, at least one.</param>
    /// <param name="mode">Adapters.</param>
    /// <returns>The caller's to dispose.</returns>
    public SharedPrefix Share(int[] prefix, ForwardMode mode) => new(model, mode, Place, prefix);

    /// <summary>Whether prefixes can be shared under this mode: not where positions turn with the whole sequence's length, nor
    /// under adapters that put tokens or keys of their own before a sequence.</summary>
    /// <param name="mode">Adapters.</param>
    public bool CanShare(ForwardMode mode) => Place.LengthClass is null && mode.Controls.Count == 0
        && mode.Deltas.Values.All(delta => Deltas.Parts(delta).All(part => part is LowRank or Scale or TokenRows or Whole));
}

/// <summary>The engine with a model's adapters, as benchmarks and judges see it.</summary>
/// <param name="engine">The engine.</param>
/// <param name="mode">Adapters.</param>
public sealed class Scorer(LogProbEngine engine, ForwardMode mode) : IScorer
{
    /// <inheritdoc/>
    public IReadOnlyList<CompletionScore> Score(IReadOnlyList<CompletionGroup> groups, int top = 0) => engine.Scores(groups, mode, top);
}
