// Rules of generation where they turn: a context as long as a banned sequence's beginning, sums that equal a limit, tokens that are the
// best though too unlikely, beams that meet several end tokens. Expected is what transformers 5.23's processors and beam search say.

using PeftAlign.Abstractions;
using PeftAlign.Models.Generation;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Generation;

internal sealed class BorderTests
{
    // SequenceBiasLogitsProcessor: only a beginning that is longer than the context cannot match.
    [TestCase(new[] { 1, 2 }, new[] { 1, 2, 3 }, true)]
    [TestCase(new[] { 2 }, new[] { 2, 3 }, true)]
    [TestCase(new[] { 0, 1, 2 }, new[] { 1, 2, 3 }, true)]
    [TestCase(new[] { 2 }, new[] { 3 }, true)]
    [TestCase(new[] { 2 }, new[] { 1, 2, 3 }, false)]
    [TestCase(new[] { 1, 3 }, new[] { 1, 2, 3 }, false)]
    public void A_sequence_counts_where_the_context_is_its_beginning(int[] past, int[] sequence, bool counts)
    {
        var biased = Applied(new() { SequenceBias = [new(sequence, 5)] }, new float[5], past);
        Assert.That(biased, Is.EqualTo((float[])[0, 0, 0, counts ? 5 : 0, 0]));
        var banned = Applied(new() { BadWordsIds = [sequence] }, new float[5], past);
        Assert.That(float.IsNegativeInfinity(banned[3]), Is.EqualTo(counts));
    }

    [Test]
    public void An_end_token_is_no_bad_word()
    {
        var scores = Applied(new() { BadWordsIds = [[2], [1]], EosTokenIds = [2] }, new float[3], [0]);
        Assert.That(scores, Is.EqualTo((float[])[0, float.NegativeInfinity, 0]));
    }

    // Four equal tokens: one quarter is at most 1 - p and goes, two quarters are not.
    [TestCase(0.75, 3)]
    [TestCase(0.5, 2)]
    [TestCase(0, 1)]
    public void Top_p_removes_what_sums_to_its_limit(double p, int kept)
    {
        var scores = new float[4];
        Truncation.TopP(scores, p);
        Assert.That(scores.Count(float.IsFinite), Is.EqualTo(kept));
    }

    [Test]
    public void The_best_tokens_stay_however_unlikely_they_are()
    {
        float[] scores = [MathF.Log(0.5f), MathF.Log(0.25f), MathF.Log(0.25f)];
        Truncation.Epsilon(scores, 0.6);
        Assert.That(scores.Select(float.IsFinite), Is.EqualTo((bool[])[true, false, false]));
        var equal = new float[4];
        Truncation.Epsilon(equal, 0.3);
        Assert.That(equal, Has.All.Zero);
    }

    [Test]
    public void A_token_as_likely_as_min_p_asks_stays()
    {
        var scores = new float[] { 0, 0, -1 };
        Truncation.MinP(scores, 1);
        Assert.That(scores.Select(float.IsFinite), Is.EqualTo((bool[])[true, true, false]));
    }

    // As many tokens as max_length are the last; one that begins anew is the first that is made, whatever the prompt holds.
    [Test]
    public void Lengths_and_beginnings_count_where_they_turn()
    {
        var two = new Continuation(0, 0, [4]).With(4);
        var endings = new Endings(new() { MaxNewTokens = 9, MaxLength = 3 }, null);
        Assert.That((endings.Of(two), endings.Of(two.With(4))), Is.EqualTo(((FinishReason?)null, (FinishReason?)FinishReason.Length)));
        Assert.That(Applied(new() { BeginSuppressTokens = [1] }, new float[3], [0]), Is.EqualTo((float[])[0, float.NegativeInfinity, 0]));
        Assert.That(Applied(new() { MinNewTokens = 1, EosTokenIds = [2] }, new float[3], [0]), Is.EqualTo((float[])[0, 0, float.NegativeInfinity]));
        Assert.That(new ScoreProcessing(new() { MinNewTokens = 1, EosTokenIds = [2] }).ChangesScores);
    }

    [Test]
    public void A_prompt_leaves_room_for_a_token()
    {
        var generator = new Generator(new GenerationLimits(9, 3), null, () => throw new InvalidOperationException(), 1);
        Assert.That(() => generator.Check(new GenerationPrompt([1, 2], 0), new()), Throws.Nothing);
        Assert.That(() => generator.Check(new GenerationPrompt([1, 2, 3], 0), new()), Throws.TypeOf<UserErrorException>().With.Message.Contains("3 positions"));
    }

