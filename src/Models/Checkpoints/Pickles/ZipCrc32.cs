// The checksum of zip files: CRC-32 with the reflected polynomial 0xEDB88320.

namespace PeftAlign.Models.Checkpoints;

internal static class ZipCrc32
{
    private static readonly uint[] Table = [.. Enumerable.Range(0, 256).Select(Row)];

    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var b in bytes) crc = Table[(byte)(crc ^ b)] ^ (crc >> 8);
        return ~crc;
    }

    private static uint Row(int k)
    {
        var row = (uint)k;
        for (var bit = 0; bit < 8; bit++) row = (row & 1) != 0 ? 0xEDB88320 ^ (row >> 1) : row >> 1;
        return row;
    }
}
