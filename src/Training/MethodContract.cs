// Checks what a method returns. A loss without a gradient, or of another shape, would fail deep in the engine; a denominator that is not
// positive would train away from the loss; and a metric under one of the trainer's names would replace it in metrics.jsonl, where `select` looks.

using PeftAlign.Abstractions;

namespace PeftAlign.Training;

/// <summary>Asks methods, and refuses what their contract rules out.</summary>
public static class MethodContract
{
    private static readonly string[] Own = ["step", "epoch", "phase", "loss", "grad_norm", "num_tokens"];
    private static readonly string[] OwnFamilies = ["learning_rate", "eval_"];

    /// <summary>The rows as a method arranges them, where it does.</summary>
    /// <param name="method">The method.</param>
    /// <param name="rows">The whole data set, or a mixture's source.</param>
    /// <param name="context">For Arrange.</param>
    /// <exception cref="BrokenContractException">It gave none.</exception>
    public static IReadOnlyList<DataRecord> Arranged(this IAlignmentMethod method, IReadOnlyList<DataRecord> rows, PrepareContext context) =>
        method is IArrangesRecords arranges ? BrokenContractException.Whole(method, nameof(arranges.Arrange), arranges.Arrange(rows, context)) : rows;

    /// <summary>A batch's groups.</summary>
    /// <param name="method">The method.</param>
    /// <param name="records">The batch.</param>
    /// <param name="context">For Prepare.</param>
    /// <exception cref="BrokenContractException">A group has no prompt or no completion, or a completion is no list of tokens with a weight each.</exception>
    public static IReadOnlyList<CompletionGroup> Prepared(this IAlignmentMethod method, IReadOnlyList<DataRecord> records, PrepareContext context)
    {
        var groups = BrokenContractException.Whole(method, nameof(method.Prepare), method.Prepare(records, context));
        foreach (var group in groups)
        {
            if (group.Prompt is not { Length: > 0 }) throw new BrokenContractException(method, $"Prepare gave a group without a prompt for {records[0].Place}", "a prompt is one token or more (a sequence without a prompt gives its first token there)");
            if (BrokenContractException.Whole(method, "Prepare, for a group's completions,", group.Completions).Count == 0) throw new BrokenContractException(method, $"Prepare gave a group without completions for {records[0].Place}", "a group has one or more");
            if (group.Completions.FirstOrDefault(c => c.Tokens is not { Length: > 0 } || c.Weights?.Length != c.Tokens.Length) is { } odd)
                throw new BrokenContractException(method, $"Prepare gave a completion of {odd.Tokens?.Length ?? 0} tokens and {odd.Weights?.Length ?? 0} weights for {records[0].Place}", "it needs at least one token and one weight per token");
        }
        return groups;
    }

    /// <summary>A batch's loss.</summary>
    /// <param name="method">The method.</param>
    /// <param name="batch">For Loss.</param>
    /// <param name="trains">Whether it is trained by, and so has a gradient.</param>
    /// <exception cref="BrokenContractException">It is no loss, has no gradient, the denominator is not positive, or a metric has a name of the trainer's.</exception>
    internal static MethodLoss Checked(this IAlignmentMethod method, ScoredBatch batch, bool trains)
    {
        var loss = method.Loss(batch) ?? throw new BrokenContractException(method, "Loss gave null", "a loss of the batch is asked for");
        if (loss.Numerator is null || loss.Metrics is null) throw new BrokenContractException(method, $"Loss gave null for {(loss.Metrics is null ? "the metrics" : "the numerator")}", "a scalar tensor is asked for, and metrics, which may be empty");
        if (loss.Numerator.numel() != 1) throw new BrokenContractException(method, $"Loss gave a numerator of shape [{string.Join(", ", loss.Numerator.shape)}]", "it must be one number, a sum or a mean over the batch");
        if (trains && !loss.Numerator.requires_grad) throw new BrokenContractException(method, "Loss gave a numerator without a gradient", "it must be computed from the batch's LogProbs, without detach and without numbers that were taken out of tensors");
        if (!(loss.Denominator > 0) || double.IsInfinity(loss.Denominator))
            throw new BrokenContractException(method, FormattableString.Invariant($"Loss gave the denominator {loss.Denominator}"), "it must be a number more than 0, since the loss is numerator / denominator (a mean over the batch has the denominator 1)");
        if (loss.Metrics.Keys.FirstOrDefault(IsOwn) is { } name)
            throw new BrokenContractException(method, $"Loss gave a metric '{name}', which is the trainer's own", $"{string.Join(", ", Own)} and names that begin with {string.Join(" or ", OwnFamilies)} are; another name is asked for, such as '{(name.StartsWith("eval_", StringComparison.Ordinal) ? name[5..] : name)}/own'");
        return loss;
    }

    private static bool IsOwn(string name) => Own.Contains(name) || OwnFamilies.Any(family => name.StartsWith(family, StringComparison.Ordinal));
}
