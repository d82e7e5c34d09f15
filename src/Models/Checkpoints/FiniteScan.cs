// Counting NaN and infinity in a tensor's memory: a float is one of them if all bits of its exponent are set. Vectors of
// the processor's width, no allocation, so that a mapped checkpoint is read at the disk's or the memory's speed.

using System.Numerics;
using System.Runtime.InteropServices;
using PeftAlign.Torch;
using static PeftAlign.Torch.torch;

namespace PeftAlign.Models.Checkpoints;

internal static class FiniteScan
{
    private const long Chunk = 1 << 26;

    /// <summary>Number of elements (complex: of parts) that are NaN or infinite.</summary>
    public static unsafe long CountNonFinite(Tensor tensor)
    {
        using var here = tensor.detach().cpu().contiguous();
        var bytes = (byte*)here.data_ptr();
        var count = 0L;
        for (long at = 0, length = here.numel() * here.dtype.ElementSize(); at < length; at += Chunk)
            count += CountNonFinite(new ReadOnlySpan<byte>(bytes + at, (int)Math.Min(Chunk, length - at)), here.dtype);
        GC.KeepAlive(here);
        return count;
    }

    private static long CountNonFinite(ReadOnlySpan<byte> bytes, ScalarType dtype) => dtype switch
    {
        ScalarType.Float32 or ScalarType.ComplexFloat32 => Count(MemoryMarshal.Cast<byte, uint>(bytes), 0x7F800000u),
        ScalarType.Float64 or ScalarType.ComplexFloat64 => Count(MemoryMarshal.Cast<byte, ulong>(bytes), 0x7FF0000000000000ul),
        ScalarType.BFloat16 => Count(MemoryMarshal.Cast<byte, ushort>(bytes), (ushort)0x7F80),
        ScalarType.Float16 => Count(MemoryMarshal.Cast<byte, ushort>(bytes), (ushort)0x7C00),
        _ => Touch(bytes),
    };

    private static long Count<T>(ReadOnlySpan<T> values, T exponent) where T : unmanaged, IBinaryInteger<T>
    {
        var (mask, count, at) = (new Vector<T>(exponent), 0L, 0);
        for (; at <= values.Length - Vector<T>.Count; at += Vector<T>.Count)
        {
            var part = new Vector<T>(values[at..]) & mask;
            if (!Vector.EqualsAny(part, mask)) continue;
            for (var k = 0; k < Vector<T>.Count; k++)
                if (part[k] == exponent) count++;
        }
        for (; at < values.Length; at++)
            if ((values[at] & exponent) == exponent) count++;
        return count;
    }

    // Whole numbers are always finite; reading a byte of each page still finds what the disk cannot give.
    private static long Touch(ReadOnlySpan<byte> bytes)
    {
        var sum = 0;
        for (var k = 0; k < bytes.Length; k += 4096) sum |= bytes[k];
        return sum < 0 ? 1 : 0;
    }
}
