// Comparing two tensors' memory. Matrices that differ do so nearly everywhere, so that a few pages tell; the rest of a mapped file is
// then not read.

using PeftAlign.Torch;

namespace PeftAlign.Models.Checkpoints;

internal static class SameBytes
{
    private const int Page = 4096, Places = 64, Chunk = 1 << 26;

    /// <summary>Whether pages of both, spread from the first to the last, are alike.</summary>
    internal static bool Sampled(Tensor one, Tensor other) => Compare(one, other, (length, same) =>
    {
        var step = Math.Max(Page, (length - Page) / (Places - 1));
        for (var at = 0L; at < length; at += step)
            if (!same(at, Math.Min(Page, length - at))) return false;
        return true;
    });

    /// <summary>Whether all of both is alike.</summary>
    internal static bool All(Tensor one, Tensor other) => Compare(one, other, (length, same) =>
    {
        for (var at = 0L; at < length; at += Chunk)
            if (!same(at, Math.Min(Chunk, length - at))) return false;
        return true;
    });

    private static unsafe bool Compare(Tensor one, Tensor other, Func<long, Func<long, long, bool>, bool> walk)
    {
        if (one.numel() == 0) return true;
        using var a = one.contiguous();
        using var b = other.contiguous();
        var (x, y) = (a.data_ptr(), b.data_ptr());
        var alike = x == y || walk(a.numel() * a.element_size(), (at, count) => new ReadOnlySpan<byte>((byte*)x + at, (int)count).SequenceEqual(new ReadOnlySpan<byte>((byte*)y + at, (int)count)));
        GC.KeepAlive((a, b));
        return alike;
    }
}
