// Beam search over one prompt, with transformers' rules for what may end, what is kept and when to stop: in each step the
// best (1 + end tokens) * beams candidates, at least twice the beams; only the best `beams` of them may end; beams that go
// on are compared by their sums, ended ones by sum / length^length_penalty.

using PeftAlign.Abstractions;

namespace PeftAlign.Models.Generation;

internal sealed class BeamSearch(GenerationOptions options, ScoreProcessing processing, Endings endings)
{
    private List<Beam> live = [];
    private List<Ended> ended = [];

    private sealed record Beam(Continuation Tokens, double Sum, int Parent);

    private sealed record Ended(GeneratedSequence Result, double Score);

    private readonly record struct Candidate(int Beam, int Token, double Sum);

    internal bool Done { get; private set; }

    /// <summary>For each running beam the row of scores, of those last given, that it continues.</summary>
    internal IEnumerable<(int Parent, int Token)> Open => live.Select(b => (b.Parent, b.Tokens.LastToken));

    internal IReadOnlyList<GeneratedSequence> Results => [.. ended.Take(options.NumReturnSequences).Select(e => e.Result)];

    internal void Begin(int prompt, int[] ids) => live = [new Beam(new Continuation(prompt, 0, ids), 0, 0)];

    /// <summary>Takes one step.</summary>
    /// <param name="scores">Of each running beam, the scores of its next token.</param>
    internal void Step(IReadOnlyList<ReadOnlyMemory<float>> scores)
    {
        var best = Best(scores);
        var next = new List<Beam>();
        var made = live[0].Tokens.Made + 1;
        var allEnd = true;
        for (var rank = 0; rank < best.Count; rank++)
        {
            var tokens = live[best[rank].Beam].Tokens.With(best[rank].Token);
            var reason = endings.Of(tokens);
            allEnd &= reason is not null;
            if (reason is null && next.Count < options.NumBeams) next.Add(new Beam(tokens, best[rank].Sum, best[rank].Beam));
            if (reason is { } why && rank < options.NumBeams) End(tokens, why, best[rank].Sum / Math.Pow(made, options.LengthPenalty));
        }
        live = next;
        ended = [.. ended.OrderByDescending(e => e.Score).Take(options.NumBeams)];
        Done = allEnd || live.Count == 0 || !MayImprove(made) || (IsFull && options.EarlyStopping == EarlyStopping.Always);
    }

    private bool IsFull => ended.Count >= options.NumBeams;

    private void End(Continuation tokens, FinishReason reason, double score) => ended.Add(new Ended(new GeneratedSequence(tokens.NewIds, reason, score), score));

    private bool MayImprove(int made)
    {
        if (!IsFull) return true;
        var length = options.EarlyStopping == EarlyStopping.Never && options.LengthPenalty > 0 ? options.MaxNewTokens : made;
        return live[0].Sum / Math.Pow(length, options.LengthPenalty) > ended[^1].Score;
    }

    private List<Candidate> Best(IReadOnlyList<ReadOnlyMemory<float>> scores)
    {
        var count = Math.Max(2, 1 + options.EosTokenIds.Count) * options.NumBeams;
        var best = new PriorityQueue<Candidate, double>(count + 1);
        for (var b = 0; b < live.Count; b++)
        {
            _ = TokenChoice.Best(scores[b].Span); // no beam goes on from scores that are no numbers
            var logProbs = scores[b].ToArray();
            ScoreProcessing.Normalize(logProbs);
            processing.Apply(logProbs, live[b].Tokens.Past, live[b].Tokens.Made);
            for (var token = 0; token < logProbs.Length; token++)
            {
                if (float.IsNegativeInfinity(logProbs[token])) continue;
                var sum = live[b].Sum + logProbs[token];
                if (best.Count < count) best.Enqueue(new Candidate(b, token, sum), sum);
                else if (sum > best.Peek().Sum) best.EnqueueDequeue(new Candidate(b, token, sum), sum);
            }
        }
        if (best.Count == 0) throw new InvalidDataException("no next token has a finite score; the model's weights are damaged, or every token is banned");
        return [.. best.UnorderedItems.Select(i => i.Element).OrderByDescending(c => c.Sum).ThenBy(c => c.Beam).ThenBy(c => c.Token)];
    }
}
