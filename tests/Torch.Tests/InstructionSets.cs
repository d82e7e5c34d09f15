// Tests of kernels run once for each instruction set that this processor has, so that what other processors run is tested here too.

using System.Runtime.Intrinsics.X86;
using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Tests;

/// <summary>The sets by the names of PEFTALIGN_INSTRUCTIONS; their places are the numbers of native/peftalign.h.</summary>
public static class InstructionSets
{
    private static readonly string[] Names = ["baseline", "avx2", "avx512", "avx512_bf16"];

    // CPUID, leaf 7, subleaf 1, bit 5 of EAX.
    private static bool HasBfloat16 => X86Base.IsSupported && Avx512F.VL.IsSupported && (X86Base.CpuId(7, 1).Eax & (1 << 5)) != 0;

    /// <summary>Those of this processor.</summary>
    public static IEnumerable<string> Here => Names.Where(name => name switch { "avx512_bf16" => HasBfloat16, "avx512" => Avx512F.VL.IsSupported, "avx2" => Avx2.IsSupported && Fma.IsSupported, _ => true });

    /// <summary>Those that have products of our own; where there are none, the tests see libtorch's.</summary>
    public static IEnumerable<string> WithProducts => Here.Skip(1).DefaultIfEmpty("baseline");

    /// <summary>Lets kernels use none above this set from now on, and says which they use.</summary>
    internal static string Limit(string most)
    {
        Shim.Check(Shim.pa_instructions(Array.IndexOf(Names, most), out var set));
        return Names[set];
    }
}

/// <summary>A fixture whose tests run with the kernels of one set. Not beside others: the set is the process's.</summary>
[NonParallelizable]
[TestFixtureSource(typeof(InstructionSets), nameof(InstructionSets.Here))]
public abstract class KernelTests(string instructions)
{
    [OneTimeSetUp]
    public void These_instructions() => Assume.That(InstructionSets.Limit(instructions), Is.EqualTo(instructions), "PEFTALIGN_INSTRUCTIONS asks for less");

    [OneTimeTearDown]
    public void All_instructions_again() => InstructionSets.Limit("avx512_bf16");
}

/// <summary>The same of the sets that have products of our own.</summary>
[TestFixtureSource(typeof(InstructionSets), nameof(InstructionSets.WithProducts))]
public abstract class ProductKernelTests(string instructions) : KernelTests(instructions);
