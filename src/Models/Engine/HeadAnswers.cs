// What is asked of a row's distribution beside the target's log-prob: per-token statistics, taken chunk by chunk while the logits are
// there. They carry no gradient, but for the mean log-prob, which is an output of the head's autograd node.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Engine;

internal sealed class HeadAnswers
{
    internal const string ArgmaxHit = "argmax_hit";
    internal const string MeanLogProbName = "mean_log_prob";

    private static readonly Dictionary<string, TargetFigure> Known = new()
    {
        ["entropy"] = TargetFigure.Entropy,
        [ArgmaxHit] = TargetFigure.ArgmaxHit,
        ["log_sum_square"] = TargetFigure.LogSumSquare,
        ["mean_logit"] = TargetFigure.MeanLogit,
    };

    private readonly Dictionary<string, List<Tensor>> parts;
    private readonly Dictionary<string, Tensor> joined = [];

    /// <param name="names">The statistics asked for.</param>
    /// <param name="rows">Most rows of the head at once.</param>
    /// <param name="cap">c of logits capped as c tanh(z / c); 0 = not capped.</param>
    /// <exception cref="UserErrorException">There is no such statistic.</exception>
    internal HeadAnswers(IReadOnlyList<string> names, long rows = HeadLogProbs.ChunkRows, double cap = 0)
    {
        foreach (var name in names) Check(name);
        MeanLogProb = names.Contains(MeanLogProbName);
        Rows = rows;
        Cap = cap;
        parts = names.Where(Known.ContainsKey).Distinct().ToDictionary(name => name, _ => new List<Tensor>());
    }

    internal long Rows { get; }

    internal double Cap { get; }

    /// <summary>Whether the mean over the vocabulary of the log-probs is asked for.</summary>
    internal bool MeanLogProb { get; }

    /// <summary>Whether anything without gradient is asked for.</summary>
    internal bool Asks => parts.Count > 0;

    /// <summary>(N) each, in the log-probs' dtype, once all chunks were taken.</summary>
    internal IReadOnlyDictionary<string, Tensor> Statistics => joined;

    internal static void Check(string name)
    {
        if (!Known.ContainsKey(name) && name != MeanLogProbName)
            throw new UserErrorException($"There is no per-token statistic '{name}'; the engine provides {string.Join(", ", Known.Keys)} and {MeanLogProbName}.");
    }

    /// <summary>Called for each chunk, in a scope of the chunk's own.</summary>
    internal void Take(TokenDistributions rows)
    {
        foreach (var (name, chunks) in parts) chunks.Add(rows[Known[name]].MoveToOuterDisposeScope());
    }

    /// <summary>Called after the last chunk, in the scope around the chunks' ones.</summary>
    internal void Join()
    {
        foreach (var (name, chunks) in parts) joined[name] = torch.cat(chunks).MoveToOuterDisposeScope();
    }
}
