// NVIDIA devices as their driver sees them (NVML, through libnvidia-ml.so.1) and as libtorch does.

using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PeftAlign.Torch;

namespace PeftAlign.Host.Doctor;

internal static unsafe partial class Gpus
{
    private const string Nvml = "libnvidia-ml.so.1";
    private const int TextLength = 96;

    /// <summary>Adds the devices; <paramref name="engine"/> says whether libtorch is open and can be asked too.</summary>
    public static void Examine(Report report, bool engine)
    {
        var devices = Devices(out var driver);
        report.Fact("cuda", "driver", driver);
        for (var k = 0; k < devices.Count; k++)
        {
            var (name, total, free) = devices[k];
            report.Fact("cuda", $"device_{k}", new JsonObject { ["name"] = name, ["memory_bytes"] = total, ["memory_free_bytes"] = free }, $"{name}, {Machine.Gigabytes(total)}, {Machine.Gigabytes(free)} free");
        }
        if (!engine) return;
        var seen = torch.cuda.device_count();
        report.Fact("cuda", "devices_of_libtorch", seen);
        var visible = Environment.GetEnvironmentVariable("CUDA_VISIBLE_DEVICES");
        if (devices.Count == 0 || seen > 0) return;
        if (!Engine.HasCuda)
            report.Advice($"{devices.Count} NVIDIA device(s), but this libtorch computes on the processor only", "set LIBTORCH to a libtorch with CUDA, or LIBTORCH_USE_PYTORCH=1");
        else if (visible != null)
            report.Advice($"CUDA_VISIBLE_DEVICES={visible} hides the NVIDIA devices", "unset it to use them");
        else
            report.Problem($"libtorch has CUDA but sees none of {devices.Count} NVIDIA device(s); driver {driver}", "its CUDA may be newer than the driver: update the driver, or set LIBTORCH to one for an older CUDA");
    }

    private static List<(string Name, long Total, long Free)> Devices(out string? driver)
    {
        driver = null;
        var found = new List<(string, long, long)>();
        if (!NativeLibrary.TryLoad(Nvml, out _) || nvmlInit_v2() != 0) return found;
        try
        {
            var text = stackalloc byte[TextLength];
            if (nvmlSystemGetDriverVersion(text, TextLength) == 0) driver = Marshal.PtrToStringUTF8((nint)text);
            if (nvmlDeviceGetCount_v2(out var count) != 0) return found;
            for (uint k = 0; k < count; k++)
            {
                if (nvmlDeviceGetHandleByIndex_v2(k, out var device) != 0 || nvmlDeviceGetName(device, text, TextLength) != 0) continue;
                if (nvmlDeviceGetMemoryInfo(device, out var memory) == 0) found.Add((Marshal.PtrToStringUTF8((nint)text)!, (long)memory.Total, (long)memory.Free));
            }
        }
        finally
        {
            _ = nvmlShutdown();
        }
        return found;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Memory
    {
        public ulong Total;
        public ulong Free;
        public ulong Used;
    }

    [LibraryImport(Nvml)]
    private static partial int nvmlInit_v2();

    [LibraryImport(Nvml)]
    private static partial int nvmlShutdown();

    [LibraryImport(Nvml)]
    private static partial int nvmlSystemGetDriverVersion(byte* version, uint length);

    [LibraryImport(Nvml)]
    private static partial int nvmlDeviceGetCount_v2(out uint count);

    [LibraryImport(Nvml)]
    private static partial int nvmlDeviceGetHandleByIndex_v2(uint index, out nint device);

    [LibraryImport(Nvml)]
    private static partial int nvmlDeviceGetName(nint device, byte* name, uint length);

    [LibraryImport(Nvml)]
    private static partial int nvmlDeviceGetMemoryInfo(nint device, out Memory memory);
}
