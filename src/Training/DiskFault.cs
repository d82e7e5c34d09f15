// A file that cannot be written: the disk is full, a quota is met, a folder was made read-only. Not the user's options' fault.

namespace PeftAlign.Training;

internal static class DiskFault
{
    /// <summary>The error that says which file, why, and what is left.</summary>
    internal static IOException Of(string path, Exception cause) =>
        new($"{path} cannot be written: {cause.Message.TrimEnd('.')}. Make room on the disk; the last checkpoint is intact.", cause);
}
