// Python's random.Random for an integer seed (Mersenne Twister 19937, Matsumoto and Nishimura 1998): lm-evaluation-harness draws
// its few-shot examples and bootstrap samples with it, so equal numbers need equal draws.

namespace PeftAlign.Eval.Scoring;

internal sealed class PythonRandom
{
    private const int Size = 624, Shift = 397;

    private readonly uint[] state = new uint[Size];
    private int next = Size;

    internal PythonRandom(uint seed)
    {
        Fill(19650218);
        var (i, j) = (1, 0);
        for (var k = Size; k > 0; k--) // the key is the one word of the seed
        {
            state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * 1664525)) + seed + (uint)j;
            if (++i >= Size) (state[0], i) = (state[Size - 1], 1);
        }
        for (var k = Size - 1; k > 0; k--)
        {
            state[i] = (state[i] ^ ((state[i - 1] ^ (state[i - 1] >> 30)) * 1566083941)) - (uint)i;
            if (++i >= Size) (state[0], i) = (state[Size - 1], 1);
        }
        state[0] = 0x80000000;
    }

    /// <summary>random(): 53 bits in [0, 1).</summary>
    internal double Double()
    {
        var (a, b) = (Word() >> 5, Word() >> 6);
        return (a * 67108864.0 + b) / 9007199254740992.0;
    }

    /// <summary>sample(range(n), k): different numbers, in the order of drawing.</summary>
    internal int[] Sample(int n, int k)
    {
        var result = new int[k];
        // Python keeps a pool where that is smaller than a set would be.
        var set = 21;
        if (k > 5) set += (int)Math.Pow(4, Math.Ceiling(Math.Log(k * 3) / Math.Log(4)));
        if (n <= set)
        {
            int[] pool = [.. Enumerable.Range(0, n)];
            for (var i = 0; i < k; i++)
            {
                var j = Below(n - i);
                result[i] = pool[j];
                pool[j] = pool[n - i - 1];
            }
            return result;
        }
        var chosen = new HashSet<int>();
        for (var i = 0; i < k; i++)
        {
            var j = Below(n);
            while (!chosen.Add(j)) j = Below(n);
            result[i] = j;
        }
        return result;
    }

    // As many bits as n has, drawn again until the number is below n.
    private int Below(int n)
    {
        var bits = 32 - System.Numerics.BitOperations.LeadingZeroCount((uint)n);
        uint r;
        do r = Word() >> (32 - bits);
        while (r >= n);
        return (int)r;
    }

    private void Fill(uint seed)
    {
        state[0] = seed;
        for (var i = 1; i < Size; i++) state[i] = (1812433253 * (state[i - 1] ^ (state[i - 1] >> 30))) + (uint)i;
    }

    private uint Word()
    {
        if (next >= Size) Turn();
        var y = state[next++];
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c5680;
        y ^= (y << 15) & 0xefc60000;
        return y ^ (y >> 18);
    }

    private void Turn()
    {
        var k = 0;
        for (; k < Size - Shift; k++) state[k] = state[k + Shift] ^ Mixed(state[k], state[k + 1]);
        for (; k < Size - 1; k++) state[k] = state[k + Shift - Size] ^ Mixed(state[k], state[k + 1]);
        state[k] = state[Shift - 1] ^ Mixed(state[k], state[0]);
        next = 0;
    }

    private static uint Mixed(uint first, uint second)
    {
        var y = (first & 0x80000000) | (second & 0x7fffffff);
        return (y >> 1) ^ ((0 - (y & 1)) & 0x9908b0df);
    }
}
