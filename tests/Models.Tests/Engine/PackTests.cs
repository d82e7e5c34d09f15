// Which rows a batch makes, what the head is asked, and what the answers mean.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class PackTests : ScopedTest
{
    private static readonly Place Place = new(torch.CPU, torch.float32, 32);

    [Test]
    public void The_last_token_of_a_completion_needs_no_row()
    {
        var group = new CompletionGroup([5, 6], [Completion.Of([7, 8, 9]), Completion.Of([1])]);
        using var pack = Pack.Of([group], 100, Place).Single();
        Assert.That(Pack.RowsOf(group), Is.EqualTo(4));
        Assert.That(pack.Tokens.data<long>().ToArray(), Is.EqualTo((long[])[5, 6, 7, 8]));
        Assert.That(pack.Positions.data<long>().ToArray(), Is.EqualTo((long[])[0, 1, 2, 3]));
        Assert.That(pack.HeadRows.data<long>().ToArray(), Is.EqualTo((long[])[1, 2, 3, 1]));
        Assert.That(pack.Targets.data<long>().ToArray(), Is.EqualTo((long[])[7, 8, 9, 1]));
        Assert.That(pack.Slots, Is.EqualTo((long[])[0, 1, 2, 3]));
    }

    [Test]
    public void Tokens_of_weight_0_are_not_asked_and_answer_0()
    {
        var model = Tiny.Model(torch.float32);
        var full = new CompletionGroup([5, 6], [Completion.Of([7, 8, 9, 10])]);
        var some = new CompletionGroup([5, 6], [new Completion([7, 8, 9, 10], [0, 1, 0, 0.5f])]);
        var none = new CompletionGroup([5, 6], [new Completion([7, 8], [0, 0])]);
        using (var pack = Pack.Of([none, some], 100, Place).Single())
        {
            Assert.That(pack.Targets.data<long>().ToArray(), Is.EqualTo((long[])[8, 10]));
            Assert.That(pack.Slots, Is.EqualTo((long[])[3, 5]));
            Assert.That(pack.Tokens.numel(), Is.EqualTo(5), "a group that is not asked for makes no rows");
        }
        var expected = Tiny.Answers(model, [full])[0];
        var actual = Tiny.Answers(model, [none, some]);
        Assert.That(actual[0], Is.EqualTo((double[])[0, 0]));
        Assert.That(actual[1], Is.EqualTo((double[])[0, expected[1], 0, expected[3]]).Within(1e-6));
        Assert.That(Tiny.Answers(model, [none])[0], Is.EqualTo((double[])[0, 0]));
    }

    [Test]
    public void Greedy_is_judged_on_the_tokens_that_are_asked()
    {
        var model = Tiny.Model(torch.float32);
        var engine = new LogProbEngine(model);
        var best = Enumerable.Range(0, Tiny.Vocabulary).Single(t => engine.Score([new CompletionGroup([5, 6, 7], [Completion.Of([t])])], ForwardMode.Plain)[0].IsGreedy);
        var worst = best == 0 ? 1 : 0;
        var answers = engine.Score([
            new CompletionGroup([5, 6], [new Completion([7, best], [0, 1]), new Completion([7, worst], [0, 1])]),
            new CompletionGroup([5], [new Completion([6], [0])])], ForwardMode.Plain);
        Assert.That(answers.Select(a => a.IsGreedy), Is.EqualTo((bool[])[true, false, true]));
        Assert.That(answers.Select(a => a.Tokens), Is.EqualTo((int[])[2, 2, 1]));
        Assert.That(answers[2].LogProb, Is.Zero);
    }

    [TestCase(true)]
    [TestCase(false)]
    public void A_completion_without_gradient_adds_none(bool together)
    {
        var model = Tiny.Model(torch.float64);
        var deltas = Tiny.Deltas(model, torch.float64).ToDictionary(d => d.Key, d => d.Value.With(role => d.Value.Parameters[role].detach().requires_grad_()));
        var leaves = deltas.Values.SelectMany(d => d.Parameters.Values).ToList();
        var (with, without) = (Completion.Of([7, 8, 9]), Completion.Of([3, 2]) with { Gradient = false });
        List<CompletionGroup> groups = together ? [new([5, 6], [with, without])] : [new([5, 6], [with]), new([5, 6], [without])];
        var engine = new LogProbEngine(model, together ? 100 : 1);
        var logProbs = engine.LogProbs(groups, new ForwardMode { Deltas = deltas });
        var mine = torch.autograd.grad([logProbs.sum()], leaves);
        var only = torch.autograd.grad([engine.LogProbs([new([5, 6], [with])], new ForwardMode { Deltas = deltas }).sum()], leaves);
        for (var k = 0; k < leaves.Count; k++) Assert.That(Tiny.Worst(mine[k], only[k]), Is.LessThan(1e-12));
        Assert.That(logProbs.narrow(0, 3, 2).max().item<double>(), Is.LessThan(0), "its log-probs are there all the same");
    }

    [Test]
    public void Broken_groups_are_refused()
    {
        Assert.That(() => Pack.Of([new([], [Completion.Of([1])])], 10, Place).ToList(), Throws.ArgumentException);
        Assert.That(() => Pack.Of([new([1], [Completion.Of([])])], 10, Place).ToList(), Throws.ArgumentException);
        Assert.That(() => Pack.Of([new([1], [new Completion([1, 2], [1])])], 10, Place).ToList(), Throws.ArgumentException);
    }

    [Test]
    public void Buckets_join_short_groups_and_leave_long_ones_alone()
    {
        static CompletionGroup Chain(int rows) => new([1], [Completion.Of(new int[rows])]);
        using var pack = Pack.Of([Chain(20), Chain(25), Chain(300), Chain(22), Chain(21)], 4096, Place with { QueryWidth = 64 }).Single();
        Assert.That(pack.Buckets.Select(b => (b.Shape.Start, b.Shape.Batch, b.Shape.Width)), Is.EqualTo(((int, int, int)[])[(0, 2, 25), (45, 1, 300), (345, 2, 22)]));
        using var wide = Pack.Of([Chain(20), Chain(25)], 4096, Place with { QueryWidth = 4096 }).Single();
        Assert.That(wide.Buckets, Has.Count.EqualTo(2), "padding costs a wide model more than a call");
    }
}
