// What holds for every size: all block sizes, odd counts, every kernel alike, errors.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.QLora.Tests;

[NonParallelizable]
public class PropertyTests
{
    private static readonly int[] Blocksizes = [32, 64, 128, 256, 512, 1024, 2048, 4096];

    [TearDown]
    public void UseTheBest() => Native.pq_level(-1);

    [Test]
    public void EveryKernel_GivesTheSameBits([ValueSource(nameof(Blocksizes))] int blocksize, [Values("nf4", "fp4")] string type, [Values] bool doubleQuant)
    {
        using var scope = torch.NewDisposeScope();
        var options = new FourBitOptions { Blocksize = blocksize, DoubleQuant = doubleQuant };
        var quantization = new FourBitQuantization(type == "nf4" ? FourBitCode.Nf4 : FourBitCode.Fp4, options);
        var weight = new CounterStream(7, "w", $"{blocksize}").Normal([61, 173], 0, 0.1);
        using var first = quantization.Quantize(weight, Kernels.Select(0)!.Value);
        var values = first.Decoded(torch.float32, KernelPlace.Processor);
        // Between two neighbouring values no other code is nearer: at most half the widest gap, plus what 8 bits do to the factor.
        var most = weight.abs().max().item<float>();
        Assert.That(Golden.Worst(values, weight), Is.LessThanOrEqualTo((type == "nf4" ? 0.152 : 0.167) * most + (doubleQuant ? 0.05 * most : 0) + 1e-6));
        foreach (var level in Kernels.Levels.Skip(1))
        {
            if (Kernels.Select(level) is not { } place) continue;
            using var again = quantization.Quantize(weight, place);
            Kernels.AssertSameParts(again, first, $"level {level}");
            Assert.That(again.Decoded(torch.float32, place).equal(values), Is.True, $"level {level}: values");
        }
    }

    [Test]
    public void Product_DoesNotDependOnOtherRowsOrThreads()
    {
        using var scope = torch.NewDisposeScope();
        using var matrix = new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions()).Quantize("w", new CounterStream(3, "w", "").Normal([96, 2064], 0, 0.1), KernelPlace.Processor);
        var x = new CounterStream(4, "x", "").Normal([9, 2064]);
        var threads = torch.get_num_threads();
        try
        {
            var all = Blocks.Product(matrix, x, KernelPlace.Processor);
            torch.set_num_threads(1);
            for (var r = 0; r < 9; r++) Assert.That(Blocks.Product(matrix, x.narrow(0, r, 1), KernelPlace.Processor).equal(all.narrow(0, r, 1)), Is.True, $"row {r}");
        }
        finally
        {
            torch.set_num_threads(threads);
        }
    }

    [Test]
    public void Quantize_RefusesWhatIsNoNumber([Values(float.NaN, float.PositiveInfinity, float.NegativeInfinity)] float bad, [Values] bool emulated)
    {
        var place = emulated ? KernelPlace.Emulated : KernelPlace.Processor;
        using var scope = torch.NewDisposeScope();
        var weight = torch.ones([8, 64]);
        weight[3, 5] = torch.tensor(bad);
        var error = Assert.Throws<UserErrorException>(() => new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions()).Quantize("model.w", weight, place));
        Assert.That(error!.Message, Does.Contain("model.w").And.Contain("NaN or infinity"));
    }

    [Test]
    public void Options_RefuseABlocksizeThatIsNoPowerOfTwo() =>
        Assert.That(() => new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions { Blocksize = 96 }), Throws.TypeOf<UserErrorException>().With.Message.Contains("96"));

    [TestCase(209, 75, "compute capability 7.5", "PEFTALIGN_CUDA_ARCH=75")]
    [TestCase(209, 120, "compute capability 12.0", "PEFTALIGN_CUDA_ARCH=120")]
    [TestCase(35, 0, "up to 11.8", "CUDA 12.4", "Update the driver")]
    [TestCase(222, 90, "up to 11.8", "CUDA 12.4", "Update the driver")]
    [TestCase(2, 90, "out of memory", "error 2", "nvidia-smi")]
    public void Cuda_SaysWhyADeviceCannotRunTheKernels(int error, int capability, params string[] parts)
    {
        var text = CudaDevices.Text(new torch.Device("cuda:1"), error, new NativeDevice { Capability = capability, Driver = 11080, Toolkit = 12040 }, "out of memory");
        foreach (var part in (string[])[.. parts, "cuda:1", "--device cpu"]) Assert.That(text, Does.Contain(part));
        Assert.That(text, Does.Not.Contain("\n"));
    }

    [Test]
    public void Cuda_IsRefusedWhereTheKernelsCannotRun()
    {
        if (Kernels.IsOnGpu) Assert.That(CudaDevices.Refusal(new torch.Device("cuda:0")), Is.Null);
        else Assert.That(() => Blocks.PlaceOf(new torch.Device("cuda:0")), Throws.TypeOf<UserErrorException>().With.Message.Contains("--device cpu"));
    }

    [Test]
    public unsafe void Cuda_SaysWhatIsMissing()
    {
        if (Native.pq_has_cuda() == 1) Assert.Ignore("built with nvcc");
        Assert.That(() => Native.Check(Native.pq_cuda_decode(default, null, 6, 0, 0), "decode"), Throws.TypeOf<InvalidOperationException>().With.Message.Contains("nvcc"));
    }
}
