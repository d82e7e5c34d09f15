// The sets of kernels that a test goes through: portable, AVX2 and AVX-512 ones, the CUDA kernels' bodies on the processor, and, where
// a GPU is and the library was built with nvcc, the CUDA kernels themselves.

using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora.Tests;

internal static class Kernels
{
    /// <summary>As in <see cref="Native.pq_level"/>; 3 the emulated CUDA kernels, 4 the real ones.</summary>
    internal static int[] Levels => IsOnGpu ? [0, 1, 2, 3, 4] : [0, 1, 2, 3];

    internal static bool IsOnGpu => Native.pq_has_cuda() == 1 && torch.cuda.is_available();

    /// <summary>Selects a set; null where this processor lacks it.</summary>
    internal static KernelPlace? Select(int level) => level switch
    {
        4 => KernelPlace.Cuda,
        3 => KernelPlace.Emulated,
        _ => Native.pq_level(level) == level ? KernelPlace.Processor : null,
    };

    /// <summary>Selects a set, or skips the test.</summary>
    internal static KernelPlace Require(int level)
    {
        if (Select(level) is not { } place) Assert.Ignore($"this processor has no instructions of level {level} (1: AVX2, 2: AVX-512)");
        else return place;
        return default;
    }

    internal static Tensor For(KernelPlace place, Tensor tensor) => place == KernelPlace.Cuda ? tensor.to(torch.CUDA) : tensor;

    internal static FourBitMatrix Quantize(this FourBitQuantization quantization, Tensor weight, KernelPlace place) => quantization.Quantize("w", For(place, weight), place);

    /// <summary>The matrix, which lies where the kernels run, in the processor's memory.</summary>
    internal static Tensor Decoded(this FourBitMatrix matrix, torch.ScalarType type, KernelPlace place)
    {
        var target = torch.empty([matrix.Outputs, matrix.Inputs], type, matrix.Device);
        Blocks.Decode(matrix, target, place);
        return target.to(torch.CPU);
    }

    internal static Tensor Product(this FourBitMatrix matrix, Tensor x, KernelPlace place) => Blocks.Product(matrix, For(place, x), place).to(torch.CPU);

    internal static void AssertSameParts(FourBitMatrix actual, FourBitMatrix expected, string message)
    {
        foreach (var (name, part) in expected.Parts) Assert.That(actual.Parts[name].to(torch.CPU).equal(part.to(torch.CPU)), Is.True, $"{message}: {name}");
    }
}
