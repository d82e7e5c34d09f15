// One update: the gradients of a window's micro-batches, clipped, and the optimiser's step. An update sums the gradients of its
// micro-batches' numerators and divides once by the sum of their denominators, as TRL does (token mean over the window for SFT, mean
// of batches for DPO).

using PeftAlign.Abstractions;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <summary>Makes the updates of a training, one after the other.</summary>
/// <param name="run">The run.</param>
/// <param name="records">The rows that are trained on.</param>
/// <param name="order">Which rows each update sees.</param>
/// <param name="engine">Over the policy's model.</param>
/// <param name="start">The state that the training starts or resumes from.</param>
internal sealed class Updates(TrainingRun run, IReadOnlyList<DataRecord> records, BatchOrder order, LogProbEngine engine, Checkpoints.State start)
{
    // Rows were counted when they were arranged, so this ledger is nobody's.
    private readonly PrepareContext context = TrainingRows.Context(run, new MaskLedger());

    /// <summary>Tokens trained on so far, TRL's num_tokens.</summary>
    internal long Tokens { get; private set; } = start.Tokens;

    /// <summary>The last update's loss; NaN before the first.</summary>
    internal double Loss { get; private set; } = start.Loss;

    /// <summary>Makes update <paramref name="step"/> (from 0) and returns its row of metrics.jsonl.</summary>
    /// <exception cref="UserErrorException">The loss or the gradient is not finite; the weights are those of before.</exception>
    internal IReadOnlyList<KeyValuePair<string, double>> Make(int step, Stage stage)
    {
        stage.Groups.ZeroGradients();
        var window = order.Window(step);
        var sums = new StepSums();
        for (var micro = 0; micro < window.Count; micro++) AddGradients(step, micro, window[micro], stage, sums);
        stage.Groups.DivideGradients(sums.Denominator);
        Loss = sums.Loss;
        var gradNorm = stage.Groups.Clip(run.Options.MaxGradNorm);
        if (!double.IsFinite(Loss) || !double.IsFinite(gradNorm)) throw NotFinite(step + 1, gradNorm, sums.Maker);

        var factor = stage.RateFactor(step);
        stage.Groups.Step(factor);
        return [new("step", step + 1), new("epoch", order.Epoch(step + 1)), .. stage.Row, new("loss", Loss), new("grad_norm", gradNorm),
            .. stage.Groups.LearningRates(factor), new("num_tokens", Tokens), .. sums.Metrics, .. stage.Evaluation.IsDue(step + 1) ? stage.Evaluation.Measure(Tokens) : []];
    }

    private void AddGradients(int step, int micro, IReadOnlyList<long> rows, Stage stage, StepSums sums)
    {
        using var graph = torch.NewDisposeScope();
        var groups = stage.Method.Prepared(rows.Select(row => records[(int)row]).ToList(), context);
        var dropout = stage.Dropout(step, micro);
        using var pass = engine.Pass(groups, stage.Policy.Mode with { Dropout = dropout }, stage.Needs);
        if (step == stage.Steps.Start && micro == 0) StartInvariant.Check(engine, stage.Policy, groups, pass, run.Options.Dtype, dropout is not null);
        var result = stage.Method.Checked(new ScoredBatch(groups, pass.LogProbs, engine.Weights(groups)) { ReferenceLogProbs = pass.Reference, Statistics = pass.Statistics }, trains: true);
        result.Numerator.backward();
        pass.Backward(stage.Groups.Collect);
        var numerator = sums.Add(result);
        if (!double.IsFinite(numerator) && new[] { pass.LogProbs, pass.Reference }.Concat(pass.Statistics.Values).OfType<Tensor>().All(IsFinite)) sums.Maker ??= MakerOf(stage.Method);
        Tokens += TokensOf(groups, stage.Method.Needs);
    }

    // TRL's num_tokens: not what is only measured, nor the token that asks for a score.
    private static long TokensOf(IReadOnlyList<CompletionGroup> groups, MethodNeeds needs) =>
        groups.Sum(g => g.Completions.Where(c => c.Gradient).Sum(c => (long)g.Prompt.Length + c.Tokens.Length - (needs.Scores ? 1 : 0)));

    private static bool IsFinite(Tensor x) => x.detach().isfinite().all().item<bool>();

    // The engine gave numbers, so it was the method whose loss is none.
    private static string MakerOf(IAlignmentMethod method) =>
        $" {(BrokenContractException.Of(method.GetType().Assembly) is { } plugin ? $"{plugin}: " : "")}{method.GetType().FullName}.Loss made it of log-probs that are all finite.";

    private UserErrorException NotFinite(int step, double gradNorm, string? maker) =>
        new($"Step {step}: loss {Loss}, gradient norm {gradNorm} (learning_rate {run.Options.LearningRate}).{maker} Training stopped before this update; the latest checkpoint is intact. Lower learning_rate, add warm-up, or look at the rows of this step.");

    private sealed class StepSums
    {
        private readonly MetricMeans metrics = new();
        private double numerator;

        internal double Denominator { get; private set; }

        internal double Loss => numerator / Denominator;

        /// <summary>Who made a loss that is no number; null where none is, or nobody can be told.</summary>
        internal string? Maker { get; set; }

        internal IEnumerable<KeyValuePair<string, double>> Metrics => metrics.Means;

        // Gives the numerator alone: the sum may be no number from an earlier batch on.
        internal double Add(MethodLoss result)
        {
            var own = result.Numerator.item<double>();
            numerator += own;
            Denominator += result.Denominator;
            metrics.Add(result.Metrics);
            return own;
        }
    }
}
