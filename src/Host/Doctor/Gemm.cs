// How fast matrices are multiplied, against a floor that a sound set-up passes with ease: a fifth of what the vector units
// could do at the reported clock. The reference BLAS reaches a twentieth.

using System.Diagnostics;
using System.Globalization;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Host.Doctor;

internal static class Gemm
{
    private const double FloorShare = 0.2;

    /// <summary>GFLOP/s below which a processor with this many threads is not used as it can be.</summary>
    public static double Floor(int threads) => FloorShare * threads * Machine.ClockGHz * Machine.FlopsPerCycle;

    public static void Examine(Report report, CancellationToken cancel)
    {
        var floor = Floor(torch.get_num_threads());
        var load = Machine.Load();
        void Slow(string type, double rate, string remedy)
        {
            var what = $"{type} products run at {Whole(rate)} GFLOP/s; this processor should reach {Whole(floor)}";
            if (load > Environment.ProcessorCount) report.Advice($"{what}, but other programs compute too (load {Whole(load)})", "repeat when they are done");
            else report.Problem(what, remedy);
        }

        double Own(string type, torch.ScalarType dtype)
        {
            var rate = Rate(Products.Of, torch.CPU, dtype, cancel);
            report.Fact("products", $"own_{type}_gflops", Math.Round(rate, 1), $"{Whole(rate)} GFLOP/s, by {Products.KernelsOf(dtype)}");
            return rate;
        }
        Own("float32", torch.float32);
        var narrow = Own("bfloat16", torch.bfloat16);
        var single = Rate(torch.CPU, torch.float32, cancel);
        Fact(report, "cpu_float32", single, floor);
        if (single < floor) Slow("float32", single, "install libopenblas0-pthread, and unset OMP_NUM_THREADS and PEFTALIGN_OPENBLAS_CORETYPE");
        Fact(report, "cpu_bfloat16", Rate(torch.CPU, torch.bfloat16, cancel), null);
        if (Machine.HasBf16 && narrow < floor)
            Slow("bfloat16", narrow, Products.KernelsOf(torch.bfloat16) == "libtorch" ? "unset PEFTALIGN_PRODUCTS and PEFTALIGN_INSTRUCTIONS, or use another libtorch (LIBTORCH=DIR): this one lacks oneDNN's bfloat16 kernels" : "unset PEFTALIGN_INSTRUCTIONS");
        for (var k = 0; k < torch.cuda.device_count(); k++)
        {
            var device = torch.device(DeviceType.CUDA, k);
            Fact(report, $"cuda{k}_float32", Rate(device, torch.float32, cancel), null);
            Fact(report, $"cuda{k}_bfloat16", Rate(device, torch.bfloat16, cancel), null);
        }
    }

    private static void Fact(Report report, string key, double rate, double? floor) =>
        report.Fact("products", $"{key}_gflops", Math.Round(rate, 1), $"{Whole(rate)} GFLOP/s{(floor is { } f ? $" (at least {Whole(f)} expected)" : "")}");

    /// <summary>GFLOP/s of a square product, the best of several; a small one where even that is slow.</summary>
    public static double Rate(torch.Device device, torch.ScalarType dtype, CancellationToken cancel) => Rate((a, b) => a.mm(b), device, dtype, cancel);

    private static double Rate(Func<Tensor, Tensor, Tensor> product, torch.Device device, torch.ScalarType dtype, CancellationToken cancel)
    {
        var small = Best(product, device, dtype, 512, 0.2, cancel);
        return small < 10 ? small : Math.Max(small, Best(product, device, dtype, device.type == DeviceType.CUDA ? 8192 : 2048, 0.6, cancel));
    }

    private static double Best(Func<Tensor, Tensor, Tensor> product, torch.Device device, torch.ScalarType dtype, long n, double seconds, CancellationToken cancel)
    {
        using var scope = torch.NewDisposeScope();
        var a = torch.randn([n, n], torch.float32, device).to(dtype);
        var b = torch.randn([n, n], torch.float32, device).to(dtype);
        Multiply(product, a, b, device);
        var whole = Stopwatch.StartNew();
        var best = double.MaxValue;
        while (whole.Elapsed.TotalSeconds < seconds)
        {
            cancel.ThrowIfCancellationRequested();
            var clock = Stopwatch.StartNew();
            Multiply(product, a, b, device);
            best = Math.Min(best, clock.Elapsed.TotalSeconds);
        }
        return 2.0 * n * n * n / best / 1e9;
    }

    private static void Multiply(Func<Tensor, Tensor, Tensor> product, Tensor a, Tensor b, torch.Device device)
    {
        product(a, b).Dispose();
        if (device.type == DeviceType.CUDA) torch.cuda.synchronize(device);
    }

    private static string Whole(double value) => value.ToString("0", CultureInfo.InvariantCulture);
}
