// How many tensors a merge holds at once: the peak of the process's resident memory while tensors of 64 MB are merged. Linux only:
// the kernel keeps the peak (VmHWM) and forgets it on request (proc(5), clear_refs 5). Tensors of that size are mapped and unmapped
// one by one, so what is not held is not counted.

using PeftAlign.Torch;

namespace PeftAlign.Testing;

internal static class MergeMemory
{
    private const int Usual = 3;
    private static readonly long[] Shape = [4096, 4096];
    private const double TensorBytes = 4.0 * 4096 * 4096;

    public static void HoldsFewTensors(Merging merging)
    {
        var limit = merging.Sample.Number("tensors") ?? Usual;
        // Stored as models are: a strategy that keeps a wide copy of each is found out.
        Tensor Large(double value) => (torch.ones(Shape, torch.bfloat16) * value).contiguous();
        var inputs = Enumerable.Range(0, merging.Models).Select(model => Large(0.5 + model)).ToArray();
        var origin = merging.Bases(torch.zeros([1]))[0] is null ? null : Large(0.25);
        var strategy = merging.Strategy();
        merging.Merge(merging.Inputs(), origin is null ? null : merging.Origin(), strategy); // what a first call loads is not the merge's
        var before = Forget();
        using (var scope = torch.NewDisposeScope()) merging.Merge(inputs, origin, strategy);
        var held = (Peak() - before) / TensorBytes;
        // Half a tensor for everything else in the process.
        Expect.That(held <= limit + 0.5, $"At most {limit} float32 tensors of the models' size may be held at once beside them; it was {held:F1}. Dispose each intermediate tensor when it is used up, or say \"tensors\": {Math.Ceiling(held)} in the sample if that many are needed.");
    }

    /// <summary>Resident bytes now, from which the peak is counted.</summary>
    private static double Forget()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        File.WriteAllText("/proc/self/clear_refs", "5");
        return Resident("VmRSS");
    }

    private static double Peak() => Resident("VmHWM");

    private static double Resident(string figure) => ProcessStatus.Bytes("self", figure) ?? throw new PlatformNotSupportedException("A merge's memory is read from /proc/self/status, which is not there.");
}
