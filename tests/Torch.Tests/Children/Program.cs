// What tests run in a process of its own: to survive a crash, to measure memory, to see what opening libtorch does.

using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests.Children;

internal static class Program
{
    private static int Main(string[] args) => args switch
    {
        ["bad-calls", var seed, var count] => BadCalls.Run(ulong.Parse(seed), int.Parse(count)),
        ["memory", "scopes"] => MemoryUse.WithScopes(),
        ["memory", "collector"] => MemoryUse.WithCollector(),
        ["engine"] => Engine(),
        ["types"] => Types(),
        _ => throw new ArgumentException($"no such child: {string.Join(' ', args)}"),
    };

    // Kernels of the BLAS, threads of libtorch, processors that this process may use.
    private static int Engine()
    {
        LibTorch.Open();
        Console.WriteLine($"kernels={LibTorch.BlasKernels} threads={torch.get_num_threads()} processors={Environment.ProcessorCount}");
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
