// bench/gpu/run with stand-ins for all that it starts: what it calls, in which order, and what is left of it where something is missing,
// fails or takes too long. The half hour in which there is a GPU is no time to learn that.

namespace PeftAlign.Setup.Tests;

public class GpuRunTests
{
    private Clone clone = null!;

    private string Calls => clone.File_("calls");

    private string Out => clone.File_("results/gpu.json");

    [SetUp]
    public void Stage()
    {
        clone = new Clone(built: false);
        void Script(string name, string text)
        {
            var file = clone.File_(name);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(file, $"#!/bin/bash\n{text}\n");
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        foreach (var name in new[] { "run", "carry" }) Script($"bench/gpu/{name}", File.ReadAllText(Path.Combine(Clone.Repository, "bench", "gpu", name)));
        Script("native/build", "echo native >>\"$CALLS\"; [ -z \"${NATIVE_FAILS:-}\" ] && touch \"$1/libpeftalign_torch.so\"");
        Script("plugins/Peft.QLora/native/build", "echo \"kernels ${PEFTALIGN_NVCC##*/} ${PEFTALIGN_CUDA_ARCH:-}\" >>\"$CALLS\"; [ -z \"${NVCC_FAILS:-}\" ] || [ \"$PEFTALIGN_NVCC\" = none ] && touch \"$1\"");
        Script("peftalign", """
            echo "peftalign $*" >>"$CALLS"
            while [ $# -gt 0 ]; do if [ "$1" = --out ]; then echo '{}' >"$2"; fi; shift; done
            sleep "${SLEEP:-0}"
            exit "${CODE:-0}"
            """);
        Script("tests/run/PeftAlign.Rehearsal.Tests", "echo \"tests $PEFTALIGN_TEST_DEVICE ${DOTNET_ROOT##*/}\" >>\"$CALLS\"; echo 'FAILED a test'; echo '1 passed, 1 failed'; exit 1");
        Script("peers/run_all", "echo \"peers $SHAPE $BATCH $STEPS ${LIMIT:+limited}\" >>\"$CALLS\"; echo '{}' >\"$1\"");
        Write("libtorch/include/torch/headeronly/version.h", "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH 0\n");
        foreach (var library in new[] { "torch_cpu", "torch_cuda", "c10" }) Write($"libtorch/lib/lib{library}.so", "");
        Write("calls", "");
    }

    [TearDown]
    public void Remove() => clone.Dispose();

    private void Write(string name, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(clone.File_(name))!);
        File.WriteAllText(clone.File_(name), text);
    }

    private (Outcome Outcome, string[] Calls) Run(params (string Name, string? Value)[] settings)
    {
        clone.StandIn("g++", "echo 13.3.0");
        clone.StandIn("nvcc", "printf 'compute_%s\\n' 80 90 100");
        var path = clone.StandIn("nvidia-smi", "echo \"${CAPABILITY-9.0}\"");
        var environment = new Dictionary<string, string?> { ["PATH"] = path, ["CALLS"] = Calls, ["LIBTORCH"] = clone.File_("libtorch"), ["WORK"] = clone.File_("work") };
        foreach (var name in new[] { "DEVICE", "SHAPE", "BATCH", "STEPS", "PARTS", "LIMIT", "PEERS", "PEFTALIGN_NVCC", "PEFTALIGN_CUDA_ARCH" }) environment[name] = null;
        foreach (var (name, value) in settings) environment[name] = value;
        File.WriteAllText(Calls, "");
        var outcome = clone.Run(clone.File_("bench/gpu/run"), environment, Out);
        return (outcome, File.ReadAllLines(Calls));
    }

    private const string Doctor = "peftalign doctor";

    private string Bench(string parts, string more = "") => $"peftalign bench-device {parts} --device cuda --shape 7b --batch 16 --steps 5{more} --out {Out} --json";

    [Test]
    public void Everything_is_done_in_order()
    {
        var (outcome, calls) = Run(("PEERS", clone.File_("peers")));
        Assert.That(calls[..2], Is.EquivalentTo(new[] { "native", "kernels nvcc 90" }), "both at once, for the GPU at hand");
        Assert.That(calls[2..], Is.EqualTo(new[] { Doctor, Bench("check sft dpo"), "tests cuda dotnet", "peers 7b 16 5 " }));
        Assert.That(outcome.Code, Is.EqualTo(1), "a test failed");
        Assert.That(outcome.Err, Does.Contain("tests: 1 passed, 1 failed"));
        Assert.That(new[] { Out, Out + ".tests", Out + ".peers" }, Is.All.Matches<string>(File.Exists));
        Assert.That(File.ReadAllText(Out + ".tests"), Does.Contain("FAILED a test"));
    }

