// The CUDA kernels through clang, where there is no nvcc: against declarations of the runtime of our own (Cuda/cuda_runtime.h) both
// sides of cuda.cu compile, and the device's side is code that needs nothing else; and through nvcc where it is. What the kernels
// compute is tested by running their bodies on the processor; that they run on a GPU is not shown here.

using System.Diagnostics;
using System.Text.RegularExpressions;

namespace PeftAlign.Peft.QLora.Tests;

public class CudaCompileTests
{
    private static readonly string[] Common = ["-x", "cuda", "-std=c++17", "-O3", "-D__CUDACC__", "-nocudainc", "-nocudalib", "-Wall", "-Wextra", "-Werror", "-Xclang", "-target-sdk-version=11.5"];

    [TestCase("sm_80")]
    [TestCase("sm_86")]
    [TestCase("sm_90")]
    public void Device_GetsThreeKernelsThatCallNothing(string architecture)
    {
        var ptx = Compile("--cuda-device-only", $"--cuda-gpu-arch={architecture}");
        var kernels = Regex.Matches(ptx, @"\.entry (\S+)\(").Select(m => m.Groups[1].Value).ToList();
        Assert.That(kernels, Has.Count.EqualTo(3));
        foreach (var body in new[] { "quantise_block", "decode_block", "product_block" }) Assert.That(kernels, Has.One.Contains(body));
        Assert.That(ptx, Does.Not.Match(@"\bcall\b"), "a function that no device has");
        // Phases that share memory are kept apart: at least one barrier in each kernel.
        Assert.That(Regex.Matches(ptx, @"bar\.sync"), Has.Count.GreaterThanOrEqualTo(3));
        // Sums stay in registers: an array whose entries are chosen at run time would lie in memory. Eight values move at once.
        Assert.That(ptx, Does.Not.Match(@"\.local\b"));
        string Kernel(string body) => Regex.Match(ptx, $@"(?s)\.entry \S*{body}\S*\(.*?\n}}").Value;
        Assert.That(Kernel("decode_block"), Does.Match(@"ld(\.global)?\.u32").And.Match(@"st\.v4\.u32"));
        Assert.That(Kernel("product_block"), Does.Match(@"ld(\.global)?\.v4\."));
        // A decoded value is one product, rounded once, so that it has the processor's bits.
        var decode = ptx[ptx.IndexOf("decode_block", StringComparison.Ordinal)..ptx.IndexOf("product_block", StringComparison.Ordinal)];
        Assert.That(decode, Does.Contain("mul.rn.f32").And.Contain("add.rn.f32").And.Not.Contain("fma.rn.f32"));
    }

    [Test]
    public void Host_LaunchesThem() => Assert.That(Regex.Matches(Compile("--cuda-host-only"), @"call\w*\s+cudaLaunchKernel"), Has.Count.GreaterThanOrEqualTo(3));

    // Before the first launch a device is asked whether it has code for the kernels.
    [Test]
    public void Host_AsksTheDevice() => Assert.That(Compile("--cuda-host-only"), Does.Match(@"call\w*\s+cudaFuncGetAttributes").And.Match(@"call\w*\s+cudaDriverGetVersion"));

    // The toolkit's number is the compiler's: a runtime that finds no driver that it can use does not always tell its own (11.8's says 0).
    [Test]
    public void Host_KnowsItsToolkit() => Assert.That(Compile("--cuda-host-only"), Does.Match(@"\$12345\b").And.Not.Contain("cudaRuntimeGetVersion"));

    // The build itself takes nvcc where it is; here its assembler says what it made of the kernels.
    [Test]
    public void Nvcc_SpillsNothing()
    {
        string?[] named = [Environment.GetEnvironmentVariable("PEFTALIGN_NVCC"), .. Folders.Select(folder => Path.Combine(folder, "nvcc")), "/usr/local/cuda/bin/nvcc"];
        if (named.FirstOrDefault(File.Exists) is not { } nvcc) { Assert.Ignore("no nvcc here; PEFTALIGN_NVCC=PATH names one"); return; }
        using var folder = new TemporaryFolder();
        string[] host = Environment.GetEnvironmentVariable("NVCC_CCBIN") is { Length: > 0 } compiler ? ["-ccbin", compiler] : [];
        var (code, said) = Run(nvcc, [.. host, "-std=c++17", "-O3", "-arch=sm_80", "--resource-usage", "-cubin", "-o", Path.Combine(folder.Path, "out.cubin"), Source]);
        Assert.That(code, Is.Zero, said);
        Assert.That(Regex.Matches(said, @"0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"), Has.Count.EqualTo(3), said);
    }

    private static string Source => Path.Combine(Checkout.Root, "plugins", "Peft.QLora", "native", "cuda.cu");

    private static string[] Folders => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);

    private static (int Code, string Said) Run(string program, string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var said = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, said);
    }

    private static string Compile(params string[] side)
    {
        using var folder = new TemporaryFolder();
        var assembly = Path.Combine(folder.Path, "out.s");
        var (code, said) = Run(Clang(), [.. Common, .. side, "-I", Path.Combine(Checkout.Root, "tests", "QLora.Tests", "Cuda"), "-S", "-o", assembly, Source]);
        if (said.Contains("No available targets", StringComparison.Ordinal) || said.Contains("nvptx", StringComparison.OrdinalIgnoreCase) && said.Contains("unknown target", StringComparison.Ordinal)) Assert.Ignore("this clang compiles for no NVIDIA device");
        if (said.Contains("unsupported CUDA gpu architecture", StringComparison.OrdinalIgnoreCase)) Assert.Ignore("this clang is older than the device; clang-16 knows sm_90");
        Assert.That(code, Is.Zero, said);
        return File.ReadAllText(assembly);
    }

    private static string Clang()
    {
        var names = Enumerable.Range(14, 10).Reverse().Select(version => $"clang++-{version}").Append("clang++"); // the newest knows most devices
        var found = names.SelectMany(name => Folders.Select(folder => Path.Combine(folder, name))).FirstOrDefault(File.Exists);
        if (found is null) Assert.Ignore("no clang++ here; apt-get install clang shows whether the CUDA kernels compile");
        return found!;
    }
}
