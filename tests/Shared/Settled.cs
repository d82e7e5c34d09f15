// How many tensors there are, once none that earlier tests forgot can go in the middle of this one.

using PeftAlign.Torch;

namespace PeftAlign.Tests;

internal static class Settled
{
    /// <summary>
    /// Tensors alive after collections until two in a row freed none. One is not enough: the finalizer of a tensor frees its graph, what a
    /// function saved in that is found by the next collection only, and its finalizers run after that one.
    /// </summary>
    internal static long Tensors()
    {
        var count = Tensor.TotalCount;
        for (var unchanged = 0; unchanged < 2;)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            var now = Tensor.TotalCount;
            unchanged = now == count ? unchanged + 1 : 0;
            count = now;
        }
        return count;
    }
}