    [Test]
    public void What_is_compiled_already_is_not_compiled_again()
    {
        var only = ("PARTS", (string?)"check");
        Run(only);
        Assert.That(Run(only).Calls, Is.EqualTo(new[] { Doctor, Bench("check") }));
        Assert.That(Run(only, ("CAPABILITY", "8.0")).Calls[..2], Is.EquivalentTo(new[] { "native", "kernels nvcc 80" }), "another GPU");
        Write("plugins/Peft.QLora/native/cuda.cu", "// changed");
        Assert.That(Run(only, ("CAPABILITY", "8.0")).Calls, Has.Length.EqualTo(4), "another source");
        File.Delete(clone.File_("work/libpeftalign_torch.so"));
        Assert.That(Run(only, ("CAPABILITY", "8.0")).Calls, Has.Length.EqualTo(4), "something is missing");
    }

    [TestCase("7.5", "", TestName = "A_GPU_that_nvcc_does_not_know_gets_what_it_builds_for_others")]
    [TestCase("[Not Found]", "", TestName = "A_driver_that_says_nothing_gets_what_it_builds_for_others")]
    [TestCase("9.0\n8.0\n9.0", "80,90", TestName = "Two_kinds_of_GPU_get_both")]
    public void Architectures(string said, string built) => Assert.That(Run(("CAPABILITY", said)).Calls, Does.Contain("kernels nvcc " + built));

    [Test]
    public void Without_a_compiler_for_GPUs_the_base_is_measured_in_full()
    {
        var (outcome, calls) = Run(("PEFTALIGN_NVCC", "none"), ("PARTS", "sft"));
        Assert.That((outcome.Code, calls[^1]), Is.EqualTo((0, Bench("sft", " --full-base"))));
        Assert.That(outcome.Err, Does.Contain("name a compiler: PEFTALIGN_NVCC=PATH"));
        Assert.That(Run(("PEFTALIGN_NVCC", "none"), ("PARTS", "sft"), ("DEVICE", "cpu")).Calls[^1], Does.Not.Contain("full-base"), "the processor has kernels of its own");
    }

    [Test]
    public void Where_the_compiler_for_GPUs_fails_the_rest_is_done()
    {
        var (outcome, calls) = Run(("NVCC_FAILS", "1"), ("PARTS", "check sft"));
        Assert.That(calls, Has.Member("kernels nvcc 90").And.Member("kernels none 90"));
        Assert.That((outcome.Code, calls[^1]), Is.EqualTo((1, Bench("check sft", " --full-base"))));
        Assert.That(Run(("NVCC_FAILS", "1"), ("PARTS", "check")).Calls, Has.Member("kernels nvcc 90"), "it is tried again");
    }

    [Test]
    public void Where_native_does_not_compile_nothing_is_measured()
    {
        var (outcome, calls) = Run(("NATIVE_FAILS", "1"));
        Assert.That((outcome.Code, calls.Length), Is.EqualTo((1, 2)), outcome.Err);
    }

    [Test]
    public void A_limit_ends_what_takes_too_long_and_keeps_what_it_wrote()
    {
        var (outcome, calls, limit) = Limited(1, ("SLEEP", "1000"), ("PARTS", "check tests"), ("PEERS", clone.File_("peers")));
        Assert.That(calls[^2..], Is.EqualTo(new[] { Doctor, "peers 7b 16 5 limited" }), "after the doctor nothing of ours has time");
        Assert.That(outcome.Err, Does.Contain("doctor: ended after").And.Contain($"bench-device: left out, LIMIT={limit} is reached").And.Contain("tests: left out"));
        Assert.That(outcome.Code, Is.Not.Zero);

        Write("peftalign", File.ReadAllText(clone.File_("peftalign")).Replace("echo \"peftalign $*\"", "[ \"$1\" = doctor ] && SLEEP=0; echo \"peftalign $*\"", StringComparison.Ordinal));
        Write("peftalign", "#!/bin/bash\ntrap '' TERM\n" + File.ReadAllText(clone.File_("peftalign")));
        (outcome, calls, _) = Limited(2, ("SLEEP", "1000"), ("PARTS", "check"));
        Assert.That(calls, Is.EqualTo(new[] { Doctor, Bench("check") }), "it does not end by itself");
        Assert.That((outcome.Code, File.ReadAllText(Out)), Is.EqualTo((124, "{}\n")), outcome.Err);
    }

