// The safety net under dispose scopes: tensors that nobody disposes are collected when they hold much memory.

using System.Diagnostics;

namespace PeftAlign.Torch.Tests;

[NonParallelizable]
public sealed class MemoryTests
{
    // 20 GB of address space in all, never written to; without the net all 320 tensors would stay for good. When the collector runs is
    // its own affair and the machine's, so that it is waited for.
    [Test]
    public void Forgotten_tensors_are_collected()
    {
        var before = Tensor.TotalCount;
        for (var k = 0; k < 320; k++) Forget();
        for (var clock = Stopwatch.StartNew(); Tensor.TotalCount - before >= 320 && clock.Elapsed < TimeSpan.FromMinutes(1);) Thread.Sleep(10);
        Assert.That(Tensor.TotalCount - before, Is.LessThan(320));
    }

    private static void Forget() => torch.empty([16L << 20]).DetachFromDisposeScope();
}
