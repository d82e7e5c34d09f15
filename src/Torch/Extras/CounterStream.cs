// Random numbers that depend on no order: a stream is named by (seed, purpose, name, step), and its element k is a
// function of that name and k alone, so neither the order of construction nor the number of threads changes it.
// Assumes: one thread draws from one stream object; streams of the same name repeat each other, by design.

using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace PeftAlign.Torch.Extras;

/// <summary>A counter-based stream of random numbers (Philox4x32-10), keyed by what the numbers are for.</summary>
public sealed class CounterStream
{
    private readonly ulong key;
    private readonly ulong streamId;
    private ulong block;
    private ulong spare;
    private bool hasSpare;

    /// <summary>Opens the stream at its beginning.</summary>
    /// <param name="seed">The experiment's seed.</param>
    /// <param name="purpose">What the numbers are for: "init", "dropout", "shuffle" ...</param>
    /// <param name="name">For which thing: a parameter's name, a data set's ...</param>
    /// <param name="step">At which step, epoch or row.</param>
    public CounterStream(ulong seed, string purpose, string name = "", long step = 0)
    {
        ArgumentNullException.ThrowIfNull(purpose);
        ArgumentNullException.ThrowIfNull(name);
        // 128 bits of SHA-256 over fixed-size fields and length-prefixed texts: 64 are the key, 64 the counter's upper half.
        var purposeBytes = Encoding.UTF8.GetBytes(purpose);
        var text = new byte[20 + purposeBytes.Length + Encoding.UTF8.GetByteCount(name)];
        BinaryPrimitives.WriteUInt64LittleEndian(text, seed);
        BinaryPrimitives.WriteInt64LittleEndian(text.AsSpan(8), step);
        BinaryPrimitives.WriteInt32LittleEndian(text.AsSpan(16), purposeBytes.Length);
        purposeBytes.CopyTo(text, 20);
        Encoding.UTF8.GetBytes(name, text.AsSpan(20 + purposeBytes.Length));
        Span<byte> hash = stackalloc byte[32];
        SHA256.HashData(text, hash);
        key = BinaryPrimitives.ReadUInt64LittleEndian(hash);
        streamId = BinaryPrimitives.ReadUInt64LittleEndian(hash[8..]);
    }

    /// <summary>The stream's name as Philox takes it: the key, and the upper half of the counter. For kernels that compute the
    /// numbers themselves; word k of the stream is word k % 4 of block k / 4.</summary>
    public (ulong Key, ulong Stream) Address => (key, streamId);

    /// <summary>Uniform numbers in [low, high), rounded to the nearest of the dtype but never up to high.</summary>
    /// <param name="shape">Sizes.</param>
    /// <param name="low">Smallest value.</param>
    /// <param name="high">Bound that is not reached.</param>
    /// <param name="dtype">A floating-point type; float32 without it.</param>
    /// <param name="device">Where the result lies; the numbers do not depend on it.</param>
    public Tensor Uniform(long[] shape, double low = 0, double high = 1, torch.ScalarType? dtype = null, torch.Device? device = null)
    {
        if (!(low < high) || !double.IsFinite(high - low)) throw new ArgumentException($"[{low}, {high}) holds no number; low must be below high, and both finite");
        var type = dtype ?? torch.ScalarType.Float32;
        return Fill(new UniformDraw(low, high, Rounding.LargestBelow(high, type)), shape, type, device);
    }

    /// <summary>Normal numbers by Box-Muller in double precision, then rounded to the dtype.</summary>
    /// <param name="shape">Sizes.</param>
    /// <param name="mean">Mean.</param>
    /// <param name="std">Standard deviation, at least 0.</param>
    /// <param name="dtype">A floating-point type; float32 without it.</param>
    /// <param name="device">Where the result lies; the numbers do not depend on it.</param>
    public Tensor Normal(long[] shape, double mean = 0, double std = 1, torch.ScalarType? dtype = null, torch.Device? device = null)
    {
        if (!(std >= 0) || !double.IsFinite(std)) throw new ArgumentException($"the standard deviation {std} must be finite and at least 0");
        return Fill(new NormalDraw(mean, std), shape, dtype ?? torch.ScalarType.Float32, device);
    }

    /// <summary>Ones with probability <paramref name="p"/> (to 2^-32), else zeros.</summary>
    /// <param name="shape">Sizes.</param>
    /// <param name="p">From 0 to 1.</param>
    /// <param name="dtype">A floating-point type or bool; float32 without it.</param>
    /// <param name="device">Where the result lies; the numbers do not depend on it.</param>
    public Tensor Bernoulli(long[] shape, double p, torch.ScalarType? dtype = null, torch.Device? device = null)
    {
        if (!(p >= 0 && p <= 1)) throw new ArgumentException($"the probability {p} must lie between 0 and 1");
        return Fill(new BernoulliDraw(p), shape, dtype ?? torch.ScalarType.Float32, device);
    }

    /// <summary>One uniform number in [0, 1), of 53 bits.</summary>
    public double NextDouble() => UniformDraw.Fraction(NextWord());

    /// <summary>One of 0 ... exclusive - 1, each equally likely (Lemire, 2019: multiply, reject the uneven rest).</summary>
    public long NextInt64(long exclusive)
    {
        if (exclusive <= 0) throw new ArgumentOutOfRangeException(nameof(exclusive), exclusive, "the bound must be at least 1");
        var bound = (ulong)exclusive;
        var high = Math.BigMul(NextWord(), bound, out var low);
        if (low < bound)
            for (var uneven = (0 - bound) % bound; low < uneven;) high = Math.BigMul(NextWord(), bound, out low);
        return (long)high;
    }

    /// <summary>The numbers 0 ... n - 1 in random order (Fisher-Yates).</summary>
    public long[] Permutation(int n)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(n);
        var order = new long[n];
        for (var k = 0; k < n; k++) order[k] = k;
        for (var k = n - 1; k > 0; k--)
        {
            var other = (int)NextInt64(k + 1L);
            (order[k], order[other]) = (order[other], order[k]);
        }
        return order;
    }

    private ulong NextWord()
    {
        if (hasSpare)
        {
            hasSpare = false;
            return spare;
        }
        var bits = Philox.Counter(block++, streamId).Encrypt(key);
        spare = bits.High;
        hasSpare = true;
        return bits.Low;
    }

    // A fill starts at a block of its own; the next draw continues after it.
    private Tensor Fill<TDraw>(TDraw draw, long[] shape, torch.ScalarType dtype, torch.Device? device) where TDraw : struct, IDraw
    {
        ArgumentNullException.ThrowIfNull(shape);
        var made = torch.empty(shape, dtype);
        try
        {
            hasSpare = false;
            block += BlockFill.Run(draw, made, new StreamStart(key, streamId, block));
            return device is null or { type: DeviceType.CPU } ? made : made.to(device, disposeAfter: true);
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }
}