    // With the shortest limit within which so many commands begin: how soon they do depends on the machine's load.
    private (Outcome Outcome, string[] Calls, int Limit) Limited(int commands, params (string Name, string? Value)[] settings)
    {
        for (var limit = 8; ; limit *= 2)
        {
            if (File.Exists(Out)) File.Delete(Out);
            var (outcome, calls) = Run([("LIMIT", $"{limit}"), .. settings]);
            if (limit > 200 || calls.Count(call => call.StartsWith("peftalign ", StringComparison.Ordinal)) >= commands) return (outcome, calls, limit);
        }
    }

    [TestCase("PARTS", "check dop", "PARTS: 'dop' is none of check, sft, dpo and tests")]
    [TestCase("LIMIT", "9 min", "LIMIT=9 min is no number of seconds; leave it out for none")]
    [TestCase("LIBTORCH", "/nonexistent", "/nonexistent: no lib/libtorch_cpu.so there; LIBTORCH is the folder that holds lib/ and include/ (of a wheel: site-packages/torch)")]
    public void What_is_wrong_is_said_in_one_line(string name, string value, string said)
    {
        var (outcome, calls) = Run((name, value));
        Assert.That((outcome.Code, calls.Length), Is.EqualTo((2, 0)));
        Assert.That(outcome.Err.TrimEnd('\n').Split('\n'), Has.Length.EqualTo(1).And.One.EndsWith(said));
    }

    [TestCase("calls", "WORK", "cannot be written; name a folder for what is compiled: WORK=DIR")]
    [TestCase("results", "OUT", "cannot be written; name another file")]
    public void What_cannot_be_written_is_said_before_anything_is_compiled(string place, string what, string said)
    {
        if (what == "OUT") Directory.CreateDirectory(Out);
        var (outcome, calls) = Run(("WORK", clone.File_(what == "WORK" ? place : "work")));
        Assert.That((outcome.Code, calls.Length), Is.EqualTo((2, 0)));
        Assert.That(outcome.Err.TrimEnd('\n').Split('\n'), Has.Length.EqualTo(1).And.One.EndsWith(said));
    }

    [Test]
    public void A_libtorch_without_CUDA_is_refused_before_anything_is_compiled()
    {
        File.Delete(clone.File_("libtorch/lib/libtorch_cuda.so"));
        var (outcome, calls) = Run();
        Assert.That((outcome.Code, calls.Length), Is.EqualTo((2, 0)));
        Assert.That(outcome.Err, Does.EndWith("computes on the processor only; name one with CUDA (LIBTORCH=DIR), or DEVICE=cpu\n"));
        Assert.That(Run(("DEVICE", "cpu"), ("PARTS", "check")).Outcome.Code, Is.Zero);
    }

    [Test]
    public void Tests_that_are_not_there_are_asked_for_by_name_alone()
    {
        File.Delete(clone.File_("tests/run/PeftAlign.Rehearsal.Tests"));
        var (outcome, calls) = Run();
        Assert.That((outcome.Code, calls[^1]), Is.EqualTo((0, Bench("check sft dpo"))));
        Assert.That(Run(("PARTS", "tests")).Outcome.Err, Does.Contain("which bench/gpu/carry brings; leave it out"));
    }

    [TestCase("peers", "", "is there and was not made by this script; name another folder, or remove it")]
    [TestCase("new", "native", "has no script run_all; name the folder that has it, or leave PEERS out")]
    [TestCase("new", "nowhere", "has no script run_all; name the folder that has it, or leave PEERS out")]
    public void What_cannot_be_packed_is_said_before_anything_is_made(string folder, string peers, string said)
    {
        var outcome = clone.Run(clone.File_("bench/gpu/carry"), new() { ["PEERS"] = peers.Length == 0 ? null : clone.File_(peers) }, clone.File_(folder));
        Assert.That(outcome.Code, Is.EqualTo(2));
        Assert.That(outcome.Err.TrimEnd('\n').Split('\n'), Has.Length.EqualTo(1).And.One.EndsWith(said));
        Assert.That(Directory.GetFileSystemEntries(clone.Root, "new*"), Is.Empty);
    }
}
