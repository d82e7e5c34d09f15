// The message of a failed write: a full disk or quota is not the work's fault, so the message says what to do.

namespace PeftAlign.Host.Running;

internal static class DiskMessage
{
    private const int TooLarge = 27, NoSpace = 28, OverQuota = 122; // errno on Linux

    /// <summary>The error's message on one line; with advice where there is no room.</summary>
    internal static string Of(Exception error) => IsFull(error) && !error.Message.Contains("Make room", StringComparison.Ordinal)
        ? error.Message.ReplaceLineEndings(" ").TrimEnd('.', ' ') + ". Make room on the disk and run the same command again."
        : error.Message.ReplaceLineEndings(" ");

    /// <summary>Whether there was no room.</summary>
    internal static bool IsFull(Exception? error) => error is IOException { HResult: TooLarge or NoSpace or OverQuota } || (error?.InnerException is { } inner && IsFull(inner));
}
