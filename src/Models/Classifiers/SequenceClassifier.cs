// Models that give a row of tokens a few numbers: reward models, toxicity classifiers. Scores are the raw logits.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Classifiers;

/// <summary>A sequence classifier.</summary>
public abstract class SequenceClassifier
{
    private const int TokensAtOnce = 4096;

    /// <summary>model_type of config.json.</summary>
    public abstract string ModelType { get; }

    /// <summary>Numbers per row.</summary>
    public abstract long Labels { get; }

    /// <summary>Tokens of a row that the model was made for; texts are cut to so many unless more are asked for.</summary>
    public abstract long MaxTokens { get; }

    /// <summary>Whether longer rows are computed all the same; where positions are learned they cannot be.</summary>
    public abstract bool TakesLonger { get; }

    /// <summary>Entries of the vocabulary.</summary>
    public abstract long Vocabulary { get; }

    /// <summary>Tensors by checkpoint name.</summary>
    public abstract IReadOnlyDictionary<string, Tensor> Weights { get; }

    /// <summary>Puts another tensor (a trainable one) in the place of a weight.</summary>
    public abstract void SetWeight(string name, Tensor tensor);

    /// <summary>Raw logits, with gradients where the weights ask for them.</summary>
    /// <param name="rows">Token ids, special tokens included.</param>
    /// <returns>(B, Labels) in the model's dtype.</returns>
    /// <exception cref="UserErrorException">A row is empty, too long, or has an id that the model lacks.</exception>
    public Tensor Logits(IReadOnlyList<int[]> rows)
    {
        foreach (var row in rows) Check(row);
        return Compute(rows);
    }

    /// <summary>Raw logits of each row, without gradients; a row's do not depend on the others.</summary>
    /// <param name="rows">Token ids, special tokens included.</param>
    /// <returns>One list of <see cref="Labels"/> numbers for each row, in order.</returns>
    /// <exception cref="UserErrorException">A row is empty, too long, or has an id that the model lacks.</exception>
    public IReadOnlyList<double[]> Score(IReadOnlyList<int[]> rows)
    {
        foreach (var row in rows) Check(row);
        using var off = torch.no_grad();
        var scores = new double[rows.Count][];
        foreach (var batch in Batches(rows))
        {
            using var scope = torch.NewDisposeScope();
            var logits = Compute(batch.ConvertAll(k => rows[k])).to(torch.float64).cpu();
            for (var b = 0; b < batch.Count; b++) scores[batch[b]] = logits.select(0, b).data<double>().ToArray();
        }
        return scores;
    }

    /// <summary>Whether rows of so many tokens can be computed.</summary>
    /// <param name="tokens">Their length.</param>
    public bool Takes(long tokens) => TakesLonger || tokens <= MaxTokens;

    /// <summary>(B, Labels) of rows that were checked.</summary>
    protected abstract Tensor Compute(IReadOnlyList<int[]> rows);

    // Rows of like length together, so that little is padded.
    private static IEnumerable<List<int>> Batches(IReadOnlyList<int[]> rows)
    {
        var open = new List<int>();
        foreach (var k in Enumerable.Range(0, rows.Count).OrderByDescending(k => rows[k].Length))
        {
            if (open.Count > 0 && (open.Count + 1) * rows[open[0]].Length > TokensAtOnce)
            {
                yield return open;
                open = [];
            }
            open.Add(k);
        }
        if (open.Count > 0) yield return open;
    }

    /// <summary>Refuses a row that the model cannot take.</summary>
    /// <param name="row">Token ids.</param>
    /// <exception cref="UserErrorException">It is empty, too long, or has an id that the model lacks.</exception>
    public void Check(int[] row)
    {
        if (row.Length == 0) throw new UserErrorException("A row has no token; give at least one.");
        if (!Takes(row.Length)) throw new UserErrorException($"A row has {row.Length} tokens; the model takes {MaxTokens}. Shorten it.");
        if (row.FirstOrDefault(id => id < 0 || id >= Vocabulary, -1) is not -1 and var id)
            throw new UserErrorException($"Token id {id} is not in the model's vocabulary of {Vocabulary}; the row was made with another tokenizer.");
    }
}
