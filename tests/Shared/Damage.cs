// Damage by chance: what bit flips, cuts, editors and people do to files. The same random stream gives the same damage.

using System.Text;

namespace PeftAlign.Tests;

internal static class Damage
{
    // What people and programs write in the wrong place.
    private static readonly string[] Literals =
        ["null", "-1", "0", "1e309", "99999999999999999999", "\"\"", "[]", "{}", "true", "\"\\ud800\"", "NaN", "../../etc/passwd", "~", "- ", ": ", "\t", "\"", "é", "\0", "!!python/object:os.system", "&a *a", "<<: *a"];

    /// <summary>How many rounds: few by default, thousands with PEFTALIGN_SLOW, or as many as PEFTALIGN_FUZZ says.</summary>
    internal static int Rounds(int few, int many = 1000) =>
        int.TryParse(Environment.GetEnvironmentVariable("PEFTALIGN_FUZZ"), out var asked) ? asked : Environment.GetEnvironmentVariable("PEFTALIGN_SLOW") == "1" ? many : few;

    /// <summary>A test's own stream of random numbers; PEFTALIGN_FUZZ_SEED=N takes another one.</summary>
    internal static Random Random(int seed) =>
        new(int.TryParse(Environment.GetEnvironmentVariable("PEFTALIGN_FUZZ_SEED"), out var other) ? unchecked(seed + (other * 1_000_003)) : seed);

    /// <summary>One to three damages to bytes: flipped bits, other bytes, a lost end, lost, inserted and swapped blocks.</summary>
    internal static byte[] Bytes(byte[] good, Random random)
    {
        var bytes = good.ToList();
        for (var times = random.Next(1, 4); times > 0 && bytes.Count > 0; times--)
        {
            var at = random.Next(bytes.Count);
            switch (random.Next(6))
            {
                case 0: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 1: bytes[at] = (byte)random.Next(256); break;
                case 2: bytes.RemoveRange(at, random.Next(bytes.Count - at)); break;
                case 3: bytes.RemoveRange(at, Math.Min(random.Next(9), bytes.Count - at)); break;
                case 4: bytes.InsertRange(at, Enumerable.Range(0, random.Next(1, 9)).Select(_ => (byte)random.Next(256))); break;
                default: Swap(bytes, at, random); break;
            }
        }
        return [.. bytes];
    }

    /// <summary>Damage to a text in lines: words become other words or odd literals, lines are lost, doubled and moved; or bytes.</summary>
    internal static byte[] Text(byte[] good, Random random)
    {
        if (random.Next(4) == 0) return Bytes(good, random);
        var text = Encoding.UTF8.GetString(good);
        for (var times = random.Next(1, 4); times > 0; times--)
        {
            var lines = text.Split('\n').ToList();
            var at = random.Next(lines.Count);
            switch (random.Next(5))
            {
                case 0: lines.RemoveAt(at); break;
                case 1: lines.Insert(random.Next(lines.Count + 1), lines[at]); break;
                case 2: (lines[at], lines[^1]) = (lines[^1], lines[at]); break;
                default: lines[at] = Words(lines[at], lines[random.Next(lines.Count)], random); break;
            }
            text = string.Join('\n', lines);
        }
        return Encoding.UTF8.GetBytes(text);
    }

    private static string Words(string line, string other, Random random)
    {
        var (words, others) = (line.Split(' '), other.Split(' '));
        words[random.Next(words.Length)] = random.Next(2) == 0 ? others[random.Next(others.Length)] : Literals[random.Next(Literals.Length)];
        return string.Join(' ', words);
    }

    private static void Swap(List<byte> bytes, int a, Random random)
    {
        var b = random.Next(bytes.Count);
        for (var k = random.Next(1, 17); k > 0 && a < bytes.Count && b < bytes.Count; k--, a++, b++) (bytes[a], bytes[b]) = (bytes[b], bytes[a]);
    }
}
