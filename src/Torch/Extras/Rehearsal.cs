// The device of native/rehearsal.cpp: it refuses what a GPU would refuse, and the processor computes what a GPU would compute.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Extras;

/// <summary>
/// A device to rehearse on where no GPU is. Its tensors are none of the processor's: operators that meet both are refused, kernels for
/// the processor do not take them, backward passes run on a thread of their own. Slow, since every operator makes detours.
/// </summary>
public static class Rehearsal
{
    /// <summary>Makes the device known. Before the first backward pass of the process; afterwards libtorch has no thread for it.</summary>
    /// <returns>The device.</returns>
    public static torch.Device Open()
    {
        Loader.Open();
        Shim.pa_rehearsal_open();
        return torch.device(DeviceType.PrivateUse1, 0);
    }

    /// <summary>Bytes that the device's tensors hold now, views counted once, and the most that they held.</summary>
    /// <param name="reset">The most counts anew from here.</param>
    public static (long Now, long Peak) Memory(bool reset = false)
    {
        Loader.Open();
        Shim.pa_rehearsal_memory(reset ? 1 : 0, out var bytes, out var peak);
        return (bytes, peak);
    }
}
