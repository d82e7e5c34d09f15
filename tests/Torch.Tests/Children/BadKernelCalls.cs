// Right calls of the kernels of native/ with one argument made wrong, each in every way: they may work or be refused, and must not end the
// process. Each call is printed before it is made, so that the output of a process that died ends with the call that killed it.

using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests.Children;

internal static class BadKernelCalls
{
    private const long Many = 70_000; // entries of a merge, which several threads share

    internal static int Run()
    {
        var (worked, refused) = (0, 0);
        foreach (var (name, arguments) in Calls())
        {
            using (torch.NewDisposeScope()) new TensorOperator("peftalign::" + name).Call([.. arguments()]);
            for (var place = 0; place < arguments().Length; place++)
            {
                var count = Wrong(arguments()[place]).Count();
                for (var way = 0; way < count; way++)
                {
                    using var scope = torch.NewDisposeScope();
                    var all = arguments(); // anew: some are changed by the call
                    all[place] = Wrong(all[place]).ElementAt(way);
                    Console.WriteLine($"{name}: argument {place} as {Say(all[place])}");
                    Console.Out.Flush();
                    try
                    {
                        new TensorOperator("peftalign::" + name).Call(all);
                        worked++;
                    }
                    catch (TorchException)
                    {
                        refused++;
                    }
                }
            }
        }
        Console.WriteLine($"worked={worked} refused={refused}");
        return 0;
    }

    private static Tensor Rows(params long[] shape) => torch.randn(shape, dtype: torch.float32);

    private static Tensor Places(long[] shape, params int[] values) => torch.tensor(values, shape);

    private static IEnumerable<(string Name, Func<object?[]> Arguments)> Calls()
    {
        yield return ("products", () => [new[] { Rows(3, 4), Rows(3, 2) }, new[] { Rows(4, 5), Rows(2, 5) }, new[] { 1.0, 0.5 }, Rows(5), null]);
        yield return ("add_products_", () => [Rows(3, 5), new[] { Rows(3, 4) }, new[] { Rows(4, 5) }, new[] { 1.0 }]);
        yield return ("linear", () => [Rows(3, 4), Rows(5, 4), Rows(5)]);
        yield return ("few_rows_linear", () => [Rows(3, 4), Rows(5, 4), Rows(5)]);
        if (Products.Kernels != "libtorch")
        {
            yield return ("head_figures", () => [Rows(3, 4), Rows(7, 4), torch.tensor([1L, 6, 0]), true]);
            yield return ("logits_figures", () => [Rows(3, 7), torch.tensor([1L, 6, 0])]);
        }
        yield return ("target_log_probs", () => [Rows(3, 7), torch.tensor([1L, 6, 0]), true]);
        yield return ("rms_norm", () => [Rows(3, 4), Rows(4), 1e-5]);
        yield return ("residual_norm", () => [Rows(3, 4), Rows(3, 4), Rows(4), 1e-5]);
        yield return ("swiglu", () => [Rows(3, 4), Rows(3, 4)]);
        yield return ("tree_attention", () => [Rows(3, 2, 4), Rows(3, 1, 4), Rows(3, 1, 4), Rows(3, 1, 2), Rows(3, 1, 1), Spans(), new[] { 0L, 3 }, 0.5, torch.tensor([0L, 2])]);
        yield return ("tree_attention_backward", () => [Rows(3, 2, 4), Rows(3, 2, 4), Rows(3, 1, 4), Rows(3, 1, 4), Rows(3, 2, 4), Rows(3, 2), Rows(3, 1, 2), Rows(3, 1, 1), Spans(), new[] { 0L, 3 }, 0.5]);
        yield return ("decode_attention", () => [Rows(2, 2, 4), Rows(2, 1, 4), Rows(2, 1, 4), Rows(5, 1, 4), Rows(5, 1, 4), Places([2, 2], 0, 3, 1, 4), torch.tensor([2L, 2]), Rows(2, 1, 2), Rows(2, 1, 1), 0.5, 2.0, 1]);
        yield return ("decode_blocks", () => [Rows(2, 4), Block(), new[] { Rows(5, 1, 4), Rows(5, 1, 4) }, Places([2, 2], 0, 3, 1, 4), torch.tensor([2L, 2]), new[] { Rows(2, 1, 2) }, new[] { Rows(2, 1, 1) }, new[] { 2L, 1, 4, 6 }, new[] { 0.5, 0, 1e-5, 0 }, new[] { 0L }, new[] { 0L }]);
        yield return ("merge_gram", () => [new[] { Rows(Many), Rows(Many) }, new[] { Rows(Many) }]);
        yield return ("merge_combine", () => [new[] { Rows(Many), Rows(Many) }, new[] { 0.5, 0.5 }, torch.float32]);
        yield return ("merge_task_vectors", () => [Rows(Many), new[] { Rows(Many), Rows(Many) }, new[] { torch.full([(Many + 63) / 64], 5, torch.int64), torch.empty([0], torch.int64) }, new[] { 0.5, 0.5 }, new[] { 1.0, 1 }, true, true, 1.0, torch.float32]);
        yield return ("merge_window", () => [Rows(70), Rows(70), 3, 40, false]);
        yield return ("merge_bernoulli", () => [Rows(70), Rows(70), 0.5, 3, 4]);
        yield return ("merge_pack", () => [Rows(70).gt(0), Rows(70), Rows(70)]);
        yield return ("merge_unpack", () => [Mask(), 64, 6]);
    }

