// Where moments live: on the device, or, where it has no room for them, in pinned host memory, from which they are paged in
// (MomentPager). CUDA's managed memory, which migrates by itself, is not used.

using PeftAlign.Torch;

namespace PeftAlign.Training;

/// <summary>How to page.</summary>
internal sealed record Paging
{
    /// <summary>Values that are updated at a time: 16 MB of each moment in float32.</summary>
    internal long Bucket { get; init; } = 1 << 22;

    /// <summary>Bytes that the device can still give; null asks it.</summary>
    internal long? Free { get; init; }

    /// <summary>In place of the device's own lanes; tests delay them.</summary>
    internal (Lane Own, Lane Fetching, Lane Returning)? Lanes { get; init; }

    /// <summary>Whether so many bytes of moments are to be away from a device. On a processor there is nowhere else to be.</summary>
    internal bool IsNeeded(torch.Device device, long bytes) => Free is { } free ? bytes > free : device.type == DeviceType.CUDA && !Fits(device, bytes);

    /// <summary>Zeros at home.</summary>
    internal static Tensor Home(bool paged, long count, torch.ScalarType type, torch.Device device)
    {
        if (!paged) return torch.zeros([count], type, device).DetachFromDisposeScope();
        using var scope = torch.NewDisposeScope();
        var host = torch.zeros([count], type);
        return (device.type == DeviceType.CUDA ? host.pin_memory() : host).DetachFromDisposeScope();
    }

    // Whether the device can hold the moments and as much again for what a step needs.
    private static bool Fits(torch.Device device, long bytes)
    {
        try
        {
            using var trial = torch.empty([2 * bytes], torch.uint8, device);
            return true;
        }
        catch (TorchOutOfMemoryException)
        {
            return false;
        }
    }
}
