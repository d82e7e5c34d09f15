// From a native status to a typed exception.

using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using System.Text;

namespace PeftAlign.Torch.Native;

internal static class Errors
{
    private static readonly ConcurrentDictionary<long, Exception> Crossing = new();
    private const long MostAtOnce = 256;
    private static long lastNumber;

    /// <summary>Keeps an exception while the autograd engine carries its number to the caller of backward.</summary>
    internal static long Keep(Exception e)
    {
        var number = Interlocked.Increment(ref lastNumber);
        Crossing[number] = e;
        // Where several threads fail in one backward pass, the engine carries only one number; the other exceptions must not be kept for ever.
        Crossing.TryRemove(number - MostAtOnce, out _);
        return number;
    }

    internal static Exception Of(Status status, string operatorName, string arguments)
    {
        var cause = OneLine(Shim.LastError);
        if (status == Status.Managed && long.TryParse(cause, out var number) && Crossing.TryRemove(number, out var original))
            ExceptionDispatchInfo.Throw(original);
        return status switch
        {
            Status.OutOfMemory => new TorchOutOfMemoryException(operatorName, arguments, cause),
            Status.Index => new TorchIndexException(operatorName, arguments, cause),
            Status.NotImplemented => new TorchNotImplementedException(operatorName, arguments, cause),
            Status.Argument => new TorchArgumentException(operatorName, arguments, cause),
            Status.UnknownOperator => new UnknownOperatorException(operatorName, arguments, cause),
            _ => new TorchException(operatorName, arguments, cause),
        };
    }

    internal static Exception Disposed(string operatorName, int position) =>
        new DisposedTensorException(operatorName, "", $"argument {position} was disposed already; a tensor that outlives its dispose scope must leave it by MoveToOuterDisposeScope() or DetachFromDisposeScope()");

    /// <summary>Shapes, dtypes and devices of the arguments, shortened.</summary>
    internal static string Describe(ReadOnlySpan<Value> values)
    {
        var text = new StringBuilder();
        foreach (ref readonly var value in values)
        {
            if (text.Length > 0) text.Append(", ");
            text.Append(Describe(value));
            if (text.Length > 600) return text.Append(", ...").ToString();
        }
        return text.ToString();
    }

    private static string Describe(in Value value) => value.Tag switch
    {
        Tag.Tensor => ((Tensor)value.Reference!).Summary,
        Tag.Tensors => "[" + string.Join(", ", ((Tensor?[])value.Reference!).Take(8).Select(t => t?.Summary ?? "none")) + "]",
        Tag.Ints => "[" + string.Join(", ", ((long[])value.Reference!).Take(16)) + "]",
        Tag.Doubles => "[" + string.Join(", ", ((double[])value.Reference!).Take(16)) + "]",
        Tag.Int => value.Bits.ToString(),
        Tag.Bool => value.Bits != 0 ? "true" : "false",
        Tag.Double => value.Double.ToString("R"),
        Tag.None => "none",
        Tag.Default => "default",
        _ => value.Reference?.ToString() ?? value.Tag.ToString(),
    };

    private static string OneLine(string text)
    {
        var end = text.IndexOf("\nException raised from", StringComparison.Ordinal);
        return (end >= 0 ? text[..end] : text).ReplaceLineEndings(" ").Trim();
    }
}
