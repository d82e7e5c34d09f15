// What a training of all weights takes at the least: exact arithmetic from their number, the type and the optimiser. What no memory holds is
// refused before the weights are read.

using PeftAlign.Abstractions;
using PeftAlign.Host.Inspection;
using PeftAlign.Host.Running.Estimates;
using PeftAlign.Training;

namespace PeftAlign.Host.Jobs;

internal static class WeightsInTraining
{
    /// <summary>Refuses weights that have no room in this machine's memory beside their gradients and moments.</summary>
    /// <param name="model">Of which all weights are trained, on a processor.</param>
    /// <param name="options">Type and optimiser.</param>
    /// <exception cref="UserErrorException">There is no room.</exception>
    internal static void ThrowIfTooMany(DecoderSpec model, TrainingOptions options)
    {
        var least = Least(model, options);
        if (least <= MachineMemory.Limit) return;
        var smaller = Least(model, options with { Optimizer = "adamw_8bit" });
        var optimizer = smaller < least && smaller <= MachineMemory.Limit ? $"take the optimizer adamw_8bit ({Sizes.Bytes(smaller)}), or " : "";
        throw new UserErrorException($"Training all {Sizes.Count(Costs.Parameters(model))} weights takes at least {Sizes.Bytes(least)} of memory for them, their gradients and what {options.Optimizer} keeps, and this machine has {Sizes.Bytes(MachineMemory.Limit)}; {optimizer}train an adapter (lora, or qlora over 4 bits).");
    }

    private static long Least(DecoderSpec model, TrainingOptions options) =>
        Costs.Bytes(Costs.Parameters(model)) + Costs.Trained(Costs.Parameters(model), adapter: false, options, Costs.Embedded(model));
}
