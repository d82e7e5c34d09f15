// Greedy decoding and sampling: every sequence of a batch takes a token in each step, and leaves the batch when it ends.

using System.Runtime.InteropServices;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Generation;

/// <summary>One batch of prompts.</summary>
/// <param name="Prompts">The prompts.</param>
/// <param name="First">Place of the first of them among all.</param>
internal sealed record Batch(IReadOnlyList<GenerationPrompt> Prompts, int First);

internal sealed class Sampling(GenerationOptions options, ScoreProcessing processing, Endings endings)
{
    /// <summary>Continues a batch to the end.</summary>
    /// <returns>(prompts, samples)</returns>
    internal GeneratedSequence[][] Run(Batch batch, IDecodeSession session, Action<GeneratedToken>? onToken, CancellationToken cancel)
    {
        var results = batch.Prompts.Select(_ => new GeneratedSequence[options.NumReturnSequences]).ToArray();
        var scores = session.Begin([.. batch.Prompts.Select(p => p.Ids)]);
        var open = batch.Prompts.SelectMany((p, at) => Enumerable.Range(0, options.NumReturnSequences).Select(s => new Continuation(at, s, p.Ids))).ToList();
        IReadOnlyList<int> rows = [.. open.Select(c => c.Prompt)]; // the row of scores that each sequence continues
        while (true)
        {
            cancel.ThrowIfCancellationRequested();
            Choose(batch, open, rows, scores);
            scores.Dispose();
            var (kept, parents) = (new List<Continuation>(), new List<int>());
            for (var k = 0; k < open.Count; k++)
            {
                var one = open[k];
                onToken?.Invoke(new GeneratedToken(batch.First + one.Prompt, one.Sample, one.LastToken));
                if (endings.Of(one) is { } reason) results[one.Prompt][one.Sample] = new GeneratedSequence(one.NewIds, reason);
                else
                {
                    kept.Add(one);
                    parents.Add(rows[k]);
                }
            }
            if (kept.Count == 0) return results;
            scores = session.Next(parents, [.. kept.Select(c => c.LastToken)]);
            (open, rows) = (kept, [.. Enumerable.Range(0, kept.Count)]);
        }
    }

    // Several samples may share a row, so what changes a row works on a copy.
    private void Choose(Batch batch, List<Continuation> open, IReadOnlyList<int> rows, Tensor scores)
    {
        var all = MemoryMarshal.Cast<byte, float>(scores.bytes);
        var width = all.Length / (int)scores.size(0);
        var copy = processing.ChangesScores ? new float[width] : [];
        for (var k = 0; k < open.Count; k++)
        {
            var one = open[k];
            var row = all.Slice(rows[k] * width, width);
            if (processing.ChangesScores)
            {
                row.CopyTo(copy);
                row = copy;
                processing.Apply(row, one.Past, one.Made);
            }
            one.Add(processing.Samples ? TokenChoice.Drawn(row, TokenChoice.Uniform(options.Seed, batch.Prompts[one.Prompt].Row, one.Sample, one.Made)) : TokenChoice.Best(row));
        }
    }
}
