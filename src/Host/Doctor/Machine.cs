// The processor, memory, disk and the software underneath. Sources: /proc/cpuinfo, /proc/meminfo (Linux), gnu_get_libc_version.

using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;
using PeftAlign.Models.Checkpoints;

namespace PeftAlign.Host.Doctor;

internal static partial class Machine
{
    private const double GB = 1e9;

    public static bool HasBf16 { get; } = CpuFlags().Overlaps(["avx512_bf16", "amx_bf16", "bf16"]);

    public static bool HasAvx512 { get; } = Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported;

    /// <summary>float32 operations that one core can do in a cycle, by its vector units (two fused multiply-add units assumed).</summary>
    public static int FlopsPerCycle { get; } = Fma.IsSupported ? 32 : AdvSimd.IsSupported ? 16 : 8;

    /// <summary>The highest clock that the kernel reports, in GHz; 2 where it reports none.</summary>
    public static double ClockGHz { get; } =
        Values("/proc/cpuinfo", "cpu MHz").Select(text => double.Parse(text, CultureInfo.InvariantCulture) / 1000).DefaultIfEmpty(2).Max();

    /// <summary>How many threads of the whole machine wanted to run, averaged over the last minute.</summary>
    public static double Load() => File.Exists("/proc/loadavg") ? double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture) : 0;

    /// <summary>What the processor calls itself.</summary>
    public static string Processor => Values("/proc/cpuinfo", "model name").FirstOrDefault() ?? RuntimeInformation.ProcessArchitecture.ToString();

    public static void Examine(Report report)
    {
        report.Fact("machine", "processor", Processor);
        report.Fact("machine", "cores", Environment.ProcessorCount, $"{Environment.ProcessorCount} usable at {ClockGHz.ToString("0.0", CultureInfo.InvariantCulture)} GHz");
        report.Fact("machine", "vectors", Vectors());
        var (memory, free) = (MachineMemory.Total, MachineMemory.Free);
        report.Fact("machine", "memory_bytes", memory, Gigabytes(memory));
        report.Fact("machine", "memory_free_bytes", free, Gigabytes(free));
        report.Fact("machine", "system", Values("/etc/os-release", "PRETTY_NAME", '=').FirstOrDefault()?.Trim('"') ?? RuntimeInformation.OSDescription);
        report.Fact("machine", "dotnet", Environment.Version.ToString());
        report.Fact("machine", "glibc", Marshal.PtrToStringUTF8(gnu_get_libc_version()));
        Disk(report, "disk_here", Environment.CurrentDirectory);
        try
        {
            Disk(report, "disk_temporary", Path.GetTempPath());
            Directory.CreateTempSubdirectory("peftalign-doctor-").Delete();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            report.Problem($"no temporary file can be made in {Path.GetTempPath()} ({e.Message.ReplaceLineEndings(" ").TrimEnd('.')})", "set TMPDIR to a folder that is there and can be written, or unset it");
        }
    }

    private static void Disk(Report report, string key, string folder)
    {
        var known = FreeSpace.In(folder);
        report.Fact("machine", $"{key}_free_bytes", known, $"{(known is { } bytes ? Gigabytes(bytes) : "unknown")} in {folder}");
        if (known is { } free && free < GB) report.Problem($"{Gigabytes(free)} of disk are free in {folder}", "checkpoints and models need more: free some, or work in another folder");
    }

    private static string Vectors()
    {
        string[] told = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16"];
        return string.Join(' ', told.Where(CpuFlags().Contains));
    }

    private static HashSet<string> CpuFlags() =>
        [.. Values("/proc/cpuinfo", "flags").Concat(Values("/proc/cpuinfo", "Features")).FirstOrDefault()?.Split(' ') ?? []];

    // The values of "key : value" lines.
    private static IEnumerable<string> Values(string file, string key, char separator = ':') =>
        File.Exists(file)
            ? File.ReadLines(file).Select(line => line.Split(separator, 2)).Where(pair => pair.Length == 2 && pair[0].Trim() == key).Select(pair => pair[1].Trim())
            : [];

    public static string Gigabytes(long bytes) => $"{(bytes / GB).ToString("0.0", CultureInfo.InvariantCulture)} GB";

    [LibraryImport("libc")]
    private static partial nint gnu_get_libc_version();
}
