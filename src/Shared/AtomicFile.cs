// Files that appear whole or not at all: written beside their place, flushed to the disk, then renamed. Compiled into each assembly
// that writes files (Models, Plugins, Training, and through Plugins the host), since no assembly that does I/O stands below them all.

using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace PeftAlign;

internal static partial class AtomicFile
{
    private const int ReadOnly = 0, CloseOnExec = 0x80000; // of open(2) on Linux, on every processor that .NET knows

    /// <summary>Writes a file through <paramref name="body"/>; after a failure neither it nor the temporary file is there.</summary>
    public static void Write(string path, Action<Stream> body)
    {
        // Two processes, or two threads of one, may write one file at once: the last to finish wins, and neither touches the other's part.
        var part = $"{path}.{Environment.ProcessId}-{Environment.CurrentManagedThreadId}.part";
        try
        {
            using (var stream = new FileStream(part, FileMode.Create, FileAccess.Write, FileShare.None, 1 << 16))
            {
                body(stream);
                stream.Flush(flushToDisk: true); // the name must not outlive the content
            }
            File.Move(part, path, overwrite: true);
        }
        catch
        {
            Delete(part);
            throw;
        }
    }

    private static void Delete(string part)
    {
        try
        {
            File.Delete(part);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // what ended the writing says more, and is on its way
        }
    }

    /// <summary>Writes a text as UTF-8 without a mark.</summary>
    public static void Write(string path, string text) => Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)));

    /// <summary>Gives a folder its name, in which nothing may lie, once all that is in it is on the disk: its name must not outlive the
    /// content, whoever wrote that.</summary>
    /// <param name="part">The folder under its temporary name.</param>
    /// <param name="folder">Its name; beside the temporary one.</param>
    public static void MoveFolder(string part, string folder)
    {
        foreach (var entry in Directory.EnumerateFileSystemEntries(part, "*", SearchOption.AllDirectories)) Flush(entry);
        Flush(part);
        Directory.Move(part, folder);
        Flush(Path.GetDirectoryName(Path.GetFullPath(folder))!);
    }

    // Of a folder its list of names; .NET itself opens none.
    private static void Flush(string path)
    {
        using var handle = new SafeFileHandle(Open(path, ReadOnly | CloseOnExec), ownsHandle: true);
        if (!handle.IsInvalid) RandomAccess.FlushToDisk(handle); // a link may lead nowhere
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);
}
