// What a training run needs, and what it reports while it runs.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;

namespace PeftAlign.Training;

/// <summary>One training job: a model, data, a method, maybe an adapter, and a folder for all that it writes.</summary>
public sealed record TrainingRun
{
    /// <summary>The model that is trained, or stays frozen under an adapter. Trained weights are float32, also where the options' dtype is narrower; a frozen base is of that.</summary>
    public required DecoderModel Model { get; init; }

    /// <summary>The model's tokenizer; null where the data are tokens already.</summary>
    public ITokenizer? Tokenizer { get; init; }

    /// <summary>The model's chat template; null where it has none.</summary>
    public IChatTemplate? ChatTemplate { get; init; }

    /// <summary>What fills rows behind their ends where the trained model is to score sequences; null for none.</summary>
    public int? PadToken { get; init; }

    /// <summary>Training rows, in file order.</summary>
    public required IReadOnlyList<DataRecord> Records { get; init; }

    /// <summary>The sources that the training rows are of, in their order; empty where there is one.</summary>
    public IReadOnlyList<MixtureShare> Mixture { get; init; } = [];

    /// <summary>Rows whose loss is measured every eval_every updates; empty for none.</summary>
    public IReadOnlyList<DataRecord> EvalRecords { get; init; } = [];

    /// <summary>The method whose loss is minimised.</summary>
    public required IAlignmentMethod Method { get; init; }

    /// <summary>Deltas to train; null trains every weight of the model, or, where there are controls, what the method's phases say.</summary>
    public IReadOnlyList<AdapterSite>? Adapter { get; init; }

    /// <summary>Deltas of each control, for a method that trains controls; null for any other.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<AdapterSite>>? Controls { get; init; }

    /// <summary>Deltas below the trained ones, from the lowest: part of the policy and of its start, frozen.</summary>
    public IReadOnlyList<IReadOnlyList<AdapterSite>> Beneath { get; init; } = [];

    /// <summary>What the method's loss refers to; null = the policy where training starts.</summary>
    public ReferencePolicy? Reference { get; init; }

    /// <summary>The reference's log-probs where they were computed before; null where the reference is asked each time.</summary>
    public StoredLogProbs? StoredReference { get; init; }

    /// <summary>Whether the reference is neither here nor the policy's start, so that only its stored log-probs are there.</summary>
    public bool IsReferenceElsewhere { get; init; }

    /// <summary>Options of the loop.</summary>
    public required TrainingOptions Options { get; init; }

    /// <summary>Where metrics.jsonl, ledger.json and checkpoints/ go.</summary>
    public required string Folder { get; init; }

    /// <summary>Whether a checkpoint of another libtorch, other kernels or threads may be gone on from; numbers may then differ.</summary>
    public bool Inexact { get; init; }

    /// <summary>Points whose policies others need.</summary>
    public KeptPoints Points { get; init; } = KeptPoints.None;

    /// <summary>Of an optimiser that pages: so many values at a time, also where the device has room for all moments; null = where it has not.</summary>
    public long? PagedBucket { get; init; }

    /// <summary>What this try took so far; checkpoints keep it, added to what the tries before took up to the step from which this one went on.</summary>
    public Func<Spent> Spent { get; init; } = () => default;

    /// <summary>Told of a damaged checkpoint that was put aside.</summary>
    public Action<string>? Warn { get; init; }

    /// <summary>Called after each update, after the last one with what is measured at the end.</summary>
    public Action<TrainingProgress>? Progress { get; init; }
}

/// <summary>Where a run stands.</summary>
/// <param name="Step">Updates done.</param>
/// <param name="TotalSteps">Updates in all.</param>
/// <param name="Loss">Loss of the last update.</param>
public sealed record TrainingProgress(int Step, int TotalSteps, double Loss)
{
    /// <summary>The step's row of metrics.jsonl.</summary>
    public IReadOnlyList<KeyValuePair<string, double>> Row { get; init; } = [];
}

/// <summary>What a run left.</summary>
/// <param name="Steps">Updates done, those of earlier tries included; fewer than the training has if it ended at a point.</param>
/// <param name="ResumedFrom">The checkpoint's step that this try started from; 0 = none.</param>
/// <param name="TrainableParameters">Numbers that were trained.</param>
/// <param name="FinalLoss">Loss of the last update.</param>
/// <param name="Ledger">What became of every row.</param>
public sealed record TrainingOutcome(int Steps, int ResumedFrom, long TrainableParameters, double FinalLoss, MaskLedger Ledger)
{
    /// <summary>What the tries before took, up to the step from which this one went on.</summary>
    public Spent SpentBefore { get; init; }
}

/// <summary>What work took.</summary>
/// <param name="Seconds">By the clock.</param>
/// <param name="Processor">Seconds of processor time, over all threads.</param>
public readonly record struct Spent(double Seconds, double Processor)
{
    /// <summary>What both took.</summary>
    public static Spent operator +(Spent left, Spent right) => new(left.Seconds + right.Seconds, left.Processor + right.Processor);
}
