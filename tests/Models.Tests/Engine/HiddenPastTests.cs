// Hidden past tokens: what follows a hidden token does not depend on which token it is, the token's own row does; shares are drawn for
// each group and update; packing plays no part; and nothing is hidden where the key asks for nothing.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class HiddenPastTests : ScopedTest
{
    private static ForwardMode Hiding(double share, long step = 0) => new() { Dropout = new DropoutKey(5, step) { HiddenPast = share } };

    private static HashSet<int> Hidden(CompletionGroup group, double share, long step, DecoderModel model)
    {
        using var pack = Pack.Of([group], 4096, Place.Of(model), dropout: Hiding(share, step).Dropout).Single();
        return [.. pack.Segments.Single().Hidden];
    }

    [TestCase("llama", """{"sliding_window":null}""")]
    [TestCase("mistral", """{"sliding_window":12}""")]
    [TestCase("gpt2", """{"n_positions":64}""")]
    public void What_follows_a_hidden_token_does_not_depend_on_it(string architecture, string settings)
    {
        var model = Tiny.Model(torch.float64, Tiny.Spec(architecture, settings));
        int[] ids = [.. Enumerable.Range(0, 40).Select(k => k * 7 % Tiny.Vocabulary)];
        CompletionGroup Row(int changed)
        {
            int[] own = [.. ids];
            if (changed >= 0) own[changed] = (own[changed] + 1) % Tiny.Vocabulary;
            return new CompletionGroup(own[..5], [Completion.Of(own[5..])]);
        }
        var hidden = Hidden(Row(-1), 0.9, 3, model);
        Assert.That(hidden, Has.Count.GreaterThan(3).And.None.EqualTo(0));
        var whole = Tiny.Answers(model, [Row(-1)], mode: Hiding(0.9, 3))[0];
        for (var at = 6; at < 38; at++)
        {
            var other = Tiny.Answers(model, [Row(at)], mode: Hiding(0.9, 3))[0];
            // Answer k belongs to token 5 + k; the changed token's own row predicts the one behind it.
            var later = Enumerable.Range(at + 2 - 5, whole.Length - (at + 2 - 5)).Max(k => Math.Abs(whole[k] - other[k]));
            Assert.That(later, hidden.Contains(at) ? Is.LessThan(1e-12) : Is.GreaterThan(1e-6), $"token {at}");
            Assert.That(Math.Abs(whole[at + 1 - 5] - other[at + 1 - 5]), Is.GreaterThan(1e-9), "a token sees itself");
        }
    }

    [Test]
    public void Shares_lie_below_the_largest_and_are_drawn_for_each_group_and_update()
    {
        var model = Tiny.Model(torch.float32);
        var group = new CompletionGroup([1], [Completion.Of([.. Enumerable.Repeat(2, 400)])]);
        var shares = Enumerable.Range(0, 60).Select(step => Hidden(group, 0.15, step, model).Count / 400.0).ToList();
        Assert.That(shares.Max(), Is.InRange(0.09, 0.2));
        Assert.That(shares.Min(), Is.LessThan(0.03));
        Assert.That(shares.Average(), Is.InRange(0.05, 0.1), "half of the largest share");
        Assert.That(Hidden(group, 0, 1, model), Is.Empty);
    }

    [TestCase(1)]
    [TestCase(64)]
    public void Packing_plays_no_part(long packRows)
    {
        var model = Tiny.Model(torch.float64);
        var batch = Tiny.Groups(12);
        var whole = Tiny.Answers(model, batch, 4096, mode: Hiding(0.5));
        Tiny.AssertNear(Tiny.Answers(model, batch, packRows, mode: Hiding(0.5)), whole, 1e-10);
        Assert.That(Tiny.Answers(model, batch).SelectMany(a => a).Zip(whole.SelectMany(a => a), (a, b) => Math.Abs(a - b)).Max(), Is.GreaterThan(1e-3), "and it hides something");
    }
}
