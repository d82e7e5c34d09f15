// libtorch: which one, whether it opens, whether it has what we call, and the BLAS under it.

using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Doctor;

internal static class Engine
{
    /// <summary>Opens libtorch and sets its threads; false, with a problem in the report, where it does not open.</summary>
    public static bool Examine(Report report, int? threads)
    {
        try
        {
            LibTorch.Open();
        }
        catch (TorchUnavailableException e)
        {
            report.Problem(e.Message.TrimEnd('.'), "delete .build/native and run ./peftalign doctor again; with LIBTORCH set, check that folder");
            return false;
        }
        catch (TorchSettingException e)
        {
            report.Mistake(e.Message, "change that setting (a variable: to one of these, or unset it), then run doctor again");
            return false;
        }
        if (threads is { } n) torch.set_num_threads(n);
        var build = BuildRecord.Here;
        var version = build?.Version ?? LibTorch.Version;
        var origin = build?.Origin ?? "unknown";
        report.Fact("libtorch", "version", version);
        report.Fact("libtorch", "origin", origin, origin switch { "debian" => "Debian's libtorch-dev", "pytorch" => "python3's torch", "libtorch" => "LIBTORCH", _ => origin });
        report.Fact("libtorch", "folder", Folder() ?? build?.Lib ?? "unknown");
        report.Fact("libtorch", "cuda", HasCuda, HasCuda ? "yes" : "no");
        report.Fact("libtorch", "open_seconds", Math.Round(LibTorch.OpenTime.TotalSeconds, 3), Text(LibTorch.OpenTime.TotalSeconds, "0.00", "s"));
        report.Fact("libtorch", "operators", LibTorch.OperatorCount);
        report.Fact("libtorch", "threads", torch.get_num_threads());
        Blas(report);
        var missing = LibTorch.MissingOperators();
        report.Fact("libtorch", "missing_operators", new JsonArray([.. missing.Select(name => JsonValue.Create(name))]), missing.Count == 0 ? "none" : string.Join(' ', missing));
        if (missing.Count > 0) report.Problem($"libtorch {version} lacks {string.Join(' ', missing)}", "commands that need them fail: use another libtorch (LIBTORCH=DIR)");
        return true;
    }

    /// <summary>True where the libtorch at hand was built with CUDA.</summary>
    public static bool HasCuda => BuildRecord.Here is { Cuda: true };

    // Where it really came from: a published folder carries a copy.
    internal static string? Folder() => Path.GetDirectoryName(MappedFiles.All().FirstOrDefault(path => Path.GetFileName(path).StartsWith("libtorch_cpu.so", StringComparison.Ordinal)));

    private static void Blas(Report report)
    {
        var mapped = MappedFiles.All().ToList();
        if (mapped.FirstOrDefault(path => path.Contains("openblas", StringComparison.Ordinal)) is { } openBlas)
        {
            OpenBlas(report, openBlas);
        }
        else if (LibTorch.Describe().Split('\n').FirstOrDefault(line => line.Contains("Math Kernel Library", StringComparison.Ordinal)) is { } mkl)
        {
            report.Fact("libtorch", "blas", mkl.Trim(' ', '-'));
        }
        else
        {
            var blas = mapped.FirstOrDefault(path => Path.GetFileName(path).StartsWith("libblas", StringComparison.Ordinal));
            report.Fact("libtorch", "blas", blas ?? "libtorch's own");
            if (blas != null && blas.Contains("/blas/", StringComparison.Ordinal))
                report.Problem($"libtorch multiplies with the reference BLAS ({blas})", "install OpenBLAS: apt-get install libopenblas0-pthread, and choose it: update-alternatives --auto libblas.so.3-x86_64-linux-gnu");
        }
    }

    private static unsafe void OpenBlas(Report report, string path)
    {
        string? Ask(string function) =>
            NativeLibrary.TryLoad(path, out var library) && NativeLibrary.TryGetExport(library, function, out var address)
                ? Marshal.PtrToStringUTF8(((delegate* unmanaged[Cdecl]<nint>)address)())
                : null;
        var kernels = Ask("openblas_get_corename") ?? "unknown";
        var version = Ask("openblas_get_config")?.Split(' ').Skip(1).FirstOrDefault() ?? "";
        report.Fact("libtorch", "blas", $"OpenBLAS {version}".TrimEnd());
        report.Fact("libtorch", "blas_kernels", kernels);
        if (Machine.HasAvx512 && kernels is "Haswell" or "Zen" or "Prescott" or "Nehalem" or "Sandybridge")
            report.Advice($"OpenBLAS uses {kernels} kernels on a processor with AVX-512, which can halve its speed", "unset PEFTALIGN_OPENBLAS_CORETYPE, or set it to SkylakeX");
    }

    private static string Text(double value, string format, string unit) => $"{value.ToString(format, CultureInfo.InvariantCulture)} {unit}";
}
