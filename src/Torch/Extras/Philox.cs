// Philox4x32-10, a counter-based generator: 128 random bits are a function of a 128-bit counter and a 64-bit key.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011).

namespace PeftAlign.Torch.Extras;

/// <summary>128 bits: a counter, or the random bits that belong to it.</summary>
internal readonly record struct Philox(uint A, uint B, uint C, uint D)
{
    private const uint MultiplierA = 0xD2511F53;
    private const uint MultiplierC = 0xCD9E8D57;
    private const uint WeylLow = 0x9E3779B9;  // golden ratio
    private const uint WeylHigh = 0xBB67AE85; // sqrt(3) - 1
    private const int Rounds = 10;

    internal ulong Low => A | ((ulong)B << 32);

    internal ulong High => C | ((ulong)D << 32);

    internal static Philox Counter(ulong low, ulong high) => new((uint)low, (uint)(low >> 32), (uint)high, (uint)(high >> 32));

    /// <summary>The random bits of this counter under a key.</summary>
    internal Philox Encrypt(ulong key)
    {
        var (a, b, c, d) = (A, B, C, D);
        var (low, high) = ((uint)key, (uint)(key >> 32));
        for (var round = 0; round < Rounds; round++)
        {
            var first = (ulong)MultiplierA * a;
            var second = (ulong)MultiplierC * c;
            (a, b, c, d) = ((uint)(second >> 32) ^ b ^ low, (uint)second, (uint)(first >> 32) ^ d ^ high, (uint)first);
            low += WeylLow;
            high += WeylHigh;
        }
        return new Philox(a, b, c, d);
    }
}
