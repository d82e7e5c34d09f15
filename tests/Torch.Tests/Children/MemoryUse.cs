// A million tensor operations, and what they leave in resident memory; large tensors that are dropped.

using System.Runtime.CompilerServices;
using System.Runtime.ConstrainedExecution;
using System.Runtime.InteropServices;

namespace PeftAlign.Torch.Tests.Children;

internal static partial class MemoryUse
{
    private const int Operations = 1_000_000;
    private const int Warm = 200_000;

    internal static int WithScopes() => Report(count =>
    {
        for (var k = 0; k < count; k += 4)
        {
            using var scope = torch.NewDisposeScope();
            using var x = torch.ones([16], requires_grad: true);
            ((x + 1) * x).sum().backward();
        }
    });

    // Nothing is disposed: finalizers free what the collector finds.
    internal static int WithCollector() => Report(count =>
    {
        using var x = torch.ones(1024);
        for (var k = 0; k < count; k++) _ = x + k;
    });

    // 500 tensors of 4 MB that nobody refers to. Finalizers have a thread of their own, which a busy machine may keep waiting for a
    // while, but not for a minute. What is looked for is noticed as tensors are made, so that waiting makes small ones.
    internal static int Dropped(bool slowly)
    {
        static bool Few() => Tensor.TotalCount < 200;
        static bool FewSoon()
        {
            using var small = torch.empty(1);
            return Tensor.TotalCount <= 200;
        }
        for (var k = 0; k < 500; k++)
        {
            Drop();
            if (slowly) Slow.Drop();
            if (Few() || SpinWait.SpinUntil(FewSoon, TimeSpan.FromMinutes(1))) continue;
            Console.WriteLine($"{Tensor.TotalCount} alive after {k + 1}");
            return 0;
        }
        Console.WriteLine("few alive all along");
        return 0;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Drop() => torch.zeros(1 << 20);

    // Its finalizer runs among those of tensors, as one does whose thread gets no processor.
    private sealed class Slow : CriticalFinalizerObject
    {
        [MethodImpl(MethodImplOptions.NoInlining)]
        internal static void Drop() => _ = new Slow();

        ~Slow() => Thread.Sleep(4);
    }

    // Tensors of 40 MB, whose memory malloc gives back to the system at once, that nobody refers to while their elements are read; another
    // thread collects all the time.
    internal static int Elements()
    {
        const int Count = 10 << 20;
        var done = false;
        var collector = new Thread(() =>
        {
            while (!Volatile.Read(ref done))
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
        });
        collector.Start();
        var wrong = 0;
        for (var k = 1; k <= 40; k++)
        {
            var read = torch.full([Count], k, torch.float32).data<float>().ToArray();
            if (read.AsSpan().IndexOfAnyExcept((float)k) >= 0) wrong++;
        }
        Volatile.Write(ref done, true);
        collector.Join();
        Console.WriteLine($"wrong={wrong}");
        return 0;
    }

    private static int Report(Action<int> work)
    {
        work(Warm);
        var before = Resident();
        work(Operations / 2);
        var middle = Resident();
        work(Operations / 2);
        Console.WriteLine($"grown={(Resident() - before) >> 20} second_half={(Resident() - middle) >> 20} peak={Peak() >> 10} alive={Tensor.TotalCount}");
        return 0;
    }

    // Kilobytes.
    private static long Peak() => long.Parse(File.ReadLines("/proc/self/status").First(line => line.StartsWith("VmHWM:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]);

    // What is free but kept, by the collector or by malloc, goes back to the system first: how much that is depends on
    // when the finalizer thread got a processor.
    private static long Resident()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        _ = malloc_trim(0);
        return long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1]) * Environment.SystemPageSize;
    }

    [LibraryImport("libc")]
    private static partial int malloc_trim(nuint keep);
}
