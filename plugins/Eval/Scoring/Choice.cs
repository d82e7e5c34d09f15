// The choice that a model finds most likely, by several lengths, as lm-evaluation-harness defines acc, acc_norm, acc_bytes.

using System.Text;
using PeftAlign.Abstractions;

namespace PeftAlign.Eval.Scoring;

internal static class Choice
{
    /// <summary>Place of the largest value; the first of equals.</summary>
    internal static int Best(IReadOnlyList<double> values)
    {
        var best = 0;
        for (var k = 1; k < values.Count; k++)
            if (values[k] > values[best]) best = k;
        return best;
    }

    internal static IReadOnlyList<double> LogProbs(IEnumerable<EvalResponse> responses) => [.. responses.Select(r => r.LogProb)];

    /// <summary>Log-probs divided by the choices' characters (code points).</summary>
    internal static IReadOnlyList<double> PerCharacter(IReadOnlyList<double> logProbs, IReadOnlyList<string> choices) =>
        [.. logProbs.Select((value, k) => value / choices[k].EnumerateRunes().Count())];

    /// <summary>Log-probs divided by the choices' UTF-8 bytes.</summary>
    internal static IReadOnlyList<double> PerByte(IReadOnlyList<double> logProbs, IReadOnlyList<string> choices) =>
        [.. logProbs.Select((value, k) => value / Encoding.UTF8.GetByteCount(choices[k]))];

    /// <summary>Probabilities of the choices among themselves.</summary>
    internal static double[] Softmax(IReadOnlyList<double> logProbs)
    {
        var top = logProbs.Max();
        var shares = logProbs.Select(v => Math.Exp(v - top)).ToArray();
        var sum = shares.Sum();
        return [.. shares.Select(s => s / sum)];
    }
}
