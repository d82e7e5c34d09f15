// doctor: what its report says and how it ends; and one real run, whose facts are compared with what native/build recorded.

using System.Text.Json.Nodes;
using PeftAlign.Host.Doctor;

namespace PeftAlign.Host.Tests;

public class DoctorTests
{
    private static Report Sample()
    {
        var report = new Report();
        report.Fact("machine", "memory_bytes", 25_300_000_000, "25.3 GB");
        report.Fact("cuda", "driver", null);
        return report;
    }

    [Test]
    public void ASoundReportSaysSo()
    {
        var report = Sample();
        report.Advice("two NVIDIA devices are idle", "set LIBTORCH");
        Assert.That(report.Sound, Is.True);
        Assert.That(report.Lines((text, _) => text), Is.EqualTo(new[] { "machine", "  memory bytes  25.3 GB", "cuda", "  driver        none", "", "advice: two NVIDIA devices are idle; set LIBTORCH", "everything works" }));
    }

    [Test]
    public void AProblemIsSaidWithItsRemedy()
    {
        var report = Sample();
        report.Problem("0.2 GB of disk are free", "free some");
        Assert.That(report.Sound, Is.False);
        Assert.That(report.Lines((text, _) => text).Last(), Is.EqualTo("problem: 0.2 GB of disk are free; free some"));
        var expected = """{"ok":false,"machine":{"memory_bytes":25300000000},"cuda":{"driver":null},"problems":[{"what":"0.2 GB of disk are free","remedy":"free some"}],"advice":[]}""";
        Assert.That(report.Document().ToJsonString(), Is.EqualTo(expected));
    }

    // Two fused multiply-adds of eight lanes: 2 x 2 x 8 = 32 operations in a cycle with AVX2; a fifth of that on every thread.
    [Test]
    public void TheFloorGrowsWithThreads()
    {
        Assert.That(Gemm.Floor(4), Is.EqualTo(4 * Gemm.Floor(1)).Within(1e-9));
        Assert.That(Gemm.Floor(1), Is.EqualTo(0.2 * Machine.ClockGHz * Machine.FlopsPerCycle).Within(1e-9));
        if (System.Runtime.Intrinsics.X86.Fma.IsSupported) Assert.That(Machine.FlopsPerCycle, Is.EqualTo(32));
    }

