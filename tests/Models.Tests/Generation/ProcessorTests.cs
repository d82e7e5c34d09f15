// The processed next-token distributions equal the reference ones, setting by setting.

using System.Runtime.InteropServices;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Generation;

namespace PeftAlign.Models.Tests.Generation;

internal sealed class ProcessorTests
{
    private const double Tolerance = 2e-6; // the reference rounds to float32

    public static IEnumerable<string> Settings => Stories.Json("processed.json").GetProperty("settings").EnumerateArray().Select(s => s.GetProperty("name").GetString()!);

    [TestCaseSource(nameof(Settings))]
    public void Distribution_is_the_reference_one(string name)
    {
        var golden = Stories.Json("processed.json");
        var setting = golden.GetProperty("settings").EnumerateArray().Single(s => s.GetProperty("name").GetString() == name);
        // min_new_tokens without an end token would do nothing: the reference's is 2.
        var options = Stories.Options(setting.GetProperty("settings")) with { EosTokenIds = [2] };
        if (options.Temperature == 0) options = options with { Temperature = 1 };
        using var file = SafetensorsFile.Open(Path.Combine(Stories.Folder, "processed.safetensors"));
        var prompts = golden.GetProperty("prompts").EnumerateArray().Select(p => p.Ids("ids")).ToList();
        Assert.That(prompts, Has.Count.EqualTo(3));
        for (var p = 0; p < prompts.Count; p++)
        {
            var scores = Numbers(file, $"p{p}.raw_logits");
            new ScoreProcessing(options).Apply(scores, prompts[p], made: 0);
            Assert.That(scores.Count(float.IsFinite), Is.EqualTo(setting.GetProperty($"kept_p{p}").GetInt32()), $"tokens kept, prompt {p}");
            var expected = Numbers(file, $"p{p}.{name}.probs");
            var made = Truncation.Probabilities(scores);
            for (var v = 0; v < made.Length; v++) Assert.That(made[v], Is.EqualTo(expected[v]).Within(Tolerance), $"prompt {p}, token {v}");
        }
    }

    [Test]
    public void Drawn_tokens_follow_the_distribution()
    {
        float[] scores = [MathF.Log(0.5f), float.NegativeInfinity, MathF.Log(0.3f), MathF.Log(0.2f)];
        var counts = new int[4];
        for (var step = 0; step < 20000; step++) counts[TokenChoice.Drawn(scores, TokenChoice.Uniform(1, 2, 3, step))]++;
        Assert.That(counts[1], Is.Zero);
        // Five standard deviations of a share at 20,000 draws are 0.018.
        Assert.That(counts.Select(c => c / 20000.0), Is.EqualTo(new[] { 0.5, 0, 0.3, 0.2 }).Within(0.018));
        Assert.That(TokenChoice.Drawn(scores, 0), Is.Zero);
        Assert.That(TokenChoice.Drawn(scores, 1 - 1e-12), Is.EqualTo(3));
    }

    [Test]
    public void A_random_number_depends_on_seed_row_sample_and_step()
    {
        double[] numbers = [TokenChoice.Uniform(1, 2, 3, 4), TokenChoice.Uniform(2, 2, 3, 4), TokenChoice.Uniform(1, 3, 3, 4), TokenChoice.Uniform(1, 2, 4, 4), TokenChoice.Uniform(1, 2, 3, 5)];
        Assert.That(numbers.Distinct().Count(), Is.EqualTo(5));
        Assert.That(TokenChoice.Uniform(1, 2, 3, 4), Is.EqualTo(numbers[0]));
    }

    [Test]
    public void Scores_that_are_no_numbers_are_an_error() =>
        Assert.That(() => TokenChoice.Best([float.NaN, float.NaN]), Throws.TypeOf<InvalidDataException>());

    [Test]
    public void Top_p_of_many_small_tokens_keeps_the_same_set_as_a_full_sort()
    {
        var random = new Random(5);
        var scores = Enumerable.Range(0, 3000).Select(_ => (float)(random.NextDouble() * 12)).ToArray();
        foreach (var p in new[] { 0.0, 0.3, 0.9, 0.999 })
        {
            var made = scores.ToArray();
            Truncation.TopP(made, p);
            var probabilities = Truncation.Probabilities(scores);
            var sum = 0.0;
            var removed = Enumerable.Range(0, scores.Length).OrderBy(i => probabilities[i]).TakeWhile(i => (sum += probabilities[i]) <= 1 - p).ToList();
            Assert.That(made.Count(float.IsFinite), Is.EqualTo(Math.Max(1, scores.Length - removed.Count)), $"p {p}");
        }
    }

    private static float[] Numbers(SafetensorsFile file, string name)
    {
        using var tensor = file.Tensor(name);
        return MemoryMarshal.Cast<byte, float>(tensor.bytes).ToArray();
    }
}
