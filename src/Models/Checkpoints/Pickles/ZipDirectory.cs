// The directory of a zip file whose entries are stored as they are, which is how torch.save writes. Only places are read:
// the data stay in the file. Records of 64-bit zip are followed, since torch always writes them.
// Format: PKWARE, APPNOTE.TXT, sections 4.3.7 to 4.3.16.

using System.Buffers.Binary;
using System.Text;

namespace PeftAlign.Models.Checkpoints;

/// <summary>A file inside the zip file: the place of its bytes, their checksum, and whether they are stored as they are.</summary>
internal readonly record struct ZipEntry(long Offset, long Length, uint Crc, bool IsStored);

internal static class ZipDirectory
{
    private const uint EndMark = 0x06054b50, End64Mark = 0x06064b50, Locator64Mark = 0x07064b50, EntryMark = 0x02014b50, LocalMark = 0x04034b50;
    private const int EndLength = 22, End64Length = 56, LocatorLength = 20, EntryLength = 46, LocalLength = 30;
    private const int LongestDirectory = 16 << 20;

    /// <summary>All entries by name.</summary>
    /// <exception cref="Abstractions.UserErrorException">The directory is damaged, or an entry is encrypted or lies outside the file.</exception>
    public static Dictionary<string, ZipEntry> Read(MappedFile map, string file)
    {
        var (start, length, count) = FindDirectory(map, file);
        if (length > LongestDirectory) throw Fault.In(file, $"its zip directory has {length} bytes; the limit is {LongestDirectory}.");
        if (start < 0 || length < 0 || start > map.Length - length) throw Damaged(file, "the zip directory lies outside the file");
        var directory = map.Read(start, (int)length).AsSpan();
        var entries = new Dictionary<string, ZipEntry>();
        for (var k = 0L; k < count; k++)
        {
            if (directory.Length < EntryLength || U32(directory, 0) != EntryMark) throw Damaged(file, $"entry {k} of the zip directory is broken");
            int nameLength = U16(directory, 28), extraLength = U16(directory, 30), commentLength = U16(directory, 32);
            var whole = EntryLength + nameLength + extraLength + commentLength;
            if (directory.Length < whole) throw Damaged(file, $"entry {k} of the zip directory is cut off");
            var name = Encoding.UTF8.GetString(directory.Slice(EntryLength, nameLength));
            var entry = Entry(map, file, name, directory[..EntryLength], directory.Slice(EntryLength + nameLength, extraLength));
            if (!entries.TryAdd(name, entry)) throw Damaged(file, $"the zip directory names {Fault.Quote(name)} twice");
            directory = directory[whole..];
        }
        return entries;
    }

    private static (long Start, long Length, long Count) FindDirectory(MappedFile map, string file)
    {
        var tailLength = (int)Math.Min(map.Length, EndLength + ushort.MaxValue);
        var tailStart = map.Length - tailLength;
        var tail = map.Read(tailStart, tailLength).AsSpan();
        for (var at = tailLength - EndLength; at >= 0; at--)
        {
            if (U32(tail, at) != EndMark || U16(tail, at + 20) != tailLength - at - EndLength) continue;
            var locator = at - LocatorLength;
            if (locator >= 0 && U32(tail, locator) == Locator64Mark) return Directory64(map, file, I64(tail, locator + 8));
            return (U32(tail, at + 16), U32(tail, at + 12), U16(tail, at + 10));
        }
        throw Damaged(file, "it begins like a zip file but has no zip directory at its end");
    }

    private static (long Start, long Length, long Count) Directory64(MappedFile map, string file, long at)
    {
        if (at < 0 || at > map.Length - End64Length) throw Damaged(file, "the 64-bit zip directory lies outside the file");
        var end = map.Read(at, End64Length).AsSpan();
        if (U32(end, 0) != End64Mark) throw Damaged(file, "the 64-bit zip directory is broken");
        return (I64(end, 48), I64(end, 40), I64(end, 32));
    }

    private static ZipEntry Entry(MappedFile map, string file, string name, ReadOnlySpan<byte> fixedPart, ReadOnlySpan<byte> extra)
    {
        if ((U16(fixedPart, 8) & 1) != 0) throw Damaged(file, $"{Fault.Quote(name)} is encrypted");
        long packed = U32(fixedPart, 20), length = U32(fixedPart, 24), local = U32(fixedPart, 42);
        if (length == uint.MaxValue) length = Take64(ref extra, file, name);
        if (packed == uint.MaxValue) packed = Take64(ref extra, file, name);
        if (local == uint.MaxValue) local = Take64(ref extra, file, name);
        var stored = U16(fixedPart, 10) == 0 && packed == length;
        if (local < 0 || local > map.Length - LocalLength) throw Damaged(file, $"{Fault.Quote(name)} lies outside the file");
        var header = map.Read(local, LocalLength).AsSpan();
        if (U32(header, 0) != LocalMark) throw Damaged(file, $"the header of {Fault.Quote(name)} is broken");
        var offset = local + LocalLength + U16(header, 26) + U16(header, 28);
        if (packed < 0 || length < 0 || offset > map.Length || packed > map.Length - offset) throw Damaged(file, $"{Fault.Quote(name)} lies outside the file");
        return new ZipEntry(offset, length, U32(fixedPart, 16), stored);
    }

    // The extra field of 64-bit sizes (id 1) holds, in order, the values that did not fit.
    private static long Take64(ref ReadOnlySpan<byte> extra, string file, string name)
    {
        while (extra.Length >= 4 && U16(extra, 0) != 1)
        {
            var whole = 4 + U16(extra, 2);
            if (whole > extra.Length) break;
            extra = extra[whole..];
        }
        if (extra.Length < 12 || U16(extra, 0) != 1) throw Damaged(file, $"{Fault.Quote(name)} lacks its 64-bit size");
        var value = I64(extra, 4);
        // The next value follows: keep the id in front of it.
        var rest = extra[8..].ToArray();
        extra[..4].CopyTo(rest);
        extra = rest;
        return value;
    }

    private static Abstractions.UserErrorException Damaged(string file, string reason) => Fault.In(file, $"{reason}; the file is damaged or cut off, copy it again.");

    private static ushort U16(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long I64(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
}
