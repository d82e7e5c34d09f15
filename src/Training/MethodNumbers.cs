// What a method's loss may say beside its gradient. A denominator that is not positive would train away from the loss, and a metric
// under one of the trainer's names would stand in its place in metrics.jsonl, where `select` looks.

using PeftAlign.Abstractions;

namespace PeftAlign.Training;

internal static class MethodNumbers
{
    private static readonly string[] Own = ["step", "epoch", "phase", "loss", "grad_norm", "num_tokens"];
    private static readonly string[] OwnFamilies = ["learning_rate", "eval_"];

    /// <summary>Refuses numbers that would be taken for something else.</summary>
    /// <param name="method">Whose they are, for the message.</param>
    /// <param name="loss">What it returned.</param>
    /// <exception cref="UserErrorException">The denominator is not positive, or a metric has a name of the trainer's.</exception>
    internal static void ThrowIfWrong(IAlignmentMethod method, MethodLoss loss)
    {
        if (!(loss.Denominator > 0) || double.IsInfinity(loss.Denominator))
            throw new UserErrorException($"The method {method.GetType().FullName} returned a loss with the denominator {loss.Denominator}; it must be a number more than 0, since the loss is numerator / denominator. Mend the method (a mean over the batch has the denominator 1), or take another one.");
        if (loss.Metrics.Keys.FirstOrDefault(IsOwn) is { } name)
            throw new UserErrorException($"The method {method.GetType().FullName} returned a metric '{name}', which is the trainer's own; {string.Join(", ", Own)} and names that begin with {string.Join(" or ", OwnFamilies)} are. Give the metric another name, for instance '{(name.StartsWith("eval_", StringComparison.Ordinal) ? name[5..] : name)}/own'.");
    }

    private static bool IsOwn(string name) => Own.Contains(name) || OwnFamilies.Any(family => name.StartsWith(family, StringComparison.Ordinal));
}
