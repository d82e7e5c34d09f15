// Byte-level BPE learned from texts, as tokenizers' BpeTrainer learns it: words by GPT-2's pattern, then, again and again, the pair of
// neighbours that occurs most often becomes one token; of equal counts the pair with the smaller ids. The same texts in any order give
// the same tokenizer. Source: Sennrich et al. 2016, Radford et al. 2019.
using System.Runtime.InteropServices;
using System.Text;
using PeftAlign.Models.Text.Patterns;

namespace PeftAlign.Models.Text;

/// <summary>Learns a tokenizer's vocabulary: <c>&lt;s&gt;</c> 0, <c>&lt;/s&gt;</c> 1, <c>&lt;pad&gt;</c> 2, the 256 bytes, then merges.</summary>
public sealed class BpeTraining
{
    /// <summary>The smallest vocabulary: three special tokens and the bytes.</summary>
    public const int Smallest = 259;

    private readonly Dictionary<string, long> counts = [];

    /// <summary>Counts a text's words.</summary>
    /// <param name="text">Any text; a lone surrogate counts as U+FFFD.</param>
    public void Add(string text)
    {
        var words = new Gpt2Scanner();
        for (var start = 0; start < text.Length;)
        {
            var end = words.Next(text, start);
            CollectionsMarshal.GetValueRefOrAddDefault(counts, text[start..end], out _)++;
            start = end;
        }
    }

    /// <summary>Learns from all texts and writes tokenizer.json and tokenizer_config.json.</summary>
    /// <param name="folder">Where to; both appear by rename.</param>
    /// <param name="size">Entries of the vocabulary, at least <see cref="Smallest"/>.</param>
    /// <param name="cancel">Ends it between two merges.</param>
    /// <returns>Its entries: fewer than asked for where the texts have no more pairs.</returns>
    public int Save(string folder, int size, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, Smallest);
        var learned = Learn(size, cancel);
        ByteLevelFiles.Save(folder, new ByteLevelFiles(0, learned.Tokens, [.. learned.Merges.Select(pair => (learned.Tokens[pair.First], learned.Tokens[pair.Second]))], CutsWords: true));
        return learned.Tokens.Count;
    }

    private (List<string> Tokens, List<(int First, int Second)> Merges) Learn(int size, CancellationToken cancel)
    {
        // tokenizers numbers the alphabet by code points, not by bytes.
        List<string> tokens = [.. ByteLevelFiles.Specials, .. Enumerable.Range(0, 256).Select(b => ByteAlphabet.CharOf((byte)b)).Order().Select(c => c.ToString())];
        var ids = tokens.Index().ToDictionary(token => token.Item, token => token.Index);
        var table = new PairTable([.. counts.Select(word => (Symbols(word.Key, ids), word.Value))]);
        var (merges, taken) = (new List<(int First, int Second)>(), new HashSet<(int First, int Second)>());
        while (tokens.Count < size && table.MostFrequent() is { } pair)
        {
            cancel.ThrowIfCancellationRequested();
            var joined = tokens[pair.First] + tokens[pair.Second];
            if (ids.TryAdd(joined, tokens.Count)) tokens.Add(joined);
            // Two ways to one token may bring a pair back; its place is then the later one.
            if (!taken.Add(pair)) merges.Remove(pair);
            merges.Add(pair);
            table.Merge(pair, ids[joined]);
        }
        return (tokens, merges);
    }

    private static int[] Symbols(string word, Dictionary<string, int> ids) =>
        [.. Encoding.UTF8.GetBytes(word).Select(b => ids[ByteAlphabet.CharOf(b).ToString()])];

    /// <summary>The words as symbols, and how often each pair of neighbours stands in them.</summary>
    private sealed class PairTable
    {
        private readonly List<(int[] Symbols, long Count)> words;
        private readonly Dictionary<(int First, int Second), long> counts = [];
        private readonly Dictionary<(int First, int Second), HashSet<int>> places = [];

        // The largest count first, then the smallest ids; entries whose count has changed since are put back with their own.
        private readonly PriorityQueue<((int First, int Second) Pair, long Count), (long Count, int First, int Second)> queue = new();

        internal PairTable(List<(int[] Symbols, long Count)> words)
        {
            this.words = words;
            foreach (var (k, (symbols, count)) in words.Index()) Count(k, symbols, count);
            foreach (var (pair, count) in counts) Enqueue(pair, count);
        }

        internal (int First, int Second)? MostFrequent()
        {
            while (queue.TryDequeue(out var top, out _))
            {
                var now = counts.GetValueOrDefault(top.Pair);
                if (now == top.Count && now > 0) return top.Pair;
                if (now > 0 && now < top.Count) Enqueue(top.Pair, now);
            }
            return null;
        }

        internal void Merge((int First, int Second) pair, int made)
        {
            var raised = new HashSet<(int First, int Second)>();
            foreach (var k in places.Remove(pair, out var found) ? found.ToList() : [])
            {
                var (symbols, count) = words[k];
                Count(k, symbols, -count);
                var joined = Joined(symbols, pair, made);
                words[k] = (joined, count);
                Count(k, joined, count);
                for (var i = 1; i < joined.Length; i++)
                    if (joined[i - 1] == made || joined[i] == made) raised.Add((joined[i - 1], joined[i]));
            }
            counts.Remove(pair);
            foreach (var other in raised) Enqueue(other, counts[other]);
        }

        private void Enqueue((int First, int Second) pair, long count) => queue.Enqueue((pair, count), (-count, pair.First, pair.Second));

        private void Count(int word, int[] symbols, long times)
        {
            for (var i = 1; i < symbols.Length; i++)
            {
                var pair = (symbols[i - 1], symbols[i]);
                CollectionsMarshal.GetValueRefOrAddDefault(counts, pair, out _) += times;
                if (times <= 0) continue;
                if (!places.TryGetValue(pair, out var found)) places[pair] = found = [];
                found.Add(word);
            }
        }

        private static int[] Joined(int[] symbols, (int First, int Second) pair, int made)
        {
            var joined = new List<int>(symbols.Length);
            for (var i = 0; i < symbols.Length; i++)
                if (i + 1 < symbols.Length && symbols[i] == pair.First && symbols[i + 1] == pair.Second)
                {
                    joined.Add(made);
                    i++;
                }
                else joined.Add(symbols[i]);
            return [.. joined];
        }
    }
}
