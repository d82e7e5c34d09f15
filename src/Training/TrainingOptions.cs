// The trainer's own options, the same for every method. Names and defaults are TRL's where it has them.

using PeftAlign.Abstractions;

namespace PeftAlign.Training;

/// <summary>Options of the training loop.</summary>
public sealed class TrainingOptions
{
    /// <summary>Peak learning rate.</summary>
    [OptionRange(0)]
    public double LearningRate { get; set; } = 2e-5;

    /// <summary>Course of the learning rate.</summary>
    [OptionChoices("linear", "cosine", "constant", "constant_with_warmup", "inverse_sqrt")]
    [OptionAlias("lr_scheduler_type")]
    public string LrScheduler { get; set; } = "linear";

    /// <summary>Updates over which the rate rises from 0; takes precedence over warmup_ratio.</summary>
    [OptionRange(0)]
    public int WarmupSteps { get; set; }

    /// <summary>Share of all updates over which the rate rises from 0.</summary>
    [OptionRange(0, 1)]
    public double WarmupRatio { get; set; }

    /// <summary>Number of updates; 0 = as many as the epochs have.</summary>
    [OptionRange(0)]
    public int MaxSteps { get; set; }

    /// <summary>Passes over the data, where max_steps does not say when to stop.</summary>
    [OptionRange(0, ExclusiveMinimum = true)]
    [OptionAlias("num_train_epochs")]
    public double Epochs { get; set; } = 1;

    /// <summary>Records of one micro-batch (pairs, for methods on pairs).</summary>
    [OptionRange(1)]
    [OptionAlias("per_device_train_batch_size")]
    public int BatchSize { get; set; } = 8;

    /// <summary>Micro-batches of one update.</summary>
    [OptionRange(1)]
    public int GradientAccumulationSteps { get; set; } = 1;

    /// <summary>Decoupled weight decay; vectors (norms, biases) of a full model are not decayed.</summary>
    [OptionRange(0)]
    public double WeightDecay { get; set; }

    /// <summary>Decay of the first moment.</summary>
    [OptionRange(0, 1)]
    public double AdamBeta1 { get; set; } = 0.9;

    /// <summary>Decay of the second moment.</summary>
    [OptionRange(0, 1)]
    public double AdamBeta2 { get; set; } = 0.999;

    /// <summary>Added to the root of the second moment.</summary>
    [OptionRange(0)]
    public double AdamEpsilon { get; set; } = 1e-8;

    /// <summary>Largest norm of all gradients together; 0 = no clipping.</summary>
    [OptionRange(0)]
    public double MaxGradNorm { get; set; } = 1;

    /// <summary>Most tokens of a record, prompt and completion together.</summary>
    [OptionRange(2)]
    public int MaxLength { get; set; } = 1024;

    /// <summary>Whether each epoch visits the records in a new random order; off = file order.</summary>
    public bool Shuffle { get; set; } = true;

    /// <summary>Seed of initial values, order and dropout.</summary>
    public long Seed { get; set; } = 42;

    /// <summary>Seed of the order of the records; the seed where it is not given.</summary>
    public long? DataSeed { get; set; }

    /// <summary>Updates between checkpoints; 0 = none.</summary>
    [OptionRange(0)]
    [OptionAlias("save_steps")]
    public int SaveEvery { get; set; } = 500;

    /// <summary>How many of the latest checkpoints stay.</summary>
    [OptionRange(1)]
    [OptionAlias("save_total_limit")]
    public int KeepCheckpoints { get; set; } = 1;
}
