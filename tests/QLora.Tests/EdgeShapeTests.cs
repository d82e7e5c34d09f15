// Shapes at the ends: nothing at all, one value, rows that end inside blocks and bytes, matrices of a 7B model and larger ones, whose
// values are counted beyond 32 bits. The CUDA kernels' bodies run with the grid of such a matrix, at some of its blocks.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Peft.QLora.Tests;

[NonParallelizable]
public unsafe class EdgeShapeTests
{
    private static readonly torch.ScalarType[] Types = [torch.float32, torch.bfloat16, torch.float16];

    [TearDown]
    public void UseTheBest() => Native.pq_level(-1);

    private static string[] Shapes => ["0x64", "5x0", "1x1", "3x31", "2x33", "7x1025", "33x130", "9x4100", .. Kernels.IsOnGpu ? (string[])["11008x4096", "32000x4096"] : []];

    private static string[] Products => ["0x64", "5x0", "1x1", "7x1025", "130x173", .. Kernels.IsOnGpu ? (string[])["11008x4096", "4096x11008"] : []];

    [Test]
    public void EveryKernel_AgreesAtOddShapes([ValueSource(nameof(Shapes))] string shape, [Values(32, 64, 4096)] int blocksize)
    {
        using var scope = torch.NewDisposeScope();
        var quantization = new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions { Blocksize = blocksize, DoubleQuant = false });
        foreach (var type in Types)
        {
            var weight = new CounterStream(5, "w", shape).Normal(Sizes(shape), 0, 0.1).to(type);
            using var first = quantization.Quantize(weight, Kernels.Select(0)!.Value);
            var decoded = Types.ToDictionary(t => t, t => first.Decoded(t, KernelPlace.Processor));
            foreach (var level in Kernels.Levels.Skip(1))
            {
                if (Kernels.Select(level) is not { } place) continue;
                using var again = quantization.Quantize(weight, place);
                Kernels.AssertSameParts(again, first, $"{type}, level {level}");
                foreach (var (into, values) in decoded) Assert.That(again.Decoded(into, place).equal(values), Is.True, $"{type} to {into}, level {level}");
            }
        }
    }

    // From no row to two launches' worth.
    [Test]
    public void Product_IsTheDecodedMatrixs([ValueSource(nameof(Products))] string shape, [ValueSource(typeof(Kernels), nameof(Kernels.Levels))] int level)
    {
        using var scope = torch.NewDisposeScope();
        var place = Kernels.Require(level);
        var sizes = Sizes(shape);
        using var matrix = new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions { Blocksize = 32 }).Quantize(new CounterStream(5, "w", shape).Normal(sizes, 0, 0.1), place);
        var values = matrix.Decoded(torch.float32, place).to(torch.float64).t();
        foreach (var rows in new[] { 0, 1, 8, 9, 16 })
        {
            var x = new CounterStream(6, "x", shape).Normal([rows, sizes[1]]);
            var ours = matrix.Product(x, place);
            Assert.That(ours.shape, Is.EqualTo(new long[] { rows, sizes[0] }));
            if (ours.numel() > 0) Assert.That(Golden.Worst(ours, x.to(torch.float64).mm(values)), Is.LessThanOrEqualTo(5e-5), $"{rows} rows");
        }
    }

    [Test]
    public void Product_IsTheSameWithBothWidthsOfVectors([ValueSource(nameof(Products))] string shape)
    {
        using var scope = torch.NewDisposeScope();
        var sizes = Sizes(shape);
        Tensor Made(int level)
        {
            var place = Kernels.Require(level);
            using var matrix = new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions { Blocksize = 32 }).Quantize(new CounterStream(5, "w", shape).Normal(sizes, 0, 0.1), place);
            return matrix.Product(new CounterStream(6, "x", shape).Normal([5, sizes[1]]), place);
        }
        Assert.That(Made(1).equal(Made(2)), Is.True);
    }

    // 7B: 11008 x 4096 and 32000 x 4096. 300000 x 16384 values are more than 2^32. Only what the blocks touch is in memory: the
    // addresses that are given begin as far before it as the whole tensors would.
    [Test]
    public void Cuda_CountsBeyond32Bits([Values("11008x4096", "32000x4096", "300000x16384")] string shape, [Values(32, 64, 4096)] int blocksize)
    {
        using var scope = torch.NewDisposeScope();
        var (outputs, inputs) = (Sizes(shape)[0], Sizes(shape)[1]);
        const int window = 1 << 14; // values; a whole number of blocks of every kind
        foreach (var at in new[] { 0, outputs * inputs / 2 / window * window, outputs * inputs - window })
        {
            var weight = new CounterStream(8, "w", $"{at}").Normal([1, window], 0, 0.1);
            using var small = new FourBitQuantization(FourBitCode.Nf4, new FourBitOptions { Blocksize = blocksize, DoubleQuant = false }).Quantize(weight, KernelPlace.Processor);
            var whole = small.Native() with { Count = outputs * inputs };
            whole.Packed -= at / 2;
            whole.Absmax -= at / blocksize;
            Quantises(weight, small, whole, at);
            foreach (var type in Types)
            {
                var target = torch.zeros([1, window], type);
                Native.pq_emulated_decode(whole, (byte*)target.data_ptr() - at * target.element_size(), (int)type, at / 2048, (at + window) / 2048);
                Assert.That(target.equal(small.Decoded(type, KernelPlace.Processor)), Is.True, $"{type} at {at}");
            }
            Multiplies(small, whole, outputs, inputs, at);
        }
    }

    private static void Quantises(Tensor weight, FourBitMatrix small, NativeMatrix whole, long at)
    {
        var (packed, absmax) = (torch.zeros_like(small.Parts[""]), torch.zeros_like(small.Parts[".absmax"]));
        var x = (float*)weight.data_ptr() - at;
        var q = (byte*)packed.data_ptr() - at / 2;
        var scales = (float*)absmax.data_ptr() - at / small.Blocksize;
        Native.pq_emulated_quantise(x, (int)torch.float32, whole.Count, small.Blocksize, FourBitCode.Nf4.Levels, q, scales, at / small.Blocksize, (at + weight.numel()) / small.Blocksize);
        Assert.That(packed.equal(small.Parts[""]) && absmax.equal(small.Parts[".absmax"]), Is.True, $"codes at {at}");
    }

    // Whole rows inside the window.
    private static void Multiplies(FourBitMatrix small, NativeMatrix whole, long outputs, long inputs, long at)
    {
        const int rows = 3;
        var (first, count) = ((at + inputs - 1) / inputs, small.Inputs / inputs - (at % inputs == 0 ? 0 : 1));
        if (count <= 0) return;
        var x = new CounterStream(9, "x", "").Normal([rows, inputs]);
        // y is (rows, outputs): its last row would end far away, so each row of x is a product of its own.
        var values = small.Decoded(torch.float32, KernelPlace.Processor).view(-1).narrow(0, first * inputs - at, count * inputs).view(count, inputs);
        for (var r = 0; r < rows; r++)
        {
            var y = torch.zeros([count]);
            Native.pq_emulated_product(whole, outputs, inputs, (float*)x.data_ptr() + r * inputs, 1, (float*)y.data_ptr() - first, (int)torch.float32, first, first + count);
            Assert.That(Golden.Worst(y, values.mv(x.select(0, r))), Is.LessThanOrEqualTo(1e-4), $"rows {first} to {first + count}");
        }
    }

    private static long[] Sizes(string shape) => [.. shape.Split('x').Select(long.Parse)];
}
