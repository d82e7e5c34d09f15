// What tests run in a process of its own: to survive a crash, to measure memory, to see what opening libtorch does.

using System.Runtime.InteropServices;
using System.Security.Cryptography;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests.Children;

internal static class Program
{
    private static int Main(string[] args) => args switch
    {
        ["bad-calls", var seed, var count] => BadCalls.Run(ulong.Parse(seed), int.Parse(count)),
        ["bad-kernel-calls"] => BadKernelCalls.Run(),
        ["memory", "scopes"] => MemoryUse.WithScopes(),
        ["memory", "collector"] => MemoryUse.WithCollector(),
        ["memory", "dropped"] => MemoryUse.Dropped(slowly: false),
        ["memory", "dropped-slowly"] => MemoryUse.Dropped(slowly: true),
        ["memory", "elements"] => MemoryUse.Elements(),
        ["no-room", "threads"] => NoRoom.ForThreads(),
        ["no-room", "merge-threads"] => NoRoom.ForThreadsOfMerges(),
        ["no-room", "tasks"] => NoRoom.ForTasks(),
        ["engine"] => Engine(),
        ["products"] => SomeProducts(),
        ["types"] => Types(),
        _ => throw new ArgumentException($"no such child: {string.Join(' ', args)}"),
    };

    // Kernels of the BLAS, threads of libtorch, processors that this process may use.
    private static int Engine()
    {
        LibTorch.Open();
        Console.WriteLine($"kernels={LibTorch.BlasKernels} threads={torch.get_num_threads()} processors={Environment.ProcessorCount} timeout={BlasTimeout()}");
        return 0;
    }

    private delegate int Count();

    // For how many cycles OpenBLAS's idle threads look for work, as a power of two; 0 = no OpenBLAS.
    private static int BlasTimeout() => NativeLibrary.TryLoad("libopenblas.so.0", out var blas) && NativeLibrary.TryGetExport(blas, "openblas_thread_timeout", out var ask)
        ? Marshal.GetDelegateForFunctionPointer<Count>(ask)() : 0;

    // What computes products, a digest of the bits of some and of a head's figures, where there are such kernels, and the sum of the products' magnitudes.
    private static int SomeProducts()
    {
        using var scope = torch.NewDisposeScope();
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var sum = 0.0;
        foreach (var (m, k, n) in ((long, long, long)[])[(100, 300, 77), (3, 9, 5), (70, 1376, 512)])
        {
            var draws = new CounterStream(5, "products", $"{m} {k} {n}");
            var y = Products.Sum([(draws.Normal([m, k], dtype: torch.float32), draws.Normal([n, k], dtype: torch.float32).t(), 0.3), (draws.Normal([m, 5], dtype: torch.float32), draws.Normal([5, n], dtype: torch.float32), 1.0 / 3)]);
            hash.AppendData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(y.data<float>().ToArray().AsSpan()));
            sum += y.to(torch.float64).abs().sum().item<double>(); // in float32 the sum itself would round by more than the products do
            if (Products.KernelsOf(torch.bfloat16) == "libtorch") continue;
            Tensor Narrow(long rows, long columns) => draws.Normal([rows, columns], dtype: torch.float32).to(torch.bfloat16);
            foreach (var narrow in (Tensor[])[Products.Sum([(Narrow(m, k), Narrow(n, k).t(), 0.3)], dtype: torch.float32), Products.Sum([(Narrow(m, k), Narrow(k, n), 0.7)]).to(torch.float32)])
                hash.AppendData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(narrow.data<float>().ToArray().AsSpan()));
        }
        var (hidden, head) = (new CounterStream(5, "hidden").Normal([50, 90], dtype: torch.float32), new CounterStream(5, "head").Normal([3001, 90], dtype: torch.float32));
        foreach (var dtype in (torch.ScalarType[])[torch.float32, torch.bfloat16])
            if (Fused.HasHead(hidden.to(dtype), head.to(dtype)) && Fused.HeadFigures(hidden.to(dtype), head.to(dtype), torch.arange(50), expect: true) is ({ } figures, { } expected))
                foreach (var part in (Tensor[])[figures, expected]) hash.AppendData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(part.contiguous().data<float>().ToArray().AsSpan()));
        Console.WriteLine($"kernels={Products.Kernels} bits={Convert.ToHexString(hash.GetHashAndReset())[..16]} sum={sum:F3}");
        return 0;
    }

    // Everything that needs no tensor, and then the first tensor.
    private static int Types()
    {
        var device = torch.device("cuda:1");
        var scope = torch.NewDisposeScope();
        object[] touched = [device, torch.CPU, torch.float32, torch.float32.ElementSize(), (Scalar)1.5, TensorIndex.Slice(1, 2), new CounterStream(1, "x").NextDouble(), new CounterStream(1, "x").Permutation(5), new TensorOperator("aten::mm"), typeof(Tensor), torch.nn.Identity(), torch.nn.Dropout(0.1), torch.nn.Reduction.Mean, scope];
        scope.Dispose();
        Console.WriteLine($"touched={touched.Length} open={LibTorch.IsOpen}");
        try
        {
            using var one = torch.ones(1);
            Console.WriteLine($"tensor={one}");
        }
        catch (TorchUnavailableException e)
        {
            Console.WriteLine($"unavailable={e.Message}");
        }
        return 0;
    }
}
