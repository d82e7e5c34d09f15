// Finds and opens libpeftalign_torch.so, once, at the first tensor. Before that it mends what libtorch's
// BLAS reads from the environment when it is opened.

using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Native;

internal static partial class Loader
{
    internal const string LibraryName = "peftalign_torch";
    private const string FileName = "libpeftalign_torch.so";
    private const int MostThreads = 4096;
    private static readonly string[] Settings = ["PEFTALIGN_INSTRUCTIONS", "PEFTALIGN_PRODUCTS", "PEFTALIGN_THREADS"];
    private static readonly Lock Gate = new();
    private static int registered;
    private static nint library;

    /// <summary>The file that was opened, or null while no tensor has been made.</summary>
    internal static string? OpenedFile { get; private set; }

    internal static TimeSpan OpenTime { get; private set; }

    /// <summary>True where a variable says what is used; whether it may say so is seen when the library is opened.</summary>
    internal static bool HasSettings => Settings.Any(name => Environment.GetEnvironmentVariable(name) is { Length: > 0 });

    internal static void Register()
    {
        if (Interlocked.Exchange(ref registered, 1) == 0)
            NativeLibrary.SetDllImportResolver(typeof(Loader).Assembly, (name, _, _) => name == LibraryName ? Open() : 0);
    }

    internal static nint Open()
    {
        lock (Gate)
        {
            if (library != 0) return library;
            var file = Find();
            AddressSpace.RefuseIfNarrow();
            ChooseBlasKernels();
            LetIdleThreadsSleep();
            var clock = Stopwatch.StartNew();
            try
            {
                library = NativeLibrary.Load(file);
            }
            catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
            {
                throw new TorchUnavailableException($"libtorch could not be opened through '{file}': {e.Message.ReplaceLineEndings(" ").Trim()} Run './peftalign doctor' to mend the set-up.", e);
            }
            OpenTime = clock.Elapsed;
            try
            {
                RefuseOtherVersion(file);
                RefuseWrongSettings();
                Shim.Check(Shim.pa_threads_set(Threads()), "set_num_threads");
            }
            catch
            {
                library = 0; // the next attempt says the same, not something else
                throw;
            }
            OpenedFile = file;
            return library;
        }
    }

    /// <summary>The file that opening would take, or null where there is none.</summary>
    internal static string? FileToOpen => Candidates().FirstOrDefault(File.Exists);

    private static string Find()
    {
        var tried = Candidates().ToList();
        return tried.FirstOrDefault(File.Exists)
            ?? throw new TorchUnavailableException($"The native part ({FileName}) is not built; looked in {string.Join(", ", tried.Select(Path.GetDirectoryName))}. Run './peftalign doctor' once: it builds it.");
    }

    private static IEnumerable<string> Candidates()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_NATIVE") is { Length: > 0 } named)
        {
            yield return Path.Combine(named, FileName);
            yield break;
        }
        var start = Path.GetDirectoryName(typeof(Loader).Assembly.Location) is { Length: > 0 } folder ? folder : AppContext.BaseDirectory;
        yield return Path.Combine(start, "native", FileName);
        for (var up = new DirectoryInfo(start); up != null; up = up.Parent)
            if (Directory.Exists(Path.Combine(up.FullName, ".build", "native")))
                yield return Path.Combine(up.FullName, ".build", "native", "current", FileName);
    }

    // OpenBLAS 0.3.21 takes AVX2 kernels on processors that it does not know, and whatever an inherited
    // variable says. With AVX-512 the SkylakeX kernels are right: as fast as any where the units are 256 bits wide (Zen 4,
    // docs/performance-parts.md), and the only ones that fill 512-bit units. PEFTALIGN_OPENBLAS_CORETYPE overrides.
    private static void ChooseBlasKernels()
    {
        const string variable = "OPENBLAS_CORETYPE";
        if (Environment.GetEnvironmentVariable("PEFTALIGN_OPENBLAS_CORETYPE") is { Length: > 0 } wanted)
        {
            _ = setenv(variable, wanted, 1);
            return;
        }
        var inherited = Environment.GetEnvironmentVariable(variable);
        var avx512 = Avx512F.IsSupported && Avx512BW.IsSupported && Avx512DQ.IsSupported && Avx512F.VL.IsSupported;
        if (!avx512)
        {
            if (inherited != null) _ = unsetenv(variable);
        }
        else if (inherited is not ("SkylakeX" or "Cooperlake" or "SapphireRapids"))
        {
            _ = setenv(variable, "SkylakeX", 1);
        }
    }

    // OpenMP's threads spin while they wait for each other. Where other work holds a core, each operator then waits for the
    // scheduler: 150 small training steps took 430 s in place of 12 s on a machine with 4 cores and a load of 15.
    // OpenBLAS's own threads hand their cores round in the kernel for 2^26 cycles after every product; 2^14 are a few microseconds.
    private static void LetIdleThreadsSleep()
    {
        _ = setenv("OMP_WAIT_POLICY", "PASSIVE", overwrite: 0);
        _ = setenv("OPENBLAS_THREAD_TIMEOUT", "14", overwrite: 0);
    }

    internal static int Threads()
    {
        if (Environment.GetEnvironmentVariable("PEFTALIGN_THREADS") is not { Length: > 0 } wanted) return Environment.ProcessorCount;
        return int.TryParse(wanted, NumberStyles.None, CultureInfo.InvariantCulture, out var n) && n is >= 1 and <= MostThreads
            ? n : throw new TorchSettingException($"PEFTALIGN_THREADS is '{wanted}'; it may be a whole number from 1 to {MostThreads}, or unset");
    }

    // The headers are libtorch's binary interface: with another minor version it would fail later, in ways that are hard to understand.
    private static void RefuseOtherVersion(string file)
    {
        var (built, running) = (Shim.BuiltFor, Shim.Running());
        if (running.Length > 0 && MinorOf(running) != MinorOf(built))
            throw new TorchUnavailableException($"'{file}' was built for libtorch {built}, but libtorch {running} was loaded. Run './peftalign doctor': it builds for the libtorch that is there.");
    }

    // Makes the kernels read PEFTALIGN_INSTRUCTIONS and PEFTALIGN_PRODUCTS now, since they cannot report an error in the middle of their work.
    private static void RefuseWrongSettings()
    {
        try
        {
            Shim.Check(Shim.pa_instructions(-1, out _), "Instructions");
            _ = Products.Kernels;
        }
        catch (TorchException e) when (Settings.Any(name => e.Cause.StartsWith(name + " is '", StringComparison.Ordinal)))
        {
            throw new TorchSettingException(e.Cause);
        }
    }

    internal static string MinorOf(string version) => string.Join('.', version.Split('.').Take(2));

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int setenv(string name, string value, int overwrite);

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int unsetenv(string name);
}