    [Test]
    public void ARealRunReportsTheLibtorchThatWasBuiltFor()
    {
        using var process = ProcessTests.Start("PeftAlign.Host.dll", "doctor", "--json", "--threads", "1");
        var document = JsonNode.Parse(process.StandardOutput.ReadToEnd())!;
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.EqualTo((bool)document["ok"]! ? 0 : 1), "wrong things on this machine decide the code, nothing else");
        var build = JsonNode.Parse(File.ReadAllText(Path.Combine(NativeFolder(), "build.json")))!;
        Assert.That((string?)document["libtorch"]!["version"], Is.EqualTo((string?)build["version"]));
        Assert.That((string?)document["libtorch"]!["origin"], Is.EqualTo((string?)build["origin"]));
        Assert.That((int)document["libtorch"]!["threads"]!, Is.EqualTo(1));
        Assert.That((double)document["libtorch"]!["open_seconds"]!, Is.GreaterThan(0));
        Assert.That((double)document["products"]!["cpu_float32_gflops"]!, Is.GreaterThan(0));
        Assert.That((double)document["products"]!["cpu_bfloat16_gflops"]!, Is.GreaterThan(0));
    }

    [Test]
    public void ALibtorchThatDoesNotOpenIsAProblemNotACrash()
    {
        using var process = ProcessTests.Start("PeftAlign.Host.dll", new Dictionary<string, string> { ["PEFTALIGN_NATIVE"] = "/nonexistent" }, "doctor", "--json");
        var document = JsonNode.Parse(process.StandardOutput.ReadToEnd())!;
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.EqualTo(1));
        Assert.That((string?)document["problems"]![0]!["what"], Does.Contain("/nonexistent"));
        Assert.That((string?)document["machine"]!["dotnet"], Is.EqualTo(Environment.Version.ToString()), "the rest is examined all the same");
    }

    [Test]
    public void ATemporaryFolderThatIsNotThereIsAProblemNotACrash()
    {
        using var process = ProcessTests.Start("PeftAlign.Host.dll", new Dictionary<string, string> { ["TMPDIR"] = "/nonexistent", ["PEFTALIGN_NATIVE"] = "/nonexistent" }, "doctor", "--json");
        var document = JsonNode.Parse(process.StandardOutput.ReadToEnd())!;
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.EqualTo(1));
        var problem = document["problems"]!.AsArray().Single(one => ((string)one!["what"]!).Contains("temporary", StringComparison.Ordinal))!;
        Assert.That((string?)problem["what"], Does.Contain("/nonexistent/"));
        Assert.That((string?)problem["remedy"], Does.Contain("TMPDIR"));
    }

    [TestCase("PEFTALIGN_INSTRUCTIONS", "baseline")]
    [TestCase("PEFTALIGN_PRODUCTS", "libtorch")]
    public void AVariableThatAsksForWhatIsNotHereIsTheUsersMistake(string variable, string possible)
    {
        using var process = ProcessTests.Start("PeftAlign.Host.dll", new Dictionary<string, string> { [variable] = "avx9" }, "doctor", "--json");
        var document = JsonNode.Parse(process.StandardOutput.ReadToEnd())!;
        process.WaitForExit();
        var problems = document["problems"]!.AsArray();
        var problem = problems.Single(one => ((string)one!["what"]!).StartsWith(variable, StringComparison.Ordinal))!;
        Assert.That((process.ExitCode, (bool)document["ok"]!), Is.EqualTo((problems.Count == 1 ? 2 : 1, false)), "another problem is this machine's");
        Assert.That((string?)problem["what"], Does.StartWith($"{variable} is 'avx9'; it may be ").And.Contain(possible));
        Assert.That((string?)problem["remedy"], Does.Contain("unset it"));
    }

    [Test]
    public void TheCodeIsTheUsersOnlyIfAllProblemsAre()
    {
        var report = Sample();
        Assert.That(report.Code, Is.Zero);
        report.Mistake("PEFTALIGN_PRODUCTS is 'avx9'", "unset it");
        Assert.That((report.Sound, report.Code), Is.EqualTo((false, 2)));
        report.Problem("0.2 GB of disk are free", "free some");
        Assert.That(report.Code, Is.EqualTo(1));
    }

    // A driver library of our own where there is no NVIDIA device: the functions of NVML that doctor calls.
    private const string Nvml = """
        #include <string.h>
        typedef struct { unsigned long long total, free, used; } memory;
        int nvmlInit_v2() { return 0; }
        int nvmlShutdown() { return 0; }
        int nvmlSystemGetDriverVersion(char* text, unsigned n) { strncpy(text, "575.57.08", n); return 0; }
        int nvmlDeviceGetCount_v2(unsigned* n) { *n = 2; return 0; }
        int nvmlDeviceGetHandleByIndex_v2(unsigned k, void** device) { *device = (void*)(unsigned long)(k + 1); return 0; }
        int nvmlDeviceGetName(void* device, char* text, unsigned n) { strncpy(text, device == (void*)1 ? "NVIDIA H100" : "NVIDIA L4", n); return 0; }
        int nvmlDeviceGetMemoryInfo(void* device, memory* m) { m->total = 80000000000ull; m->free = 79000000000ull; m->used = 1; return device == (void*)1 ? 0 : 1; }
        """;

    [Test]
    public void DevicesAreThoseOfTheDriver()
    {
        var folder = Directory.CreateTempSubdirectory("nvml").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, "nvml.c"), Nvml);
            using var compiler = System.Diagnostics.Process.Start("g++", ["-x", "c", "-shared", "-fPIC", "-o", Path.Combine(folder, "libnvidia-ml.so.1"), Path.Combine(folder, "nvml.c")]);
            compiler.WaitForExit();
            Assert.That(compiler.ExitCode, Is.Zero);
            using var process = ProcessTests.Start("PeftAlign.Host.dll", new Dictionary<string, string> { ["LD_LIBRARY_PATH"] = folder, ["PEFTALIGN_NATIVE"] = "/nonexistent" }, "doctor", "--json");
            var cuda = JsonNode.Parse(process.StandardOutput.ReadToEnd())!["cuda"]!;
            Assert.That(cuda.ToJsonString(), Is.EqualTo("""{"driver":"575.57.08","device_0":{"name":"NVIDIA H100","memory_bytes":80000000000,"memory_free_bytes":79000000000}}"""), "a device that gives no memory is left out");
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    private static string NativeFolder()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_NATIVE") is { Length: > 0 } named) return named;
        for (var up = new DirectoryInfo(TestContext.CurrentContext.TestDirectory); up != null; up = up.Parent)
            if (Path.Combine(up.FullName, ".build", "native", "current") is var folder && Directory.Exists(folder)) return folder;
        throw new DirectoryNotFoundException(".build/native/current");
    }
}
