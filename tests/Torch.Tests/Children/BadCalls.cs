// Random calls with right and wrong arguments over all operators of the table. Each call is printed before it is made,
// so that the output of a process that died ends with the call that killed it.

using System.Text.RegularExpressions;
using PeftAlign.Torch.Extras;
using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Tests.Children;

internal sealed partial class BadCalls
{
    // Extremes only where they are no sizes: a test must not fill the machine's memory.
    private static readonly HashSet<string> Places = ["dim", "dim0", "dim1", "dim2", "index", "start_dim", "end_dim", "source", "destination", "diagonal", "offset"];
    private static readonly long[] Extremes = [long.MaxValue, long.MinValue, int.MaxValue, int.MinValue];
    private static readonly string[] Texts = ["", "none", "tanh", "constant", "reflect", "mean", "ij,jk->ik", "ij,j", "ü"];
    private readonly CounterStream random;
    private readonly List<Tensor> pool = [];

    private BadCalls(ulong seed)
    {
        random = new CounterStream(seed, "bad calls");
        long[][] shapes = [[], [0], [1], [3], [2, 3], [3, 2], [3, 3], [2, 3, 4], [0, 3], [1, 1, 1, 1]];
        torch.ScalarType[] types = [torch.float32, torch.float64, torch.int64, torch.@bool, torch.bfloat16, torch.uint8, torch.float16, torch.int32, torch.ScalarType.ComplexFloat32];
        foreach (var shape in shapes)
            foreach (var type in types)
                pool.Add((Near.Random(shape, dtype: torch.float32) * 3).to(type));
        pool.Add(torch.ones([3, 2]).t());
        pool.Add(torch.ones([2, 3], requires_grad: true));
        pool.Add(torch.ones(1).expand(4, 5));
        var gone = torch.ones(2);
        gone.Dispose();
        pool.Add(gone);
    }

    internal static int Run(ulong seed, int count)
    {
        using var scope = torch.NewDisposeScope();
        var calls = new BadCalls(seed);
        var (worked, refused) = (0, 0);
        for (var k = 0; k < count; k++)
        {
            using var inner = torch.NewDisposeScope();
            if (calls.Make(k)) worked++;
            else refused++;
        }
        Console.WriteLine($"worked={worked} refused={refused}");
        return 0;
    }

    private bool Make(int number)
    {
        var op = Aten.All[(int)random.NextInt64(Aten.All.Count)];
        var slots = Slots().Matches(op.Schema[(op.Schema.IndexOf('(') + 1)..op.Schema.LastIndexOf(" -> ", StringComparison.Ordinal)]);
        var given = Chance(0.1) ? (int)random.NextInt64(slots.Count + 2) : slots.Count;
        var arguments = Enumerable.Range(0, given).Select(k => k < slots.Count && !Chance(0.12) ? Right(slots[k].Groups["type"].Value, slots[k].Groups["name"].Value) : Wrong()).ToArray();
        Console.WriteLine($"{number}: {op.Name}({string.Join("; ", arguments.Select(Say))})");
        Console.Out.Flush();
        var (name, overload) = op.Name.Split('.') is [var n, var o] ? (n, o) : (op.Name, "");
        try
        {
            new TensorOperator(name, overload).Call(arguments);
            return true;
        }
        catch (TorchException e)
        {
            if (!e.Message.Contains(name, StringComparison.Ordinal) || e.Message.Contains('\n')) throw new InvalidOperationException($"a message without the operator, or of several lines: {e.Message}", e);
            return false;
        }
    }

    private object? Right(string type, string name)
    {
        if (type.EndsWith('?'))
        {
            if (Chance(0.4)) return null;
            type = type[..^1];
        }
        if (type.StartsWith("Tensor", StringComparison.Ordinal) && type.Contains('[')) return Tensors();
        if (type.StartsWith("Tensor", StringComparison.Ordinal)) return Any(pool);
        if (type.StartsWith("bool[", StringComparison.Ordinal)) return new[] { Chance(0.5), Chance(0.5) };
        if (type.StartsWith("float[", StringComparison.Ordinal)) return new[] { 1.5, -0.5 };
        if (type.Contains('[')) return Integers();
        return type switch
        {
            "int" or "SymInt" => Places.Contains(name) && Chance(0.1) ? Any(Extremes) : Small(),
            "float" => Chance(0.1) ? double.NaN : Small() * 0.5,
            "bool" => Chance(0.5),
            "str" => Any(Texts),
            "Scalar" => Chance(0.5) ? Small() : Small() * 0.25,
            "Device" => Chance(0.8) ? torch.CPU : torch.CUDA,
            "Generator" => torch.random.default_generator,
            "ScalarType" => Chance(0.9) ? random.NextInt64(16) : random.NextInt64(300) - 100,
            _ => Small(),
        };
    }

    private object? Wrong() => random.NextInt64(10) switch
    {
        0 => null,
        1 => Any(pool),
        2 => Small(),
        3 => 0.5 * Small(),
        4 => Chance(0.5),
        5 => Any(Texts),
        6 => Integers(),
        7 => Tensors(),
        8 => new[] { 0.5, double.NegativeInfinity },
        _ => torch.CPU,
    };

    private long Small() => random.NextInt64(10) - 3;

    private long[] Integers() => [.. Enumerable.Range(0, (int)random.NextInt64(5)).Select(_ => Small())];

    private Tensor?[] Tensors() => [.. Enumerable.Range(0, (int)random.NextInt64(4)).Select(_ => Chance(0.1) ? null : Any(pool))];

    private bool Chance(double p) => random.NextDouble() < p;

    private T Any<T>(IReadOnlyList<T> list) => list[(int)random.NextInt64(list.Count)];

    private static string Say(object? argument) => argument switch
    {
        null => "none",
        System.Collections.IEnumerable list and not string => "[" + string.Join(", ", list.Cast<object?>().Select(Say)) + "]",
        _ => $"{argument}",
    };

    [GeneratedRegex(@"(?<type>[A-Za-z]+(\([a-z!| ->*]+\))?\??(\[\d*\])?\??) (?<name>\w+)(=[^,)]*(\[[^\]]*\])?)?")]
    private static partial Regex Slots();
}
