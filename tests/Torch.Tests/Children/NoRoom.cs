// Kernels of our own in a process that may have no more memory: for another thread, or for what a task needs.

using System.Globalization;
using System.Runtime.InteropServices;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests.Children;

internal static partial class NoRoom
{
    private const int AddressSpace = 9; // RLIMIT_AS on Linux
    private const long Megabyte = 1 << 20;

    // A thread's stack takes 2 MB and more.
    internal static int ForThreads()
    {
        using var scope = torch.NewDisposeScope();
        torch.set_num_threads(4);
        var (x, w) = Rows();
        _ = Decoding.Linear(x, w.narrow(0, 0, 1)); // one task: all is looked up, and no thread is begun
        var few = With(Megabyte, () => Decoding.Linear(x, w));
        Console.WriteLine($"equal={few.eq(Decoding.Linear(x, w)).all().item<bool>()} threads={torch.get_num_threads()}");
        return 0;
    }

    internal static int ForThreadsOfMerges()
    {
        using var scope = torch.NewDisposeScope();
        torch.set_num_threads(4);
        var x = new CounterStream(5, "x").Normal([400_000]);
        Tensor Sum(Tensor of) => (Tensor)new TensorOperator("peftalign::merge_combine").Call([(Tensor[])[of, of], (double[])[0.75, -1.5], torch.float32])[0]!;
        _ = Sum(x.narrow(0, 0, 100).clone());
        var few = With(Megabyte, () => Sum(x));
        Console.WriteLine($"equal={few.eq(Sum(x)).all().item<bool>()} threads={torch.get_num_threads()}");
        return 0;
    }

    // Every task asks for 80 MB, which is more than a thread's own heap may have.
    internal static int ForTasks()
    {
        using var scope = torch.NewDisposeScope();
        torch.set_num_threads(4);
        var (x, w) = Rows();
        var (before, short_) = (Decoding.Linear(x, w), Attended(100));
        var (one, past) = (torch.ones(4, 1, 8), Past(20_000_000));
        var caches = (torch.ones(1, 1, 8), torch.ones(1, 1, 8));
        try
        {
            _ = With(32 * Megabyte, () => Decoding.Attention(one, one, one, caches, past, null, null, 1, null, null));
            Console.WriteLine("no exception");
        }
        catch (TorchOutOfMemoryException e)
        {
            Console.WriteLine($"{e.Cause}; equal={before.eq(Decoding.Linear(x, w)).all().item<bool>() && short_.eq(Attended(100)).all().item<bool>()}");
        }
        return 0;
    }

    private static (Tensor X, Tensor W) Rows() => (new CounterStream(5, "x").Normal([3, 333]), new CounterStream(5, "w").Normal([5000, 333]));

    // All tokens lie in one place of the cache.
    private static PastPlaces Past(long length) => new(torch.zeros([1, length], torch.int32).expand(4, length).contiguous(), torch.full([4], length, torch.int64));

    private static Tensor Attended(long length)
    {
        var q = new CounterStream(5, "q").Normal([4, 1, 8]);
        return Decoding.Attention(q, q, q, (torch.ones(1, 1, 8), torch.ones(1, 1, 8)), Past(length), null, null, 1, null, null);
    }

    // Runs a call while the process may have only so many bytes of addresses more than it has.
    private static Tensor With(long bytes, Func<Tensor> call)
    {
        var pages = long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[0], CultureInfo.InvariantCulture);
        getrlimit(AddressSpace, out var before);
        setrlimit(AddressSpace, new Limit { Now = (ulong)(pages * Environment.SystemPageSize + bytes), Most = before.Most });
        try
        {
            return call();
        }
        finally
        {
            setrlimit(AddressSpace, before);
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct Limit
    {
        public ulong Now, Most;
    }

    [LibraryImport("libc")]
    private static partial int getrlimit(int resource, out Limit limit);

    [LibraryImport("libc")]
    private static partial int setrlimit(int resource, in Limit limit);
}
