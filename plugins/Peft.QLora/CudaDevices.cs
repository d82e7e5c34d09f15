// Whether the CUDA kernels run on a device: asked once, before the first of them is called, which would fail with a message of CUDA's own.

using System.Collections.Concurrent;
using System.Globalization;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora;

internal static class CudaDevices
{
    // Values of CUDA's cudaError_t.
    private const int InsufficientDriver = 35;
    private const int NoKernelImage = 209;
    private const int UnsupportedPtx = 222;

    private static readonly ConcurrentDictionary<int, string?> Known = [];

    /// <summary>Why the kernels cannot run there and what to do, for the user; null where they can.</summary>
    internal static string? Refusal(torch.Device device) => Known.GetOrAdd(Math.Max(0, device.index), static (_, asked) => Asked(asked), device);

    private static string? Asked(torch.Device device)
    {
        if (Native.pq_has_cuda() == 0) return $"The 4-bit kernels of plugin peft.qlora were built without CUDA, and the model is to be on {device}. Install the CUDA toolkit and build again (docs/qlora.md), or give --device cpu.";
        var error = Native.pq_cuda_probe(Math.Max(0, device.index), out var about);
        return error == 0 ? null : Text(device, error, about, Native.ErrorText(error));
    }

    /// <summary>What is said of an error.</summary>
    /// <param name="device">Where the model is to be.</param>
    /// <param name="error">CUDA's number.</param>
    /// <param name="about">What is known of the device.</param>
    /// <param name="text">CUDA's words.</param>
    internal static string Text(torch.Device device, int error, NativeDevice about, string text) => error switch
    {
        InsufficientDriver or UnsupportedPtx => $"The driver of {device} runs CUDA up to {Version(about.Driver)}, and the 4-bit kernels of plugin peft.qlora were built with CUDA {Version(about.Toolkit)}. Update the driver, build again with a toolkit that is no newer than it (docs/qlora.md), or give --device cpu.",
        NoKernelImage when about.Capability > 0 => $"{device} has compute capability {about.Capability / 10}.{about.Capability % 10}, for which the 4-bit kernels of plugin peft.qlora were not built. Build again with PEFTALIGN_CUDA_ARCH={about.Capability} (docs/qlora.md), or give --device cpu.",
        _ => $"The 4-bit kernels of plugin peft.qlora do not run on {device}: {text} (CUDA's error {error}). See that nvidia-smi lists the device, or give --device cpu.",
    };

    private static string Version(int number) => number == 0 ? "none" : string.Create(CultureInfo.InvariantCulture, $"{number / 1000}.{number % 1000 / 10}");
}
