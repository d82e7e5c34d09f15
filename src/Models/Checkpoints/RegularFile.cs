// Files that hold what they hold: opened only after the kernel said that they are regular. Opening a named pipe would wait for a
// writer, a device has no end, and neither can be read again when a run goes on. Links are followed, since the hub's cache consists
// of them. Linux: statx(2), whose layout is the same on every processor.

using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace PeftAlign.Models.Checkpoints;

/// <summary>Opens files that a user named, and nothing else that a path may lead to.</summary>
public static partial class RegularFile
{
    private const int WorkingDirectory = -100, StatxSize = 256, ModeAt = 28, LengthAt = 40;
    private const uint Wanted = 0x201; // the kind and the length
    private const int NoEntry = 2, NotAllowed = 13, NotAFolder = 20;

    /// <summary>Bytes of the file that a path leads to.</summary>
    /// <param name="path">Relative to the working directory, or absolute; links are followed.</param>
    /// <exception cref="FileNotFoundException">There is nothing.</exception>
    /// <exception cref="IOException">It is no regular file, and the message says what it is ("it is a named pipe, ..."); or the kernel
    /// refused to look.</exception>
    public static long Length(string path)
    {
        Span<byte> answer = stackalloc byte[StatxSize];
        if (Statx(WorkingDirectory, path, 0, Wanted, ref MemoryMarshal.GetReference(answer)) != 0)
        {
            var error = Marshal.GetLastPInvokeError();
            throw error switch
            {
                NoEntry or NotAFolder => new FileNotFoundException($"there is no file {path}", path),
                NotAllowed => new UnauthorizedAccessException($"access to {path} is denied"),
                _ => new IOException(Marshal.GetPInvokeErrorMessage(error)),
            };
        }
        var kind = BinaryPrimitives.ReadUInt16LittleEndian(answer[ModeAt..]) >> 12;
        if (kind != 8) throw new IOException(Said(kind));
        return BinaryPrimitives.ReadInt64LittleEndian(answer[LengthAt..]);
    }

    /// <summary>Opens a file for reading, without a buffer of its own; others may write to it or remove it meanwhile.</summary>
    /// <param name="path">As in <see cref="Length"/>.</param>
    /// <exception cref="IOException">As in <see cref="Length"/>.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not read it.</exception>
    public static FileStream Open(string path)
    {
        _ = Length(path);
        return new FileStream(path, new FileStreamOptions { Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0 });
    }

    /// <summary>All bytes of a file.</summary>
    /// <inheritdoc cref="Open"/>
    public static byte[] Bytes(string path)
    {
        _ = Length(path);
        return File.ReadAllBytes(path);
    }

    /// <summary>All of a file's text, as UTF-8 or what its mark says.</summary>
    /// <inheritdoc cref="Open"/>
    public static string Text(string path)
    {
        _ = Length(path);
        return File.ReadAllText(path);
    }

    private static string Said(int kind) => kind switch
    {
        4 => "it is a folder, not a file",
        1 => "it is a named pipe, which can be read only once; write its content to a file first",
        12 => "it is a socket, not a file",
        _ => "it is a device, not a file",
    };

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Statx(int folder, string path, int flags, uint mask, ref byte answer);
}
