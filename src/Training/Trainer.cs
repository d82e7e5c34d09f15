// The training loop, top to bottom: rows, checkpoint, updates, what is written. An update itself is in Updates.cs.

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
        var order = rows.Order(options);
        var total = order.TotalSteps;
        var points = new PointSteps(run.Points, order, run.Adapter is not null);

        var engine = new LogProbEngine(run.Model);
        var begin = StageOf(run, engine, total);
        var checkpoints = new Checkpoints(Path.Combine(run.Folder, "checkpoints"), options.KeepCheckpoints, points.Resumable, (run.Method as IKeepsState)?.State ?? new Dictionary<string, Tensor>(), run.Model.Device, run.Inexact, run.Warn);
        var latest = checkpoints.Latest(points.LatestStart);
        if (latest > total) throw Beyond(latest, total, run.Folder);
        using var stages = new Stages(PhaseSteps.Of(run.Method, total), begin, latest);
        var start = latest == 0 ? new Checkpoints.State(0, 0, 0, double.NaN) : checkpoints.Restore(latest, stages.Current);
        using var log = new MetricsLog(Path.Combine(run.Folder, "metrics.jsonl"), start.MetricsBytes);
        points.Write(start.Step, stages.Current.Policy);

        var updates = new Updates(run, rows.Records, order, engine, start);
        IReadOnlyList<KeyValuePair<string, double>>? row = null;
        for (var step = start.Step; step < points.End; step++)
        {
            cancellation.ThrowIfCancellationRequested();
            var stage = stages.At(step);
            using var scope = torch.NewDisposeScope();
            row = updates.Make(step, stage);
            log.Write(row);
            if (IsSaved(step + 1, points, options, total)) checkpoints.Save(new(step + 1, log.Length, updates.Tokens, updates.Loss) { Spent = start.Spent + run.Spent() }, stage);
            points.Write(step + 1, stage.Policy);
            if (step + 1 < points.End) run.Progress?.Invoke(new TrainingProgress(step + 1, total, updates.Loss) { Row = row });
        }
        row = MeasuredAtStop(row ?? log.LastRow(), points.End, stages.Current.Evaluation, updates.Tokens, log);
        if (points.End > 0) run.Progress?.Invoke(new TrainingProgress(points.End, total, updates.Loss) { Row = row });
        stages.Current.Policy.Hand();
        return new TrainingOutcome(points.End, start.Step, stages.Current.Groups.Count, updates.Loss, rows.Ledger) { SpentBefore = start.Spent };
    }

    // What makes a phase. The rows of eval_data are arranged once, for all phases.
    private static Func<PhaseSteps, Stage> StageOf(TrainingRun run, LogProbEngine engine, int total)
    {
        var evalRun = run with { Options = run.Options.OfEvaluation };
        var evalContext = TrainingRows.Context(evalRun, new MaskLedger()) with { TrainingBatchSize = run.Options.BatchSize };
        var evalRecords = TrainingRows.Trainable(evalRun, run.EvalRecords, evalContext);
        return phase => new Stage(run, phase, engine, evalRecords, evalContext, total);
    }

    private static bool IsSaved(int steps, PointSteps points, TrainingOptions options, int total) =>
        points.StopsAt(steps) || points.Resumable.Contains(steps) || (options.SaveEvery > 0 && steps % options.SaveEvery == 0 && steps < total);

    // What another stage takes over is measured too. The checkpoint there does not hold it: a run that goes on ends like one that never stopped.
    private static IReadOnlyList<KeyValuePair<string, double>> MeasuredAtStop(IReadOnlyList<KeyValuePair<string, double>> row, int steps, Evaluation evaluation, long tokens, MetricsLog log)
    {
        if (!evaluation.IsDueAtStop(steps)) return row;
        var measured = evaluation.Measure(tokens);
        log.Extend(measured);
        return [.. row, .. measured];
    }

    private static UserErrorException NothingToTrain(TrainingRun run, MaskLedger ledger) => run.Records.Count == 0
        ? new("There are no training rows; the data are empty.")
        : new($"None of the {run.Records.Count} training rows has a token to train: {TrainingRows.Counts(ledger)}. Check max_length ({run.Options.MaxLength}) and the rows' fields.");

    private static UserErrorException Beyond(int step, int total, string folder) =>
        new($"The latest checkpoint in {folder} was made after {step} updates, but this run has {total} (max_steps, epochs and batch sizes decide). Raise max_steps to at least {step}, or train in another folder.");
}
