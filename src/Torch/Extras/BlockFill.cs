// Fills a tensor from consecutive blocks of a stream, in parallel: block b gives the elements from b * PerBlock on,
// whichever thread computes it.

namespace PeftAlign.Torch.Extras;

/// <summary>Where in a stream a fill begins.</summary>
internal readonly record struct StreamStart(ulong Key, ulong StreamId, ulong Block);

internal static unsafe class BlockFill
{
    private const int MaxPerBlock = 4;
    private const long BlocksPerTask = 1 << 13;

    /// <summary>Fills a contiguous tensor on the processor; returns the number of blocks used.</summary>
    internal static ulong Run<TDraw>(TDraw draw, Tensor target, StreamStart start) where TDraw : struct, IDraw
    {
        var (data, count) = (target.data_ptr(), target.numel());
        switch (target.dtype)
        {
            case torch.ScalarType.Float64:
                return Fill<TDraw, double, ToDouble>(draw, data, count, start);
            case torch.ScalarType.Float32:
                return Fill<TDraw, float, ToSingle>(draw, data, count, start);
            case torch.ScalarType.Float16:
                return Fill<TDraw, Half, ToHalf>(draw, data, count, start);
            case torch.ScalarType.BFloat16:
                return Fill<TDraw, ushort, ToBFloat16>(draw, data, count, start);
            case torch.ScalarType.Bool when typeof(TDraw) == typeof(BernoulliDraw):
                return Fill<TDraw, byte, ToBool>(draw, data, count, start);
            default:
                throw Rounding.NotFloating(target.dtype);
        }
    }

    private static ulong Fill<TDraw, T, TRounding>(TDraw draw, nint data, long count, StreamStart start)
        where TDraw : struct, IDraw where T : unmanaged where TRounding : struct, IRounding<T>
    {
        var blocks = (count + TDraw.PerBlock - 1) / TDraw.PerBlock;
        var tasks = (blocks + BlocksPerTask - 1) / BlocksPerTask;
        if (tasks <= 1)
        {
            FillBlocks<TDraw, T, TRounding>(draw, (T*)data, count, 0, blocks, start);
        }
        else
        {
            var options = new ParallelOptions { MaxDegreeOfParallelism = torch.get_num_threads() };
            Parallel.For(0, tasks, options, task =>
                FillBlocks<TDraw, T, TRounding>(draw, (T*)data, count, task * BlocksPerTask, Math.Min(blocks, (task + 1) * BlocksPerTask), start));
        }
        return (ulong)blocks;
    }

    private static void FillBlocks<TDraw, T, TRounding>(TDraw draw, T* data, long count, long from, long to, StreamStart start)
        where TDraw : struct, IDraw where T : unmanaged where TRounding : struct, IRounding<T>
    {
        Span<double> values = stackalloc double[MaxPerBlock];
        for (var block = from; block < to; block++)
        {
            draw.Draw(Philox.Counter(start.Block + (ulong)block, start.StreamId).Encrypt(start.Key), values);
            var element = block * TDraw.PerBlock;
            var n = (int)Math.Min(TDraw.PerBlock, count - element);
            for (var k = 0; k < n; k++) data[element + k] = TRounding.Round(values[k]);
        }
    }
}
