// The name under which the dynamic loader looks for a library: DT_SONAME of a 64-bit little-endian ELF file.
// Source: System V ABI, chapters 4 and 5.

using System.Buffers.Binary;
using System.Text;

namespace PeftAlign.Host.Publishing;

internal static class SharedObject
{
    private const uint DynamicSection = 6;
    private const long SonameTag = 14;

    /// <summary>The library's own name; its file's name where it has none or the file is no such library.</summary>
    internal static string NameOf(string path)
    {
        using var file = File.OpenRead(path);
        var header = Bytes(file, 0, 64);
        if (header is null || !header.AsSpan(0, 6).SequenceEqual("\u007fELF\u0002\u0001"u8)) return Path.GetFileName(path);
        var (offset, size, count) = (Long(header, 0x28), Short(header, 0x3a), Short(header, 0x3c));
        var sections = Bytes(file, offset, size * count) ?? [];
        for (var at = 0; at + 64 <= sections.Length; at += size)
        {
            if (Int(sections, at + 4) != DynamicSection) continue;
            var names = (int)Int(sections, at + 40) * size;
            return Soname(file, Section(file, sections, at), Section(file, sections, names)) ?? Path.GetFileName(path);
        }
        return Path.GetFileName(path);
    }

    private static string? Soname(FileStream file, byte[] dynamic, byte[] names)
    {
        for (var at = 0; at + 16 <= dynamic.Length; at += 16)
        {
            if (Long(dynamic, at) != SonameTag) continue;
            var start = (int)Long(dynamic, at + 8);
            var end = start < names.Length ? Array.IndexOf(names, (byte)0, start) : -1;
            return end > start ? Encoding.UTF8.GetString(names, start, end - start) : throw new InvalidDataException($"{file.Name}: DT_SONAME lies outside of its strings");
        }
        return null;
    }

    private static byte[] Section(FileStream file, byte[] sections, int at) => Bytes(file, Long(sections, at + 24), Long(sections, at + 32)) ?? [];

    private static byte[]? Bytes(FileStream file, long offset, long length)
    {
        if (offset < 0 || length < 0 || length > int.MaxValue || offset + length > file.Length) return null;
        var bytes = new byte[length];
        file.Position = offset;
        file.ReadExactly(bytes);
        return bytes;
    }

    private static int Short(byte[] bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(at));

    private static uint Int(byte[] bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(at));

    private static long Long(byte[] bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at));
}