    // Each token is a byte: ten for five characters, which a window of five tokens and the margin would miss.
    [TestCase("x\u00e9\u00e9\u00e9\u00e9\u00e9", true)]
    [TestCase("x\u00e9\u00e9\u00e9\u00e9\u00e8", false)]
    public void A_stop_string_is_found_over_all_its_bytes(string text, bool found)
    {
        var tokenizer = ByteTokenizer.Create();
        Assert.That(new StopStrings(tokenizer, ["\u00e9\u00e9\u00e9\u00e9\u00e9"]).EndsWith([.. tokenizer.EncodeToIds(text, addSpecialTokens: false)]), Is.EqualTo(found));
    }

    // Token k is drawn by numbers from the sum of those before it to below its own; rounding must not reach what is banned.
    [Test]
    public void A_draw_falls_on_a_token_that_can_be()
    {
        Assert.That(TokenChoice.Drawn([0, 0], 0.5), Is.EqualTo(1));
        Assert.That(TokenChoice.Drawn([0, 0], Math.BitDecrement(0.5)), Is.Zero);
        float[] tenths = [.. new float[10], float.NegativeInfinity]; // ten tenths are less than 1 in float64
        Assert.That(TokenChoice.Drawn(tenths, Math.BitDecrement(1.0)), Is.EqualTo(9));
    }

    // (1 + end tokens) candidates for each beam, so that one is left to go on.
    [Test]
    public void A_beam_goes_on_where_all_end_tokens_are_better()
    {
        var options = new GenerationOptions { NumBeams = 1, EosTokenIds = [0, 1, 2], MaxNewTokens = 9 };
        var search = Begun(options);
        search.Step([new float[] { 4, 3, 2, 1, 0 }]);
        Assert.That(search.Open.Select(o => o.Token), Is.EqualTo((int[])[3]));
    }

    // With early_stopping never, the greatest length is what a beam may reach only where sums are divided by it.
    [Test]
    public void A_negative_length_penalty_measures_beams_at_their_own_length()
    {
        var options = new GenerationOptions { NumBeams = 2, EosTokenIds = [0], MaxNewTokens = 1000, LengthPenalty = -1, EarlyStopping = EarlyStopping.Never };
        var search = Begun(options);
        float[] scores = [0, 4, -4]; // log p: -4.02, -0.02, -8.02
        search.Step([scores]);
        // Ended now: -4.02 and 2 (-0.02 - 4.02). The best beam stands at 2 (-0.04); at 1000 tokens the same sum would be worse than both.
        search.Step([scores, scores]);
        Assert.That(search.Done, Is.False);
    }

    // LogitNormalization stands last: what is banned goes to the tokens that are left. A row in which all is banned has nothing to give.
    [Test]
    public void Log_probs_without_what_is_banned_sum_to_one_again_where_asked()
    {
        var half = -MathF.Log(2);
        var options = new GenerationOptions { SuppressTokens = [1], RenormalizeLogits = true };
        Assert.That(Applied(options, [-1, -1, -1], [0]), Is.EqualTo((float[])[half, float.NegativeInfinity, half]).Within(1e-7));
        Assert.That(Applied(options with { RenormalizeLogits = false }, [-1, -1, -1], [0]), Is.EqualTo((float[])[-1, float.NegativeInfinity, -1]));
        Assert.That(Applied(options with { SuppressTokens = [0, 1, 2] }, [-1, -1, -1], [0]), Has.All.EqualTo(float.NegativeInfinity));
        // The first beam's end, and the sums: of four equal tokens one is banned and three share what there is.
        var search = Begun(new() { NumBeams = 2, MaxNewTokens = 1, SuppressTokens = [3], RenormalizeLogits = true });
        search.Step([new float[4]]);
        Assert.That(search.Results[0].Score, Is.EqualTo(-Math.Log(3)).Within(1e-6));
    }

    private static BeamSearch Begun(GenerationOptions options)
    {
        var search = new BeamSearch(options, new ScoreProcessing(options), new Endings(options, null));
        search.Begin(0, [4]);
        return search;
    }

    private static float[] Applied(GenerationOptions options, float[] scores, int[] past)
    {
        new ScoreProcessing(options).Apply(scores, past, made: 0);
        return scores;
    }
}
