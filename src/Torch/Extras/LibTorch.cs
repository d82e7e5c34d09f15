// What this libtorch is, and operators by name: what TorchSharp has no word for.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Extras;

/// <summary>The libtorch at hand.</summary>
public static class LibTorch
{
    /// <summary>Opens libtorch now, for instance on a thread of its own while files are being mapped.</summary>
    /// <exception cref="TorchUnavailableException">It is not there; the message names the remedy.</exception>
    /// <exception cref="TorchSettingException">A variable asks for what this processor does not have, or a limit on addresses is too low.</exception>
    public static void Open() => Loader.Open();

    /// <summary>Opens libtorch where PEFTALIGN_INSTRUCTIONS, PEFTALIGN_PRODUCTS or PEFTALIGN_THREADS is set, so that a wrong one is refused
    /// before there is any work; without them only a limit on addresses (ulimit -v) that is too low is refused.</summary>
    /// <exception cref="TorchSettingException">A variable asks for what this processor does not have, or a limit on addresses is too low.</exception>
    public static void CheckSettings()
    {
        if (!IsOpen) AddressSpace.RefuseIfNarrow();
        if (Loader.HasSettings) Loader.Open();
    }

    /// <summary>Threads where nobody asks for a number: PEFTALIGN_THREADS, else every core that the process may use. Does not open libtorch.</summary>
    /// <exception cref="TorchSettingException">PEFTALIGN_THREADS is no whole number from 1 to 4096.</exception>
    public static int DefaultThreads => Loader.Threads();

    /// <summary>True once a tensor was made or <see cref="Open"/> called.</summary>
    public static bool IsOpen => Loader.OpenedFile != null;

    /// <summary>How long opening took.</summary>
    public static TimeSpan OpenTime => Loader.OpenTime;

    /// <summary>Path of our library over libtorch, or null before it is opened.</summary>
    public static string? NativeFile => Loader.OpenedFile;

    /// <summary>The library that would be opened, or null where none is built.</summary>
    public static string? FileToOpen => Loader.FileToOpen;

    /// <summary>Version of the libtorch that the library was built for.</summary>
    public static string Version
    {
        get
        {
            Loader.Open();
            return Shim.BuiltFor;
        }
    }

    /// <summary>libtorch's own account of its build and its threads.</summary>
    public static string Describe()
    {
        Loader.Open();
        return Shim.Describe();
    }

    /// <summary>The kernels that OpenBLAS chose, for instance "SkylakeX"; "" where libtorch has another BLAS.</summary>
    public static string BlasKernels
    {
        get
        {
            Loader.Open();
            return Shim.BlasKernels();
        }
    }

    /// <summary>What our own kernels are compiled for that run here: "avx512" (with bfloat16 products or without, which give
    /// the same), "avx2" or "baseline"; the processor's best, or what PEFTALIGN_INSTRUCTIONS names. Another set rounds differently.</summary>
    public static string Instructions
    {
        get
        {
            Loader.Open();
            Shim.Check(Shim.pa_instructions(-1, out var set), "Instructions");
            return set switch { >= 2 => "avx512", 1 => "avx2", _ => "baseline" };
        }
    }

    /// <summary>Whether scaled_dot_product_attention is libtorch's own operator (2.0 and later), with kernels for GPUs that hold no scores.</summary>
    public static bool HasAttention => Aten.attention.Found is not null;

    /// <summary>Operators that this libtorch lacks and that are composed from others: slower, not wrong.</summary>
    public static IReadOnlyList<string> ComposedOperators() => [.. Aten.Differing.Where(row => row.Found is null).Select(row => row.Name)];

    /// <summary>Operators that src/Torch would call, that this libtorch lacks, and that nothing stands in for.</summary>
    public static IReadOnlyList<string> MissingOperators() => [.. Aten.All.Where(op => !op.Exists).Select(op => op.Name)];

    /// <summary>Number of operators that the dispatcher knows.</summary>
    public static long OperatorCount
    {
        get
        {
            Loader.Open();
            Shim.Check(Shim.pa_op_count(out var count), "OperatorCount");
            return count;
        }
    }
}
