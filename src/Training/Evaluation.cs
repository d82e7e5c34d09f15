// A pass over eval_data: TRL's eval_loss, the mean over rows of their batch's loss, and eval_ before every other metric, whose
// mean is over batches. Neither gradients nor dropout.

using PeftAlign.Abstractions;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <summary>Measures the loss on rows that are not trained on.</summary>
/// <param name="run">The run.</param>
/// <param name="engine">Over the policy's model.</param>
/// <param name="policy">The policy that is trained, and what the method refers to.</param>
/// <param name="records">Rows as the method prepared them, in file order.</param>
/// <param name="context">For Prepare, with the batch size of these passes.</param>
/// <param name="total">Updates of the whole training.</param>
internal sealed class Evaluation(TrainingRun run, LogProbEngine engine, TrainedPolicy policy, IReadOnlyList<DataRecord> records, PrepareContext context, int total)
{
    /// <summary>Whether it is due after so many updates.</summary>
    internal bool IsDue(int steps) => records.Count > 0 && (steps == total || (run.Options.EvalEvery > 0 && steps % run.Options.EvalEvery == 0));

    /// <summary>Whether it is due where the run ends, before the training's own end, and was not there already.</summary>
    internal bool IsDueAtStop(int steps) => records.Count > 0 && steps < total && !IsDue(steps);

    /// <summary>The metrics, each with eval_ before its name.</summary>
    /// <param name="tokens">Tokens trained on so far, which TRL's rows hold here too.</param>
    internal IReadOnlyList<KeyValuePair<string, double>> Measure(long tokens)
    {
        using var off = torch.no_grad();
        using var before = torch.NewDisposeScope();
        var state = (run.Method as IKeepsState)?.State ?? new Dictionary<string, Tensor>();
        var kept = state.ToDictionary(s => s.Key, s => s.Value.clone());
        var (loss, metrics) = (0.0, new MetricMeans());
        foreach (var batch in records.Chunk(context.BatchSize))
        {
            using var scope = torch.NewDisposeScope();
            var groups = run.Method.Prepared(batch, context);
            using var pass = engine.Pass(groups, policy.Mode, new PassNeeds { Reference = policy.Reference, Stored = run.StoredReference, Statistics = run.Method.Needs.Statistics });
            var result = run.Method.Checked(new ScoredBatch(groups, pass.LogProbs, engine.Weights(groups)) { ReferenceLogProbs = pass.Reference, Statistics = pass.Statistics }, trains: false);
            loss += batch.Length * (result.Numerator.item<double>() / result.Denominator);
            metrics.Add(result.Metrics);
        }
        foreach (var (name, tensor) in state) tensor.copy_(kept[name]);
        return [new("eval_loss", loss / records.Count), new("eval_num_tokens", tokens), .. metrics.Means.Select(m => KeyValuePair.Create($"eval_{m.Key}", m.Value))];
    }
}
