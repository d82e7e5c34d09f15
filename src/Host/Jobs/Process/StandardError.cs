// Sends this process's stderr to a file, below .NET: what libtorch or the C library says before it ends the process
// lands in the log of the running job, whether or not anybody reads our pipe.

using System.Runtime.InteropServices;
using PeftAlign.Host.CommandLine;

namespace PeftAlign.Host.Jobs;

internal static partial class StandardError
{
    private const int WriteAppendCreate = 0x1 | 0x400 | 0x40; // O_WRONLY | O_APPEND | O_CREAT on Linux
    private const int OwnerWritesAllRead = 0x1A4; // 0644

    /// <summary>Appends to the file from now on; what is printed to Console.Out goes there as well.</summary>
    /// <exception cref="IOException">It cannot be opened.</exception>
    internal static void Append(string file)
    {
        Console.Error.Flush();
        var descriptor = open(file, WriteAppendCreate, OwnerWritesAllRead);
        if (descriptor < 0) throw new IOException($"{file} cannot be written: {Marshal.GetLastPInvokeErrorMessage()}");
        var result = dup2(descriptor, 2);
        _ = close(descriptor);
        if (result < 0) throw new IOException($"{file} cannot take the error output: {Marshal.GetLastPInvokeErrorMessage()}");
        // .NET's own writer holds a copy of the old descriptor. A log that cannot be written (a full disk) is no reason to end the work.
        Console.SetError(TextWriter.Synchronized(new StreamWriter(new RemarkStream(Console.OpenStandardError())) { AutoFlush = true }));
        Console.SetOut(Console.Error);
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int dup2(int from, int to);

    [LibraryImport("libc")]
    private static partial int close(int descriptor);
}
