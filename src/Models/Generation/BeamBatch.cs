// The beam searches of a batch of prompts, advanced together: their running beams are the rows of one decoding step.

using System.Runtime.InteropServices;
using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Generation;

internal sealed class BeamBatch(GenerationOptions options, ScoreProcessing processing, Endings endings)
{
    /// <summary>Continues a batch to the end; (prompts, sequences), best first.</summary>
    internal IReadOnlyList<GeneratedSequence>[] Run(Batch batch, IDecodeSession session, CancellationToken cancel)
    {
        var searches = batch.Prompts.Select(_ => new BeamSearch(options, processing, endings)).ToList();
        for (var k = 0; k < searches.Count; k++) searches[k].Begin(k, batch.Prompts[k].Ids);
        var scores = session.Begin([.. batch.Prompts.Select(p => p.Ids)]);
        var rows = Enumerable.Range(0, searches.Count).Select(k => (First: k, Count: 1)).ToArray();
        while (true)
        {
            cancel.ThrowIfCancellationRequested();
            var all = Rows(scores);
            scores.Dispose();
            for (var k = 0; k < searches.Count; k++)
                if (!searches[k].Done) searches[k].Step(all[rows[k].First..(rows[k].First + rows[k].Count)]);
            var (parents, tokens) = (new List<int>(), new List<int>());
            for (var k = 0; k < searches.Count; k++)
            {
                if (searches[k].Done) continue;
                var (before, first) = (rows[k].First, parents.Count);
                foreach (var (parent, token) in searches[k].Open)
                {
                    parents.Add(before + parent);
                    tokens.Add(token);
                }
                rows[k] = (first, parents.Count - first);
            }
            if (parents.Count == 0) return [.. searches.Select(s => s.Results)];
            scores = session.Next(parents, tokens);
        }
    }

    private static ReadOnlyMemory<float>[] Rows(Tensor scores)
    {
        var all = MemoryMarshal.Cast<byte, float>(scores.bytes).ToArray();
        var width = all.Length / (int)scores.size(0);
        return [.. Enumerable.Range(0, (int)scores.size(0)).Select(k => new ReadOnlyMemory<float>(all, k * width, width))];
    }
}
