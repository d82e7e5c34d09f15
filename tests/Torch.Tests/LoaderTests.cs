// Opening libtorch: late, on every core that the process may use, with the right BLAS kernels, and of the right version.

using System.Runtime.Intrinsics.X86;
using PeftAlign.Torch.Extras;
using PeftAlign.Torch.Native;
using PeftAlign.Torch.Tests.Children;

namespace PeftAlign.Torch.Tests;

public sealed class LoaderTests
{
    [Test]
    public void Types_alone_open_nothing()
    {
        var child = Child.Run(["types"], new() { ["PEFTALIGN_NATIVE"] = "/nonexistent/folder" });
        Assert.That(child.ExitCode, Is.Zero, child.Errors);
        Assert.That(child.Output, Does.Contain("open=False"));
        Assert.That(child.LastLine, Does.StartWith("unavailable=").And.Contain("/nonexistent/folder").And.Contain("peftalign doctor"));
    }

    [Test]
    public void The_first_tensor_opens_it()
    {
        var child = Child.Run(["types"]);
        Assert.That(child.Output, Does.Contain("open=False").And.Contain("tensor=float32 cpu [1]"));
    }

    [Test]
    public void An_inherited_core_type_is_mended()
    {
        if (LibTorch.BlasKernels.Length == 0) Assert.Ignore($"libtorch {LibTorch.Version} brings a BLAS other than OpenBLAS");
        if (!Avx512F.IsSupported) Assert.Ignore("this processor has no AVX-512");
        foreach (var inherited in new[] { "Haswell", null })
            Assert.That(Kernels(new() { ["OPENBLAS_CORETYPE"] = inherited, ["PEFTALIGN_OPENBLAS_CORETYPE"] = null }), Is.EqualTo("SkylakeX").Or.EqualTo("Cooperlake").Or.EqualTo("SapphireRapids"));
        Assert.That(Kernels(new() { ["PEFTALIGN_OPENBLAS_CORETYPE"] = "Haswell" }), Is.EqualTo("Haswell"), "ours overrides");
    }

    [Test]
    public void Idle_threads_of_OpenBLAS_soon_sleep()
    {
        if (LibTorch.BlasKernels.Length == 0) Assert.Ignore($"libtorch {LibTorch.Version} brings a BLAS other than OpenBLAS");
        Assert.That(Child.Run(["engine"], new() { ["OPENBLAS_THREAD_TIMEOUT"] = null }).Output, Does.Contain("timeout=14"));
        Assert.That(Child.Run(["engine"], new() { ["OPENBLAS_THREAD_TIMEOUT"] = "20" }).Output, Does.Contain("timeout=20"), "unless told otherwise");
    }

    [Test]
    public void Threads_are_the_processors_that_the_process_may_use()
    {
        Assert.That(Child.Run(["engine"], new() { ["PEFTALIGN_THREADS"] = null }, $"taskset -c {FirstProcessor()}").Output, Does.Contain("threads=1 processors=1"));
        var all = Child.Run(["engine"], new() { ["PEFTALIGN_THREADS"] = null }).Output;
        Assert.That(all, Does.Contain($"threads={Environment.ProcessorCount} "));
        Assert.That(Child.Run(["engine"], new() { ["PEFTALIGN_THREADS"] = "3" }).Output, Does.Contain("threads=3 "));
    }

    // A container may have none of the machine's first ones: "2-3,6".
    private static string FirstProcessor()
    {
        const string field = "Cpus_allowed_list:";
        return File.ReadLines("/proc/self/status").First(line => line.StartsWith(field, StringComparison.Ordinal))[field.Length..].Trim().Split('-', ',')[0];
    }

    [TestCase("PEFTALIGN_INSTRUCTIONS", "avx9")]
    [TestCase("PEFTALIGN_PRODUCTS", "avx9")]
    [TestCase("PEFTALIGN_THREADS", "0")]
    [TestCase("PEFTALIGN_THREADS", "4097")]
    public void A_variable_that_asks_for_what_is_not_here_is_refused(string variable, string value)
    {
        var child = Child.Run(["engine"], new() { [variable] = value });
        Assert.That(child.ExitCode, Is.Not.Zero);
        Assert.That(child.Errors, Does.Contain($"{nameof(TorchSettingException)}: {variable} is '{value}'; it may be ").And.Contain(", or unset"));
    }

    // OpenBLAS would ask for its threads' buffers for ever. Four processors, however many there are: on fewer the larger limit would do.
    [TestCase(3_000_000_000)]
    [TestCase(4_500_000_000)]
    public void Too_few_addresses_are_refused_before_libtorch_hangs(long limit)
    {
        var child = Child.Run(["engine"], new() { ["DOTNET_PROCESSOR_COUNT"] = "4" }, $"prlimit --as={limit}");
        Assert.That(child.ExitCode, Is.Not.Zero);
        Assert.That(child.Errors, Does.Contain($"{nameof(TorchSettingException)}: the process may have {limit / 1e9:0.0} GB of addresses (ulimit -v)").And.Contain("raise the limit"));
    }

    [TestCase(8_000_000_000, 6_199_999_999, 4, true)]
    [TestCase(8_000_000_000, 6_200_000_001, 4, false)]
    [TestCase(long.MaxValue, 270_000_000_000, 256, true)]
    public void A_limit_on_addresses_leaves_room_for_the_libraries_and_each_core(long limit, long taken, int cores, bool enough) =>
        Assert.That(() => AddressSpace.Refuse(limit, taken, cores), enough ? Throws.Nothing : Throws.TypeOf<TorchSettingException>());

    [Test]
    public void The_number_of_threads_can_be_set()
    {
        var before = torch.get_num_threads();
        torch.set_num_threads(2);
        Assert.That(torch.get_num_threads(), Is.EqualTo(2));
        torch.set_num_threads(before);
        Assert.That(() => torch.set_num_threads(0), Throws.InstanceOf<TorchException>().With.Message.Contains("0"));
    }

    [Test]
    public void The_library_knows_which_libtorch_it_was_built_for()
    {
        LibTorch.Open();
        Assert.That(Loader.MinorOf(Shim.Running()), Is.EqualTo(Loader.MinorOf(LibTorch.Version)));
        Assert.That(LibTorch.Describe(), Does.Contain("TORCH_VERSION"));
        Assert.That((LibTorch.IsOpen, LibTorch.OperatorCount > 2000), Is.EqualTo((true, true)));
    }

    private static string Kernels(Dictionary<string, string?> environment) => Child.Run(["engine"], environment).Output.Split('=', ' ')[1];
}
