// Compiles raw.cpp against the libtorch that our library was built for, and runs it.

using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Bench;

/// <summary>Microseconds per call and GFLOP/s without our binding.</summary>
internal sealed record RawLibrary(double Mul, double MulAutograd, double Float32, double BFloat16)
{
    internal static RawLibrary Measure(int threads, int size, int repetitions)
    {
        var native = Path.GetDirectoryName(LibTorch.NativeFile)!;
        using var build = JsonDocument.Parse(File.ReadAllText(Path.Combine(native, "build.json")));
        string Text(string key) => build.RootElement.GetProperty(key).GetString()!;
        var (home, lib) = (Text("libtorch"), Text("lib"));
        var program = Path.Combine(Path.GetTempPath(), $"peftalign-raw-{Environment.ProcessId}");
        string[] includes = home == "/usr" ? ["-isystem", "/usr/include/torch/csrc/api/include"] : ["-isystem", $"{home}/include", "-isystem", $"{home}/include/torch/csrc/api/include"];
        try
        {
            Run("g++", [$"-std={Text("standard")}", "-O3", .. includes, Path.Combine(AppContext.BaseDirectory, "raw.cpp"), "-o", program, $"-L{lib}", $"-Wl,-rpath,{lib}", "-ltorch", "-ltorch_cpu", "-lc10"]);
            var numbers = Run(program, [$"{threads}", $"{size}", $"{repetitions}"]).Split(' ').Select(n => double.Parse(n, CultureInfo.InvariantCulture)).ToArray();
            return new RawLibrary(numbers[0], numbers[1], numbers[2], numbers[3]);
        }
        finally
        {
            File.Delete(program);
        }
    }

    private static string Run(string program, string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true };
        // The kernels that our process has, whatever was inherited.
        if (LibTorch.BlasKernels.Length > 0) start.Environment["OPENBLAS_CORETYPE"] = LibTorch.BlasKernels;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} ended with {process.ExitCode}");
    }
}
