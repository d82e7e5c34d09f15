// Any operator of libtorch, or of a library that registered some, by its name and from C#.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch.Extras;

/// <summary>An operator by name, for what has no method of its own.</summary>
/// <param name="name">For instance "aten::mm".</param>
/// <param name="overload">For instance "Tensor"; empty where there is none.</param>
public sealed class TensorOperator(string name, string overload = "")
{
    private readonly Operator op = new(name, overload);

    /// <summary>The operator's schema.</summary>
    /// <exception cref="UnknownOperatorException">This libtorch has no such operator.</exception>
    public string Schema => op.Schema;

    /// <summary>
    /// Calls the operator. Arguments in the schema's order: Tensor, Tensor[], long, int, double, bool, string, long[],
    /// double[], bool[], ScalarType, Device, Generator, Scalar or null (None); those left out take their defaults.
    /// Returns Tensor, Tensor[], long, double, bool, long[] or null for each result.
    /// </summary>
    /// <exception cref="TorchException">libtorch refused; the message names operator, arguments and cause.</exception>
    public object?[] Call(params object?[] arguments) => op.Any(arguments.Select(ValueOf).ToArray());

    private Value ValueOf(object? argument) => argument switch
    {
        null => Value.None,
        Tensor tensor => tensor,
        IEnumerable<Tensor?> tensors => tensors.ToArray(),
        int number => number,
        long number => number,
        float number => (double)number,
        double number => number,
        bool value => value,
        string text => text,
        long[] numbers => numbers,
        int[] numbers => numbers.Select(n => (long)n).ToArray(),
        double[] numbers => numbers,
        bool[] values => values,
        torch.ScalarType type => type,
        torch.Device device => device,
        torch.Generator generator => generator,
        Scalar scalar => scalar.Value,
        _ => throw new TorchArgumentException(op.Name, "", $"an argument of type {argument.GetType().Name} cannot be passed"),
    };
}
