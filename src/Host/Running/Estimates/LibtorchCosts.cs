// What of a process's memory depends on the libtorch, measured with Debian's 1.13.1 and with 2.13. Debian's brings OpenCV and the libraries
// of that (GDAL, Qt, librsvg), of whose files 45 MB are read while they are linked; later ones have no OpenCV.

namespace PeftAlign.Host.Running.Estimates;

/// <param name="Process">Bytes of a process with runtime and libtorch in which a model is trained or asked, measured without the model.</param>
/// <param name="WeightsProcess">The same where weights are only made or merged, by kernels that need no more code and no pools.</param>
/// <param name="AtWorkWide">A block at work under an adapter on all of its matrices, in float32 and widths of the model.</param>
/// <param name="AtWorkAgain">A block that is computed again, with what freed pieces leave between those in use (64 to 96 measured).</param>
/// <param name="TurnedCopies">Of an output under DoRA, in float32.</param>
/// <param name="ComposesAttention">Whether attention on a GPU is composed of operators that keep its probabilities.</param>
internal sealed record LibtorchCosts(long Process, long WeightsProcess, double AtWorkWide, double AtWorkAgain, double TurnedCopies, bool ComposesAttention)
{
    private static readonly LibtorchCosts First = new(260_000_000, 220_000_000, 22, 96, 4.5, true);
    private static readonly LibtorchCosts Second = new(215_000_000, 175_000_000, 30, 88, 3.9, false);
    private static readonly Lazy<LibtorchCosts> Own = new(() => IsFirst() ? First : Second);

    /// <summary>Of the libtorch at hand.</summary>
    internal static LibtorchCosts Here => Own.Value;

    // Planning opens no libtorch; where none is built, by what takes more.
    private static bool IsFirst() => Doctor.BuildRecord.Here?.Version?.StartsWith("1.", StringComparison.Ordinal) ?? true;
}
