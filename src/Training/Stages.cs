// The phase of a training that an update belongs to, with everything that lives as long as the phase: the policy over its flat buffers,
// moments, the needs of a pass, the pass over eval_data, the schedule.

using PeftAlign.Abstractions;
using PeftAlign.Core;
using PeftAlign.Models.Engine;

namespace PeftAlign.Training;

/// <summary>One phase at work.</summary>
internal sealed class Stage : IDisposable
{
    private readonly TrainingOptions options;
    private readonly int warmup;

    internal Stage(TrainingRun run, PhaseSteps steps, LogProbEngine engine, IReadOnlyList<DataRecord> evalRecords, PrepareContext context, int total)
    {
        (Steps, options) = (steps, run.Options);
        var own = steps.Phase is { } phase ? run with { Method = phase.Method } : run;
        Method = own.Method;
        Policy = new TrainedPolicy(own, steps.Phase);
        Groups = new ParameterGroups(Policy.Groups, options, run.PagedBucket is { } bucket ? new Paging { Free = 0, Bucket = bucket } : null);
        Needs = new PassNeeds { Reference = Policy.Reference, Stored = run.StoredReference, Statistics = Method.Needs.Statistics, Recompute = options.GradientCheckpointing };
        Evaluation = new Evaluation(own, engine, Policy, evalRecords, context, total);
        warmup = Schedules.WarmupSteps(options.WarmupSteps, options.WarmupRatio, steps.End - steps.Start);
    }

    internal PhaseSteps Steps { get; }

    internal IAlignmentMethod Method { get; }

    internal TrainedPolicy Policy { get; }

    internal ParameterGroups Groups { get; }

    internal PassNeeds Needs { get; }

    internal Evaluation Evaluation { get; }

    /// <summary>What a row of metrics.jsonl says of the phase: nothing where there are none.</summary>
    internal IEnumerable<KeyValuePair<string, double>> Row => Steps.Phase is null ? [] : [new("phase", Steps.Number)];

    /// <summary>What earlier phases trained and this one may not: checkpoints hold it as it was when the phase began.</summary>
    internal IReadOnlyList<(string Name, Torch.Tensor Tensor)> Carried => Steps.Number > 1 ? Policy.OwnControls : [];

    /// <summary>The schedule's factor of the learning rates for update <paramref name="step"/> of the training.</summary>
    internal double RateFactor(int step) => Schedules.Factor(options.LrScheduler, step - Steps.Start, warmup, Steps.End - Steps.Start);

    /// <summary>Of this update's micro-batch; null where the method wants none.</summary>
    internal Models.Decoders.DropoutKey? Dropout(int step, int micro) => Method.Needs is { Dropout: false, HiddenPast: 0 }
        ? null
        : new((ulong)options.Seed, (long)step * options.GradientAccumulationSteps + micro) { HiddenPast = Method.Needs.HiddenPast, Activations = Method.Needs.Dropout };

    public void Dispose()
    {
        Groups.Dispose();
        Policy.Dispose();
    }
}

/// <summary>The phases, one at a time.</summary>
/// <param name="phases">In order.</param>
/// <param name="begin">Makes a phase from where the model and the controls are.</param>
/// <param name="step">Updates that are done already.</param>
internal sealed class Stages(IReadOnlyList<PhaseSteps> phases, Func<PhaseSteps, Stage> begin, int step) : IDisposable
{
    /// <summary>The phase of the last update that was asked for; at first the one in which the latest checkpoint was made.</summary>
    internal Stage Current { get; private set; } = begin(phases.Last(p => p.Start < step || p.Start == 0));

    /// <summary>The phase of update <paramref name="next"/>. What the one before trained goes to its owners first.</summary>
    internal Stage At(int next)
    {
        while (next >= Current.Steps.End && Current.Steps.Number < phases.Count)
        {
            Current.Policy.Hand();
            Current.Dispose();
            Current = begin(phases[Current.Steps.Number]);
        }
        return Current;
    }

    public void Dispose() => Current.Dispose();
}
