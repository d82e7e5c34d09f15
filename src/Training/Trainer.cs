// The training loop: one method, top to bottom. An update sums the gradients of its micro-batches' numerators and divides
// once by the sum of their denominators, as TRL does (token mean over the window for SFT, mean of batches for DPO).

using PeftAlign.Abstractions;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <summary>Trains.</summary>
public static class Trainer
{
    /// <summary>
    /// Trains to the end, or to the last point that is needed, from the latest checkpoint in the folder where there is one. Afterwards the model's weights,
    /// or the adapter's deltas, hold the trained values. Without an adapter the model's former weights are disposed, and
    /// after an exception the model is unusable.
    /// </summary>
    /// <exception cref="UserErrorException">No record has a token to train, or the loss is not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the latest checkpoint is kept.</exception>
    public static TrainingOutcome Train(TrainingRun run, CancellationToken cancellation = default)
    {
        var options = run.Options;
        Directory.CreateDirectory(run.Folder);
        var rows = TrainingRows.Of(run);
        AtomicFile.Write(Path.Combine(run.Folder, "ledger.json"), rows.LedgerJson());
        if (rows.Records.Count == 0) throw NothingToTrain(run, rows.Ledger);
        var (records, order) = (rows.Records, rows.Order(options));
        var total = order.TotalSteps;
        var points = new PointSteps(run.Points, order, run.Adapter is not null);

        var engine = new LogProbEngine(run.Model);
        var context = TrainingRows.Context(run, new MaskLedger());
        var measured = run with { Options = options.OfEvaluation };
        var apart = TrainingRows.Context(measured, new MaskLedger()) with { TrainingBatchSize = options.BatchSize };
        var held = TrainingRows.Trainable(measured, run.EvalRecords, apart);
        var checkpoints = new Checkpoints(Path.Combine(run.Folder, "checkpoints"), options.KeepCheckpoints, points.Resumable, (run.Method as IKeepsState)?.State ?? new Dictionary<string, Tensor>(), run.Model.Device, run.Inexact, run.Warn);
        var latest = checkpoints.Latest(points.LatestStart);
        if (latest > total) throw Beyond(latest, total, run.Folder);
        using var stages = new Stages(PhaseSteps.Of(run.Method, total), phase => new Stage(run, phase, engine, held, apart, total), latest);
        var start = latest == 0 ? new Checkpoints.State(0, 0, 0, double.NaN) : checkpoints.Restore(latest, stages.Current);
        using var log = new MetricsLog(Path.Combine(run.Folder, "metrics.jsonl"), start.MetricsBytes);
        var (tokens, loss) = (start.Tokens, start.Loss);
        points.Write(start.Step, stages.Current.Policy);
        IReadOnlyList<KeyValuePair<string, double>>? row = null;

        for (var step = start.Step; step < points.End; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            var stage = stages.At(step);
            using var scope = torch.NewDisposeScope();
            stage.Groups.ZeroGradients();
            var window = order.Window(step);
            var sums = new StepSums();
            for (var micro = 0; micro < window.Count; micro++)
            {
                using var graph = torch.NewDisposeScope();
                var groups = stage.Method.Prepared(window[micro].Select(k => records[(int)k]).ToList(), context);
                var dropout = stage.Dropout(step, micro);
                using var pass = engine.Pass(groups, stage.Policy.Mode with { Dropout = dropout }, stage.Needs);
                if (step == stage.Steps.Start && micro == 0) StartInvariant.Check(engine, stage.Policy, groups, pass, options.Dtype, dropout is not null);
                var result = stage.Method.Checked(new ScoredBatch(groups, pass.LogProbs, engine.Weights(groups)) { ReferenceLogProbs = pass.Reference, Statistics = pass.Statistics }, trains: true);
                result.Numerator.backward();
                pass.Backward(stage.Groups.Collect);
                sums.Add(result);
                tokens += TokensOf(groups, stage.Method.Needs);
            }
            stage.Groups.DivideGradients(sums.Denominator);
            loss = sums.Loss;
            var gradNorm = stage.Groups.Clip(options.MaxGradNorm);
            if (!double.IsFinite(loss) || !double.IsFinite(gradNorm)) throw NotFinite(step + 1, loss, gradNorm, options);

            var factor = stage.RateFactor(step);
            stage.Groups.Step(factor);
            row = [new("step", step + 1), new("epoch", order.Epoch(step + 1)), .. stage.Row, new("loss", loss), new("grad_norm", gradNorm),
                .. stage.Groups.LearningRates(factor), new("num_tokens", tokens), .. sums.Metrics, .. stage.Evaluation.IsDue(step + 1) ? stage.Evaluation.Measure(tokens) : []];
            log.Write(row);
            if (points.StopsAt(step + 1) || points.Resumable.Contains(step + 1) || (options.SaveEvery > 0 && (step + 1) % options.SaveEvery == 0 && step + 1 < total))
                checkpoints.Save(new(step + 1, log.Length, tokens, loss) { Spent = start.Spent + run.Spent() }, stage);
            points.Write(step + 1, stage.Policy);
            if (step + 1 < points.End) run.Progress?.Invoke(new TrainingProgress(step + 1, total, loss) { Row = row });
        }
        // What another stage takes over is measured too. The checkpoint there does not hold it: a run that goes on ends like one that never stopped.
        row ??= log.LastRow();
        if (stages.Current.Evaluation.IsDueAtStop(points.End))
        {
            var last = stages.Current.Evaluation.Measure(tokens);
            log.Extend(last);
            row = [.. row, .. last];
        }
        if (points.End > 0) run.Progress?.Invoke(new TrainingProgress(points.End, total, loss) { Row = row });
        stages.Current.Policy.Hand();
        return new TrainingOutcome(points.End, start.Step, stages.Current.Groups.Count, loss, rows.Ledger) { SpentBefore = start.Spent };
    }

    // TRL's num_tokens: not what is only measured, nor the token that asks for a score.
    private static long TokensOf(IReadOnlyList<CompletionGroup> groups, MethodNeeds needs) =>
        groups.Sum(g => g.Completions.Where(c => c.Gradient).Sum(c => (long)g.Prompt.Length + c.Tokens.Length - (needs.Scores ? 1 : 0)));

    private static UserErrorException NothingToTrain(TrainingRun run, MaskLedger ledger) => run.Records.Count == 0
        ? new("There are no training rows; the data are empty.")
        : new($"None of the {run.Records.Count} training rows has a token to train: {TrainingRows.Counts(ledger)}. Check max_length ({run.Options.MaxLength}) and the rows' fields.");

    private static UserErrorException Beyond(int step, int total, string folder) =>
        new($"The latest checkpoint in {folder} was made after {step} updates, but this run has {total} (max_steps, epochs and batch sizes decide). Raise max_steps to at least {step}, or train in another folder.");

    private static UserErrorException NotFinite(int step, double loss, double gradNorm, TrainingOptions options) =>
        new($"Step {step}: loss {loss}, gradient norm {gradNorm} (learning_rate {options.LearningRate}). Training stopped before this update; the latest checkpoint is intact. Lower learning_rate, add warm-up, or look at the rows of this step.");

    private sealed class StepSums
    {
        private readonly MetricMeans metrics = new();
        private double numerator;

        internal double Denominator { get; private set; }

        internal double Loss => numerator / Denominator;

        internal IEnumerable<KeyValuePair<string, double>> Metrics => metrics.Means;

        internal void Add(MethodLoss result)
        {
            numerator += result.Numerator.item<double>();
            Denominator += result.Denominator;
            metrics.Add(result.Metrics);
        }
    }
}
