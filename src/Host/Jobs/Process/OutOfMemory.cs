// What a job says when memory runs out: what to lower, and what is kept.

using System.Globalization;
using System.Text.Json.Nodes;
using PeftAlign.Host.Running;
using PeftAlign.Torch;

namespace PeftAlign.Host.Jobs;

internal static class OutOfMemory
{
    /// <summary>The message of a job that ended so.</summary>
    /// <param name="folder">The job's.</param>
    /// <param name="cause">What the allocator said.</param>
    internal static string Message(JobFolder folder, Exception cause)
    {
        var spec = JobSpec.Read(folder);
        var remedy = spec.Kind == "train" ? OfTraining(folder, spec.Options["training"]?.AsObject() ?? []) : cause is TorchOutOfMemoryException { IsOnGpu: true } ? "Use a smaller or a 4-bit model, a GPU with more memory, or --device cpu." : "Run fewer jobs at once (--jobs), or use a smaller model.";
        return $"{(cause is TorchOutOfMemoryException { IsOnGpu: true } ? $"The memory of {spec.Device ?? "the GPU"}" : "Memory")} ran out. {remedy} ({cause.Message.ReplaceLineEndings(" ")}; {folder.Log} says where)";
    }

    private static string OfTraining(JobFolder folder, JsonObject training)
    {
        var lower = $"lower batch_size (now {training["batch_size"]}; gradient_accumulation_steps makes up for it) or max_length (now {training["max_length"]})";
        var first = training["gradient_checkpointing"]?.GetValue<bool>() == true
            ? $"{char.ToUpperInvariant(lower[0])}{lower[1..]}, which makes it another training."
            : $"Turn gradient_checkpointing on, which changes no result and goes on from the last checkpoint; or {lower}, which makes it another training.";
        return $"{first} {(LastCheckpoint(folder) is { } step ? $"The checkpoint of step {step} is kept." : "There is no checkpoint yet.")}";
    }

    private static int? LastCheckpoint(JobFolder folder) =>
        !Directory.Exists(folder.File("checkpoints")) ? null : Directory.GetDirectories(folder.File("checkpoints"))
            .Select(path => int.TryParse(Path.GetFileName(path), NumberStyles.None, CultureInfo.InvariantCulture, out var step) ? step : (int?)null).Max();
}
