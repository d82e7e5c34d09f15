// The native library (native/qlora.h): in PEFTALIGN_NATIVE, where one was compiled for the machine at hand (with nvcc for its GPU), else
// under runtimes/ in the plugin's folder, whoever loaded the assembly.

using System.Runtime.InteropServices;

namespace PeftAlign.Peft.QLora;

/// <summary>pq_matrix.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeMatrix
{
    internal byte* Packed;
    internal float* Absmax;
    internal byte* Nested;
    internal float* NestedMap;
    internal float* NestedAbsmax;
    internal float* Code;
    internal long Count;
    internal int Blocksize;
    internal int NestedBlocksize;
    internal float NestedOffset;
}

/// <summary>pq_levels.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeLevels
{
    internal fixed float Thresholds[15];
    internal fixed byte Patterns[16];
}

/// <summary>pq_device.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NativeDevice
{
    internal int Capability;
    internal int Driver;
    internal int Toolkit;
}

internal static unsafe partial class Native
{
    private const string Library = "peftalign_qlora";

    static Native() => NativeLibrary.SetDllImportResolver(typeof(Native).Assembly, (name, _, _) => name == Library ? NativeLibrary.Load(File()) : 0);

    private static string File()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_NATIVE") is { Length: > 0 } made && Path.Combine(made, $"lib{Library}.so") is var ours && System.IO.File.Exists(ours)) return ours;
        var folder = Path.GetDirectoryName(typeof(Native).Assembly.Location)!;
        var runtimes = Path.Combine(folder, "runtimes");
        var own = Path.Combine(runtimes, RuntimeInformation.RuntimeIdentifier, "native", $"lib{Library}.so");
        // A .NET that a distribution built names itself otherwise than Microsoft's.
        return System.IO.File.Exists(own) || !Directory.Exists(runtimes) ? own : Directory.EnumerateFiles(runtimes, $"lib{Library}.so", SearchOption.AllDirectories).FirstOrDefault(own);
    }

    /// <exception cref="InvalidOperationException">The code is an error's.</exception>
    internal static void Check(int error, string what)
    {
        if (error != 0) throw new InvalidOperationException($"{what}: {ErrorText(error)}");
    }

    internal static string ErrorText(int error) => Marshal.PtrToStringUTF8(pq_error_text(error)) ?? $"error {error}";

    [LibraryImport(Library)]
    private static partial nint pq_error_text(int error);

    [LibraryImport(Library)]
    internal static partial int pq_level(int wanted);

    [LibraryImport(Library)]
    internal static partial int pq_has_cuda();

    [LibraryImport(Library)]
    internal static partial int pq_cuda_probe(int device, out NativeDevice about);

    [LibraryImport(Library)]
    internal static partial int pq_quantise(void* x, int type, long count, int blocksize, in NativeLevels levels, byte* packed, float* absmax, int threads);

    [LibraryImport(Library)]
    internal static partial int pq_decode(in NativeMatrix matrix, void* target, int type, int threads);

    [LibraryImport(Library)]
    internal static partial int pq_product(in NativeMatrix matrix, long outs, long ins, float* x, long rows, float* y, int type, int threads);

    [LibraryImport(Library)]
    internal static partial int pq_quantise8(float* x, long count, int blocksize, float* map, byte* q, float* absmax);

    [LibraryImport(Library)]
    internal static partial int pq_cuda_quantise(void* x, int type, long count, int blocksize, in NativeLevels levels, byte* packed, float* absmax, int device, nint stream);

    [LibraryImport(Library)]
    internal static partial int pq_cuda_decode(in NativeMatrix matrix, void* target, int type, int device, nint stream);

    [LibraryImport(Library)]
    internal static partial int pq_cuda_product(in NativeMatrix matrix, long outs, long ins, void* x, long rows, void* y, int type, int device, nint stream);

    [LibraryImport(Library)]
    internal static partial int pq_emulated_quantise(void* x, int type, long count, int blocksize, in NativeLevels levels, byte* packed, float* absmax, long first, long end);

    [LibraryImport(Library)]
    internal static partial int pq_emulated_decode(in NativeMatrix matrix, void* target, int type, long first, long end);

    [LibraryImport(Library)]
    internal static partial int pq_emulated_product(in NativeMatrix matrix, long outs, long ins, void* x, long rows, void* y, int type, long first, long end);
}
