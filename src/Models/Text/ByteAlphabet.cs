// The byte-level alphabet of GPT-2's encoder (Radford et al. 2019): each byte is written as one printable character, so that
// vocabularies hold text. Printable Latin-1 stands for itself; the other 68 bytes take U+0100 onwards, in order.
namespace PeftAlign.Models.Text;

/// <summary>Byte to character and back, as byte-level vocabularies write bytes.</summary>
internal static class ByteAlphabet
{
    private static readonly char[] Chars = MakeChars();
    private static readonly short[] Bytes = MakeBytes();

    /// <summary>The character that stands for a byte.</summary>
    public static char CharOf(byte value) => Chars[value];

    /// <summary>The byte that a character stands for, or -1.</summary>
    public static int ByteOf(int character) => (uint)character < (uint)Bytes.Length ? Bytes[character] : -1;

    private static bool StandsForItself(int b) => b is (>= 0x21 and <= 0x7E) or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);

    private static char[] MakeChars()
    {
        var chars = new char[256];
        var next = 256;
        for (var b = 0; b < 256; b++) chars[b] = (char)(StandsForItself(b) ? b : next++);
        return chars;
    }

    private static short[] MakeBytes()
    {
        var bytes = new short[256 + 68];
        Array.Fill(bytes, (short)-1);
        for (var b = 0; b < 256; b++) bytes[Chars[b]] = (short)b;
        return bytes;
    }
}
