// How the script that builds the native library calls the compilers: stand-ins for nvcc and g++ write down what they are asked.

using System.Diagnostics;

namespace PeftAlign.Peft.QLora.Tests;

public class NativeBuildTests
{
    private const string StandIn = """
        #!/bin/sh
        printf '%s %s\n' "${0##*/}" "$*" >>"$TRACE"
        case $1 in --list-gpu-arch) printf 'compute_75\ncompute_80\ncompute_90\n' ;; esac
        while [ $# -gt 0 ]; do
            if [ "$1" = -o ]; then : >"$2"; fi
            shift
        done
        """;

    // The variable is newer than the compilers that need it: 11.8 and 12.4 do not read it.
    [TestCase("g++-11", " -ccbin g++-11")]
    [TestCase("/opt/own compilers/g++", " -ccbin /opt/own compilers/g++")]
    [TestCase("", "")]
    public void NVCC_CCBIN_NamesTheHostCompilerOfBothCalls(string asked, string given)
    {
        var calls = Calls(("NVCC_CCBIN", asked));
        var (compiling, linking) = (calls.Single(call => call.Contains("cuda.cu", StringComparison.Ordinal)), calls.Single(call => call.Contains("-shared", StringComparison.Ordinal)));
        foreach (var call in new[] { compiling, linking }) Assert.That(call, Does.StartWith("nvcc" + given + " -").And.Not.Contains("-ccbin -"));
    }

    [Test]
    public void WithoutArchitectures_ThoseThatNvccKnowsAreBuilt() =>
        Assert.That(Calls(("PEFTALIGN_CUDA_ARCH", "")).Single(call => call.Contains("cuda.cu", StringComparison.Ordinal)), Does.Contain("code=sm_80").And.Contain("code=sm_90").And.Contain("code=compute_90").And.Not.Contain("75"));

    private static string[] Calls(params (string Name, string Value)[] variables)
    {
        using var folder = new TemporaryFolder();
        var trace = Path.Combine(folder.Path, "trace");
        foreach (var name in new[] { "nvcc", "g++" })
        {
            var file = Path.Combine(folder.Path, name);
            File.WriteAllText(file, StandIn);
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        var start = new ProcessStartInfo(Path.Combine(Checkout.Root, "plugins", "Peft.QLora", "native", "build"), [Path.Combine(folder.Path, "out.so")]) { RedirectStandardError = true };
        foreach (var (name, value) in variables.Prepend(("PATH", folder.Path + ":" + Environment.GetEnvironmentVariable("PATH"))).Append(("TRACE", trace))) start.Environment[name] = value;
        start.Environment.Remove("PEFTALIGN_NVCC");
        using var process = Process.Start(start)!;
        var said = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.That(process.ExitCode, Is.Zero, said);
        return File.ReadAllLines(trace);
    }
}
