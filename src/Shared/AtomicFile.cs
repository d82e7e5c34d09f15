// Files that appear whole or not at all: written beside their place, flushed to the disk, then renamed. Compiled into each assembly
// that writes files (Models, Plugins, Training, and through Plugins the host), since no assembly that does I/O stands below them all.

using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace PeftAlign;

internal static partial class AtomicFile
{
    private const int ReadOnly = 0, CloseOnExec = 0x80000; // of open(2) on Linux, on every processor that .NET knows
    private const int OtherDevice = 18; // EXDEV
    private const uint Exchange = 2; // RENAME_EXCHANGE of rename(2)
    private const int WorkingDirectory = -100, StatxSize = 256, ModeAt = 28, Pipe = 1, CharacterDevice = 2, BlockDevice = 6, Socket = 12; // of statx(2)

    /// <summary>Writes a file through <paramref name="body"/>; after a failure neither it nor the temporary file is there. What a pipe or a device such as /dev/null is
    /// given goes into it: a renamed file would take its place, for everybody on the machine.</summary>
    /// <param name="path">The file.</param>
    /// <param name="body">Writes its content.</param>
    /// <param name="mode">Who may do what with the file, less what the process's umask takes away; null = what a new file has.</param>
    /// <exception cref="IOException">The path leads to a disk or a socket, or cannot be written.</exception>
    public static void Write(string path, Action<Stream> body, UnixFileMode? mode = null)
    {
        switch (Kind(path))
        {
            case Pipe or CharacterDevice:
                using (var open = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) body(open);
                return;
            case BlockDevice or Socket:
                throw new IOException($"{path} is a disk or a socket, not a file");
        }
        // Two processes, or two threads of one, may write one file at once: the last to finish wins, and neither touches the other's part.
        var part = $"{path}.{Environment.ProcessId}-{Environment.CurrentManagedThreadId}.part";
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, Share = FileShare.None, BufferSize = 1 << 16 };
        if (mode is not null && !OperatingSystem.IsWindows()) options.UnixCreateMode = mode;
        try
        {
            using (var stream = new FileStream(part, options))
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

    // What a path leads to, by the kernel's number; 0 where nothing is there.
    private static int Kind(string path)
    {
        try
        {
            Span<byte> answer = stackalloc byte[StatxSize];
            return Statx(WorkingDirectory, path, 0, 1, ref MemoryMarshal.GetReference(answer)) == 0 ? BinaryPrimitives.ReadUInt16LittleEndian(answer[ModeAt..]) >> 12 : 0;
        }
        catch (EntryPointNotFoundException)
        {
            return KindByXstat(path);
        }
    }

    /// <summary>The same by what glibc had before statx (2.28), where .NET still runs: struct stat's layout is each processor's own.</summary>
    internal static int KindByXstat(string path)
    {
        var (version, mode) = RuntimeInformation.ProcessArchitecture switch { Architecture.X64 => (1, 24), Architecture.Arm64 => (0, 16), _ => (0, 0) };
        Span<byte> answer = stackalloc byte[StatxSize]; // more than a struct stat takes
        return mode > 0 && Xstat(version, path, ref MemoryMarshal.GetReference(answer)) == 0 ? BinaryPrimitives.ReadUInt16LittleEndian(answer[mode..]) >> 12 : 0;
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
    public static void Write(string path, string text, UnixFileMode? mode = null) => Write(path, stream => stream.Write(System.Text.Encoding.UTF8.GetBytes(text)), mode);

    /// <summary>Copies a file into a folder that has no name yet. Of a full disk File.Copy does not say which file met it.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Copy(string from, string to)
    {
        try
        {
            File.Copy(from, to, overwrite: true);
        }
        catch (IOException e) when (!e.Message.Contains(to, StringComparison.Ordinal) && !e.Message.Contains(from, StringComparison.Ordinal))
        {
            throw new IOException($"{e.Message.TrimEnd('.')} : '{to}'", e.HResult);
        }
    }

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

    /// <summary>Gives a folder another name beside it. False where the file system renames no folder of a lower layer, as a container's does not with those of
    /// its image (overlayfs without redirect_dir).</summary>
    public static bool TryRename(string folder, string name)
    {
        try
        {
            Directory.Move(folder, name);
            return true;
        }
        catch (IOException e) when (e.HResult == OtherDevice)
        {
            return false;
        }
    }

    /// <summary>Gives two files or folders of one file system each other's names in one step, so that neither name is ever without its own. False
    /// where the file system or the C library cannot, and nothing has changed.</summary>
    public static bool TryExchange(string one, string other)
    {
        try
        {
            return RenameAt2(WorkingDirectory, one, WorkingDirectory, other, Exchange) == 0;
        }
        catch (EntryPointNotFoundException)
        {
            return false; // glibc before 2.28
        }
    }

    // Of a folder its list of names; .NET itself opens none.
    private static void Flush(string path)
    {
        using var handle = new SafeFileHandle(Open(path, ReadOnly | CloseOnExec), ownsHandle: true);
        if (!handle.IsInvalid) RandomAccess.FlushToDisk(handle); // a link may lead nowhere
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "renameat2", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int RenameAt2(int folder, string from, int otherFolder, string to, uint flags);

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Statx(int folder, string path, int flags, uint mask, ref byte answer);

    [LibraryImport("libc", EntryPoint = "__xstat", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Xstat(int version, string path, ref byte answer);
}
