// A device's memory statistics. libtorch has them for GPUs from 2.9 on; before that there is nothing to ask, nor a cache to empty.

using PeftAlign.Torch;

namespace PeftAlign.Host.Bench;

/// <summary>The memory of one device.</summary>
internal sealed class DeviceMemory
{
    private readonly bool counts;

    /// <summary>Asks once whether there are statistics.</summary>
    /// <param name="device">The device.</param>
    internal DeviceMemory(torch.Device device)
    {
        Device = device;
        if (device.type != DeviceType.CUDA) return;
        try
        {
            torch.cuda.memory_allocated(device);
            counts = true;
        }
        catch (TorchException)
        {
            // Not known: the two figures are left out.
        }
    }

    /// <summary>Whose it is.</summary>
    internal torch.Device Device { get; }

    /// <summary>Most that tensors occupied since <see cref="Restart"/>, in MB; null where it is not told.</summary>
    internal double? Peak => counts ? InMegabytes(torch.cuda.max_memory_allocated(Device)) : null;

    /// <summary>What the allocator holds, in MB; null where it is not told.</summary>
    internal double? Reserved => counts ? InMegabytes(torch.cuda.memory_reserved(Device)) : null;

    /// <summary>Counts the peak anew.</summary>
    internal void Restart()
    {
        if (counts) torch.cuda.reset_peak_memory_stats(Device);
    }

    /// <summary>Gives back what no tensor occupies.</summary>
    internal void Empty()
    {
        if (counts) torch.cuda.empty_cache(Device);
    }

    private static double InMegabytes(long bytes) => Math.Round(bytes / 1e6, 1);
}
