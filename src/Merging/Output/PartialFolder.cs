// A folder under a temporary name beside its place. While it is filled its process holds a kernel lock on it, which goes with the
// process however that ends; so what a killed one left is told from what another is at work on, and deleted.

using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace PeftAlign.Merging;

internal sealed partial class PartialFolder : IDisposable
{
    private const int CloseOnExec = 0x80000, Exclusive = 2, AtOnce = 4; // O_CLOEXEC, LOCK_EX, LOCK_NB on Linux
    private const int Interrupted = 4, WouldBlock = 11; // EINTR, EWOULDBLOCK

    private readonly SafeFileHandle? held;

    private PartialFolder(string path, SafeFileHandle? held) => (Path, this.held) = (path, held);

    /// <summary>Where it is filled.</summary>
    internal string Path { get; }

    /// <summary>Makes it, empty, and holds it.</summary>
    /// <param name="target">Its place, a full path without a separator at its end.</param>
    /// <exception cref="IOException">It cannot be made.</exception>
    internal static PartialFolder Make(string target)
    {
        var path = string.Create(CultureInfo.InvariantCulture, $"{target}.partial-{Environment.ProcessId}");
        while (true)
        {
            Directory.CreateDirectory(path);
            var held = Hold(path, wait: true, out _);
            // Between the two calls another process may have taken it for abandoned.
            if (Directory.Exists(path))
            {
                if (!Directory.EnumerateFileSystemEntries(path).Any()) return new PartialFolder(path, held);
                held?.Dispose();
                throw new IOException($"'{path}' is there, and not empty, and cannot be deleted.");
            }
            held?.Dispose();
        }
    }

    /// <summary>Deletes what processes that are gone left beside a place; what cannot be deleted stays.</summary>
    /// <param name="target">The place, a full path without a separator at its end.</param>
    internal static void DeleteAbandoned(string target)
    {
        var prefix = System.IO.Path.GetFileName(target) + ".partial-";
        try
        {
            foreach (var folder in new DirectoryInfo(System.IO.Path.GetDirectoryName(target)!).EnumerateDirectories().Where(f => f.LinkTarget is null && IsNumbered(f.Name, prefix)).ToList())
            {
                using var held = Hold(folder.FullName, wait: false, out var isTaken);
                // Without a lock, on a file system that has none, only what has this process's number is known to be nobody's.
                if (held is not null || (!isTaken && folder.Name == $"{prefix}{Environment.ProcessId}")) folder.Delete(recursive: true);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // what is to be written does not need it
        }
    }

    /// <summary>Lets it go, under whatever name it has by now.</summary>
    public void Dispose() => held?.Dispose();

    /// <summary>Locks a folder; null where another process has it, or the file system knows no locks on folders.</summary>
    internal static SafeFileHandle? Hold(string folder, bool wait, out bool isTaken)
    {
        isTaken = false;
        var handle = open(folder, CloseOnExec);
        if (handle.IsInvalid) return null;
        int error;
        do
        {
            if (flock(handle, wait ? Exclusive : Exclusive | AtOnce) == 0) return handle;
            error = Marshal.GetLastPInvokeError();
        }
        while (error == Interrupted);
        isTaken = error == WouldBlock;
        handle.Dispose();
        return null;
    }

    private static bool IsNumbered(string name, string prefix) => name.Length > prefix.Length && name.StartsWith(prefix, StringComparison.Ordinal) && name.AsSpan(prefix.Length).IndexOfAnyExceptInRange('0', '9') < 0;

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int flock(SafeFileHandle descriptor, int operation);
}
