// The safety net under dispose scopes: tensors that nobody disposes are collected when they hold much memory.

using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ConstrainedExecution;

namespace PeftAlign.Torch.Tests;

[NonParallelizable]
public sealed class MemoryTests
{
    // 20 GB of address space in all, never written to; without the net all 320 tensors would stay for good. When the collector runs is
    // its own affair and the machine's, so that it is waited for. It is asked for as tensors are made, unless an earlier collection's finalizers
    // still run, so that waiting makes small ones.
    [Test]
    public void Forgotten_tensors_are_collected([Values] bool whileFinalizersRun)
    {
        var before = Settled.Tensors();
        if (whileFinalizersRun)
        {
            Slow.Forget();
            for (var k = 0; k < 8; k++) Forget(); // 512 MB, for which it is asked; that finds no more than these
        }
        for (var k = 0; k < 320; k++) Forget();
        bool AllThere()
        {
            using var small = torch.empty(1);
            return Tensor.TotalCount - before >= 320;
        }
        for (var clock = Stopwatch.StartNew(); AllThere() && clock.Elapsed < TimeSpan.FromMinutes(1);) Thread.Sleep(10);
        Assert.That(Tensor.TotalCount - before, Is.LessThan(320));
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Forget() => torch.empty([16L << 20]).DetachFromDisposeScope();

    // Its finalizer runs among those of tensors.
    private sealed class Slow : CriticalFinalizerObject
    {
        [MethodImpl(MethodImplOptions.NoInlining)]
        internal static void Forget() => _ = new Slow();

        ~Slow() => Thread.Sleep(300);
    }
}
