// Typed exceptions: each names the operator, the arguments' shapes and the cause.

namespace PeftAlign.Torch;

/// <summary>An operator refused its arguments. <see cref="Operator"/> and <see cref="Arguments"/> say which and with what.</summary>
public class TorchException : Exception
{
    /// <summary>Makes the exception from the operator's name, a description of its arguments and the cause.</summary>
    public TorchException(string operatorName, string arguments, string cause)
        : base(arguments.Length == 0 ? $"{operatorName}: {cause}" : $"{operatorName}({arguments}): {cause}")
    {
        Operator = operatorName;
        Arguments = arguments;
        Cause = cause;
    }

    /// <summary>For instance "aten::mm".</summary>
    public string Operator { get; }

    /// <summary>For instance "float32 cpu [2, 3], float32 cpu [4, 5]".</summary>
    public string Arguments { get; }

    /// <summary>libtorch's own words, without its backtrace.</summary>
    public string Cause { get; }
}

/// <summary>This libtorch has no such operator.</summary>
public sealed class UnknownOperatorException(string operatorName, string arguments, string cause) : TorchException(operatorName, arguments, cause);

/// <summary>An argument's kind does not fit the operator's schema.</summary>
public sealed class TorchArgumentException(string operatorName, string arguments, string cause) : TorchException(operatorName, arguments, cause);

/// <summary>An index lies outside a dimension.</summary>
public sealed class TorchIndexException(string operatorName, string arguments, string cause) : TorchException(operatorName, arguments, cause);

/// <summary>There is no kernel for this device or dtype.</summary>
public sealed class TorchNotImplementedException(string operatorName, string arguments, string cause) : TorchException(operatorName, arguments, cause);

/// <summary>Memory ran out, also after a collection and a second try.</summary>
public sealed class TorchOutOfMemoryException(string operatorName, string arguments, string cause) : TorchException(operatorName, arguments, cause)
{
    /// <summary>Whether it was a GPU's.</summary>
    public bool IsOnGpu => Cause.Contains("CUDA", StringComparison.Ordinal) || Cause.Contains("STATUS_ALLOC_FAILED", StringComparison.Ordinal);
}

/// <summary>A tensor was used after it was disposed (by Dispose or by the end of its dispose scope).</summary>
public sealed class DisposedTensorException(string operatorName, string arguments, string cause) : TorchException(operatorName, arguments, cause);

/// <summary>A variable of the environment asks for what this processor does not have, or a limit of the process is too low for libtorch; the
/// message names the variable or the limit, its value and what it may be.</summary>
public sealed class TorchSettingException(string message) : Exception(message);

/// <summary>libtorch, or our library over it, is not there or cannot be opened; the message names the remedy.</summary>
public sealed class TorchUnavailableException(string message, Exception? inner = null) : Exception(message, inner);
