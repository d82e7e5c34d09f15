// What the binding costs: calls, dispose scopes, matrix products, each beside the raw library. Prints one JSON document.
// Arguments: --size N (of the matrices, 2048), --repetitions N (30; the best counts), --threads N.

using System.Diagnostics;
using System.Text.Json;
using PeftAlign.Torch;
using PeftAlign.Torch.Bench;
using PeftAlign.Torch.Extras;

const int Calls = 20_000;
var size = Option("--size", 2048);
var repetitions = Option("--repetitions", 30);
LibTorch.Open();
var threads = Option("--threads", torch.get_num_threads());
torch.set_num_threads(threads);

using var off = torch.no_grad();
using var a = torch.ones(4);
using var b = torch.ones(4);
using var leaf = torch.ones([4], requires_grad: true);
var ours = new
{
    mul_us = Microseconds(() => a.mul(b).Dispose()),
    mul_autograd_us = Recorded(() => leaf.mul(b).Dispose()),
    mul_in_scope_us = InScope(() => a.mul(b)),
    mul_left_to_collector_us = Microseconds(() => a.mul(b)),
    float32_gflops = Product(torch.float32),
    bfloat16_gflops = Product(torch.bfloat16),
};
var raw = RawLibrary.Measure(threads, size, repetitions);
Console.WriteLine(JsonSerializer.Serialize(new
{
    date = DateTime.UtcNow.ToString("yyyy-MM-dd HH:mm"),
    processor = File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(": ")[1],
    processors = Environment.ProcessorCount,
    load = File.ReadAllText("/proc/loadavg").Split(' ')[0],
    libtorch = LibTorch.Version,
    blas_kernels = LibTorch.BlasKernels,
    threads,
    size,
    ours,
    raw = new { mul_us = raw.Mul, mul_autograd_us = raw.MulAutograd, float32_gflops = raw.Float32, bfloat16_gflops = raw.BFloat16 },
}, new JsonSerializerOptions { WriteIndented = true }));
return 0;

int Option(string name, int standard)
{
    var place = Array.IndexOf(args, name);
    if (place < 0) return standard;
    return place + 1 < args.Length && int.TryParse(args[place + 1], out var value) && value > 0 ? value : throw new ArgumentException($"{name} needs a number above 0");
}

double Best(Action work)
{
    var best = double.MaxValue;
    for (var k = 0; k < repetitions; k++)
    {
        var clock = Stopwatch.GetTimestamp();
        work();
        best = Math.Min(best, Stopwatch.GetElapsedTime(clock).TotalSeconds);
    }
    return best;
}

double Microseconds(Action call) => Math.Round(Best(() =>
{
    for (var k = 0; k < Calls; k++) call();
}) / Calls * 1e6, 3);

double Recorded(Action call)
{
    using var on = torch.enable_grad();
    return Microseconds(call);
}

// As mul_us, but a scope disposes every 100 results.
double InScope(Action call) => Math.Round(Best(() =>
{
    for (var k = 0; k < Calls / 100; k++)
    {
        using var scope = torch.NewDisposeScope();
        for (var j = 0; j < 100; j++) call();
    }
}) / Calls * 1e6, 3);

double Product(torch.ScalarType type)
{
    using var x = torch.randn([size, size]).to(type, disposeAfter: true);
    using var y = torch.randn([size, size]).to(type, disposeAfter: true);
    return Math.Round(2e-9 * size * size * size / Best(() => x.mm(y).Dispose()), 1);
}
