// The options of the loop as a golden trajectory's run.json writes them; linked into other test projects.

using System.Text.Json.Nodes;

namespace PeftAlign.Training.Tests;

internal static class TrajectorySettings
{
    /// <summary>Rows in file order, no checkpoints.</summary>
    internal static TrainingOptions Options(JsonObject settings) => new()
    {
        LearningRate = (double)settings["learning_rate"]!,
        LrScheduler = (string)settings["lr_scheduler_type"]!,
        WarmupSteps = (int)settings["warmup_steps"]!,
        MaxSteps = Math.Max(0, (int)settings["max_steps"]!),
        Epochs = (double)settings["num_train_epochs"]!,
        BatchSize = (int)settings["per_device_train_batch_size"]!,
        GradientAccumulationSteps = (int)settings["gradient_accumulation_steps"]!,
        WeightDecay = (double)settings["weight_decay"]!,
        MaxGradNorm = (double)settings["max_grad_norm"]!,
        MaxLength = (int)settings["max_length"]!,
        Shuffle = false,
        SaveEvery = 0,
    };
}
