// The numbers of CounterStream.Bernoulli, composed from operators on the device where they are needed: drawn on the processor, each would
// be carried there. Philox4x32-10 in int64: a product of 32 bits with 32 may pass 2^63 and wraps, its 64 bits being the right ones.

using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Engine;

internal static class ComposedDraws
{
    /// <summary>Blocks of four numbers that are made at once: 4 MB for each of some nine tensors.</summary>
    internal const long BlocksAtOnce = 1 << 19;

    private const long MultiplierA = 0xD2511F53;
    private const long MultiplierC = 0xCD9E8D57;
    private const uint WeylLow = 0x9E3779B9;
    private const uint WeylHigh = 0xBB67AE85;
    private const int Rounds = 10;
    private const int PerBlock = 4;

    /// <summary>(22, S) int64: the two words of each round's key, then the two of the counter's upper half, of each stream.</summary>
    /// <param name="streams">At their beginning.</param>
    /// <param name="device">Where the numbers are made.</param>
    internal static Tensor Schedule(IReadOnlyList<CounterStream> streams, torch.Device device)
    {
        var words = new long[(2 * Rounds) + 2, streams.Count];
        for (var s = 0; s < streams.Count; s++)
        {
            var (key, stream) = streams[s].Address;
            var (low, high) = ((uint)key, (uint)(key >> 32));
            for (var round = 0; round < Rounds; round++, low += WeylLow, high += WeylHigh) (words[2 * round, s], words[(2 * round) + 1, s]) = (low, high);
            (words[2 * Rounds, s], words[(2 * Rounds) + 1, s]) = ((uint)stream, (uint)(stream >> 32));
        }
        using var here = torch.from_array(words);
        return here.to(device, copy: true, non_blocking: true); // to wait for the device once for each module would idle it
    }

    /// <summary>(R, width) of 0 and 1: row k is row rows[k] of what stream streamOf[k] gives for (rows, width).</summary>
    /// <param name="schedule">The streams, see <see cref="Schedule"/>.</param>
    /// <param name="streamOf">(R) int64.</param>
    /// <param name="rows">(R) int64.</param>
    /// <param name="width">Numbers of a row.</param>
    /// <param name="p">The probability of 1, from 0 to 1.</param>
    /// <param name="dtype">Of the result.</param>
    /// <param name="blocksAtOnce">Other than <see cref="BlocksAtOnce"/> in tests.</param>
    internal static Tensor Bernoulli(Tensor schedule, Tensor streamOf, Tensor rows, long width, double p, torch.ScalarType dtype, long blocksAtOnce = BlocksAtOnce)
    {
        using var scope = torch.NewDisposeScope();
        var (count, parts) = (rows.size(0), new List<Tensor>());
        var atOnce = Math.Max(1, blocksAtOnce / ((width / PerBlock) + 2));
        var bound = (long)Math.Round(p * (1L << 32));
        for (var from = 0L; from < count; from += atOnce)
        {
            var some = Math.Min(atOnce, count - from);
            parts.Add(Below(bound, schedule.index_select(1, streamOf.narrow(0, from, some)).unsqueeze(2), rows.narrow(0, from, some).unsqueeze(1) * width, width, dtype));
        }
        return (parts.Count == 1 ? parts[0] : torch.cat(parts)).MoveToOuterDisposeScope();
    }

    // Words (22, R, 1); firsts (R, 1) the number of each row's first element within its stream. A row may begin inside a block.
    private static Tensor Below(long bound, Tensor words, Tensor firsts, long width, torch.ScalarType dtype)
    {
        using var scope = torch.NewDisposeScope();
        var aligned = width % PerBlock == 0;
        var blocks = aligned ? width / PerBlock : (width + (2 * PerBlock) - 2) / PerBlock;
        var counters = firsts.bitwise_right_shift(Constant(2)) + torch.arange(blocks, torch.int64, firsts.device);
        var kept = torch.stack(Encrypted(counters, words).Select(word => word.lt(bound)), -1).view(firsts.size(0), blocks * PerBlock);
        if (!aligned) kept = kept.gather(1, (firsts & Constant(PerBlock - 1)) + torch.arange(width, torch.int64, firsts.device));
        return kept.to(dtype).MoveToOuterDisposeScope();
    }

    private static Tensor[] Encrypted(Tensor counters, Tensor words)
    {
        using var scope = torch.NewDisposeScope();
        var mask = Constant(uint.MaxValue);
        var half = Constant(32);
        // What a product leaves above its lower word is cut off where the word is next mixed, or at the end.
        Tensor[] state = [counters & mask, counters.bitwise_right_shift(half), words.select(0, 2 * Rounds), words.select(0, (2 * Rounds) + 1)];
        for (var round = 0; round < Rounds; round++)
        {
            var (first, second) = (state[0] * MultiplierA, state[2] * MultiplierC);
            Tensor[] next = [Mixed(second, state[1], words.select(0, 2 * round)), second, Mixed(first, state[3], words.select(0, (2 * round) + 1)), first];
            foreach (var old in state) old.Dispose();
            state = next;
        }
        Tensor[] all = [state[0], state[1] & mask, state[2], state[3] & mask];
        foreach (var word in all) word.MoveToOuterDisposeScope();
        return all;

        Tensor Mixed(Tensor product, Tensor other, Tensor key)
        {
            using var inner = torch.NewDisposeScope();
            return (product.bitwise_right_shift(half).bitwise_xor(other).bitwise_xor(key) & mask).MoveToOuterDisposeScope();
        }
    }

    // A single number may lie on the processor; an operator takes it along.
    private static Tensor Constant(long value) => torch.tensor(value, torch.int64);
}
