// What the kernel says of a file without reading it. Whatever changes a file's bytes moves the time of its last change (ctime), which no
// program can set: an archive unpacked over it gives it the old size, time of writing and inode, and another ctime. Linux: statx(2),
// whose layout is the same on every processor.

using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace PeftAlign.Host.Running;

/// <param name="Device">Where the file lies.</param>
/// <param name="Inode">Which it is there.</param>
/// <param name="Length">Its bytes.</param>
/// <param name="Modified">When it was written, in nanoseconds since 1970; programs may set it.</param>
/// <param name="Changed">When anything about it was changed, likewise; set by the kernel alone.</param>
internal readonly partial record struct FileStamp(ulong Device, ulong Inode, long Length, long Modified, long Changed)
{
    private const int WorkingDirectory = -100, StatxSize = 256, InodeAt = 32, LengthAt = 40, ChangedAt = 96, ModifiedAt = 112, DeviceAt = 136;
    private const uint Wanted = 0x7ff; // what stat(2) gives
    private const long Second = 1_000_000_000;

    // Two changes within one tick of the file system's clock have one time; ticks are of milliseconds, those of some network
    // and memory-card file systems of 2 s.
    private const long Settled = 2 * Second;

    /// <summary>Of the file or folder that a path leads to; null where the kernel does not say.</summary>
    internal static FileStamp? Of(string path)
    {
        Span<byte> answer = stackalloc byte[StatxSize];
        if (Statx(WorkingDirectory, path, 0, Wanted, ref MemoryMarshal.GetReference(answer)) != 0) return null;
        return new FileStamp(
            BinaryPrimitives.ReadUInt64LittleEndian(answer[DeviceAt..]), BinaryPrimitives.ReadUInt64LittleEndian(answer[InodeAt..]),
            BinaryPrimitives.ReadInt64LittleEndian(answer[LengthAt..]), Time(answer[ModifiedAt..]), Time(answer[ChangedAt..]));
    }

    /// <summary>Whether a change after a moment would show in the stamp for certain.</summary>
    internal bool IsSettled(DateTimeOffset moment) => Changed < ((moment.ToUnixTimeMilliseconds() * 1_000_000) - Settled);

    /// <summary>All but the device, whose number is another after a restart.</summary>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{Length}|{Modified}|{Changed}|{Inode}");

    private static long Time(ReadOnlySpan<byte> at) => (BinaryPrimitives.ReadInt64LittleEndian(at) * Second) + BinaryPrimitives.ReadUInt32LittleEndian(at[8..]);

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Statx(int folder, string path, int flags, uint mask, ref byte answer);
}
