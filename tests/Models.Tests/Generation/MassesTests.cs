// What is decided without exact probabilities is decided as with them: the same tokens kept, the same token drawn, score by score.

using PeftAlign.Models.Generation;

namespace PeftAlign.Models.Tests.Generation;

internal sealed class MassesTests
{
    private static readonly double[] Shares = [0, 1e-9, 0.05, 0.2, 0.5, 0.75, 0.9, 0.95, 0.999, 1 - 1e-12];

    private static readonly Random Chance = new(11);

    // Lengths around those of vectors and blocks; the last is a real vocabulary's.
    public static IEnumerable<TestCaseData> Rows()
    {
        foreach (var length in (int[])[1, 2, 3, 7, 8, 17, 50, 1023, 1024, 5000, 32001])
            foreach (var (name, row) in Kinds(length)) yield return new TestCaseData(row).SetArgDisplayNames($"{name} {length}");
        foreach (var (name, row) in Kinds(151936).Take(4)) yield return new TestCaseData(row).SetArgDisplayNames($"{name} 151936");
    }

    [TestCaseSource(nameof(Rows))]
    public void Tokens_are_kept_and_drawn_as_by_exact_probabilities(float[] row)
    {
        foreach (var share in row.Length > 100000 ? Shares.Where((_, k) => k % 3 == 0) : Shares)
        {
            Same(row, share, Truncation.TopP, Truncation.TopPExactly, "top_p");
            if (share > 0) Same(row, share, Truncation.MinP, Truncation.MinPExactly, "min_p");
            Same(row, share, Truncation.Typical, Truncation.TypicalExactly, "typical_p");
        }
        foreach (var uniform in (double[])[0, 0.25, 0.5, Math.BitDecrement(0.5), Math.BitDecrement(1.0), .. Enumerable.Range(0, 20).Select(_ => Chance.NextDouble())])
            Assert.That(TokenChoice.Drawn(row, uniform), Is.EqualTo(TokenChoice.DrawnExactly(row, uniform, 0)), $"drawn by {uniform:r}");
    }

    // The k-th best value decides; what equals it stays.
    [TestCaseSource(nameof(Rows))]
    public void The_best_k_stay(float[] row)
    {
        foreach (var k in (int[])[1, 2, 5, 50, 1000])
        {
            var made = row.ToArray();
            Truncation.TopK(made, k);
            var least = k < row.Length ? row.OrderDescending().ElementAt(k - 1) : float.NegativeInfinity;
            Assert.That(made, Is.EqualTo(row.Select(s => s >= least ? s : float.NegativeInfinity)), $"k {k}");
        }
    }

    // Else all would be right and slow.
    [Test]
    public void Nearly_all_is_decided_without_exact_probabilities()
    {
        var open = 0;
        for (var k = 0; k < 100; k++)
        {
            var row = Enumerable.Range(0, 20000).Select(_ => (float)(3 * Normal())).ToArray();
            var best = row.Max();
            if (Masses.OfBest(row, best, 0.9) is null) open++;
            if (Masses.OfTypical(row, best, 0.9) is null) open++;
            if (Masses.Drawn(row, best, Chance.NextDouble()) is null) open++;
            if (!Masses.IsClear(row, best, -Math.Log(0.1))) open++;
        }
        Assert.That(open, Is.LessThan(8), "of 400");
    }

    [Test]
    public void What_is_no_number_is_left_to_exact_probabilities()
    {
        float[] row = [1, float.NaN, 2, 0];
        Assert.That((Masses.OfBest(row, 2, 0.5), Masses.OfTypical(row, 2, 0.5), Masses.Drawn(row, 2, 0.5), Masses.IsClear(row, 2, 1.5)), Is.EqualTo(((Reach?)null, ((Reach, double)?)null, (int?)null, false)));
        row[1] = float.PositiveInfinity;
        Assert.That((Masses.OfBest(row, row[1], 0.5), Masses.Drawn(row, row[1], 0.5)), Is.EqualTo(((Reach?)null, (int?)null)));
    }

    private static IEnumerable<(string Name, float[] Row)> Kinds(int length)
    {
        float[] Of(Func<int, double> score) => [.. Enumerable.Range(0, length).Select(k => (float)score(k))];
        yield return ("normal", Of(_ => 3 * Normal()));
        yield return ("of few bits, so that many are equal", Of(_ => Math.Round(2 * Normal() * 8) / 8));
        yield return ("one far above", Of(k => k == length / 2 ? 30 : Normal()));
        yield return ("most removed", Of(k => k % 97 == 0 ? Normal() : double.NegativeInfinity));
        yield return ("equal", Of(_ => 1.5));
        yield return ("of two values", Of(k => k % 2));
        yield return ("falling", Of(k => -k * 0.37));
        yield return ("on both sides of the entropy", Of(k => k % 2 == 0 ? 1 + (k % 10 * 1e-3) : -1 - (k % 10 * 1e-3)));
        yield return ("hardly different", Of(k => k % 5 * 1e-12));
        yield return ("huge", Of(_ => 1e30 * Normal()));
    }

    private static double Normal() => Math.Sqrt(-2 * Math.Log(1 - Chance.NextDouble())) * Math.Cos(2 * Math.PI * Chance.NextDouble());

    private delegate void Change(Span<float> scores, double share);

    private static void Same(float[] row, double share, Change change, Change exact, string what)
    {
        var (made, expected) = (row.ToArray(), row.ToArray());
        change(made, share);
        exact(expected, share);
        Assert.That(made.AsSpan().SequenceEqual(expected), $"{what} {share:r}: {made.Count(float.IsFinite)} tokens are kept, {expected.Count(float.IsFinite)} by exact probabilities");
    }
}