    private static Tensor Spans() => Places([3, 4], 0, 1, 0, 0, 0, 1, 1, 2, 0, 1, 2, 3);

    private static Tensor Mask() => torch.tensor([-1L, 5]);

    // In the order of DecodeBlocks.Slots.
    private static Tensor?[] Block() =>
        [Rows(4), Rows(8, 4), Rows(8), Rows(4, 4), null, Rows(4, 4), null, Rows(4), Rows(4), Rows(4, 8), null, Rows(4), Rows(6, 4), null, Rows(6, 4), null, Rows(4, 6), null, Rows(4), Rows(4)];

    private static IEnumerable<object?> Wrong(object? right) => right switch
    {
        Tensor tensor => Wrong(tensor),
        Tensor?[] list => [null, Array.Empty<Tensor>(), list[1..], (Tensor?[])[.. list, list[0]], .. Wrong(list[0]!).OfType<Tensor>().Select(wrong => (Tensor?[])[wrong, .. list[1..]]), .. Enumerable.Range(0, list.Length).Select(k => (Tensor?[])[.. list[..k], null, .. list[(k + 1)..]])],
        long[] numbers => [null, Array.Empty<long>(), numbers[1..], (long[])[.. numbers, 1], .. from k in Enumerable.Range(0, numbers.Length) from value in (long[])[0, -1, 1, 7, 1 << 20, long.MaxValue, long.MinValue] select (long[])[.. numbers[..k], value, .. numbers[(k + 1)..]]],
        double[] numbers => [null, Array.Empty<double>(), numbers[1..], (double[])[.. numbers, 1], (double[])[double.NaN, .. numbers[1..]]],
        int => [null, 0, -1, -64, 1, 65, 128, 1 << 20, long.MaxValue, long.MinValue, long.MaxValue - 63],
        double => [null, 0.0, -1.0, double.NaN, double.PositiveInfinity, 1e300],
        torch.ScalarType => [null, torch.bfloat16, torch.int64, torch.@bool, 99L],
        _ => [null, Rows(2)],
    };

    private static IEnumerable<object?> Wrong(Tensor right)
    {
        yield return null;
        yield return Rows();
        yield return torch.empty([0]);
        foreach (var type in (torch.ScalarType[])[torch.float32, torch.bfloat16, torch.float64, torch.int32, torch.int64, torch.@bool]) yield return right.to(type);
        yield return right.unsqueeze(0);
        yield return right.flatten();
        if (right.dim() > 1) yield return right.transpose(0, -1);
        for (var dim = 0; dim < right.dim(); dim++)
        {
            yield return right.narrow(dim, 0, right.size(dim) - 1);
            yield return right.narrow(dim, 0, 0);
            yield return torch.cat([right, right], dim);
            yield return right.narrow(dim, 0, 1).expand(right.shape);
        }
        foreach (var more in (long[])[1, -1, 1000, -1000, int.MaxValue, int.MinValue]) yield return right.to(torch.int64).add(more).to(right.dtype);
    }

    private static string Say(object? argument) => argument switch
    {
        null => "none",
        System.Collections.IEnumerable list and not string => "[" + string.Join(", ", list.Cast<object?>().Select(Say)) + "]",
        Tensor { dtype: torch.ScalarType.Int32 or torch.ScalarType.Int64 } numbers => $"{numbers} {string.Join(' ', numbers.to(torch.int64).contiguous().data<long>().ToArray())}",
        _ => $"{argument}",
    };
}
