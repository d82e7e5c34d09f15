// The kernel of a head's figures, which never has the logits in memory, against the same composed in float64.

using PeftAlign.Torch.Extras;

namespace PeftAlign.Torch.Tests;

public sealed class HeadFiguresTests(string instructions) : ProductKernelTests(instructions)
{
    [SetUp]
    public void Kernels()
    {
        if (Products.Kernels == "libtorch") Assert.Ignore("this processor has no products of our own (AVX2)");
    }

    // Vocabularies around a step of 16, a block of 256 and the slices of 1024; rows around a tile of 6 and the 504 that are worked on at once.
    [TestCase(1, 1, 1)]
    [TestCase(3, 8, 17)]
    [TestCase(7, 48, 256)]
    [TestCase(33, 24, 259)]
    [TestCase(12, 300, 1041)]
    [TestCase(505, 16, 2049)]
    [TestCase(1100, 40, 9001)]
    [TestCase(5, 96, 32_000)]
    public void Figures_and_expected_rows_agree_with_float64(long rows, long width, long entries)
    {
        using var scope = torch.NewDisposeScope();
        var (hidden, head, targets) = Of(rows, width, entries);
        var (figures, mean) = Fused.HeadFigures(hidden, head, targets, expect: true);
        var wide = Products.Of(hidden, head.t()).to(torch.float64); // the logits as they are in float32: what is tested is all behind them
        var logProbs = wide.log_softmax(-1, torch.float64);
        Tensor[] expected =
        [
            logProbs.gather(1, targets.unsqueeze(1)).squeeze(1), logProbs.mean([1]), (logProbs.exp() * logProbs).sum(1).neg_(), wide.argmax(1).eq(targets).to(torch.float64), (logProbs * 2).logsumexp(1),
            wide.mean([1]), 1 / (wide - wide.amax([1], keepdim: true)).exp().sum(1),
        ];
        foreach (var figure in Enum.GetValues<TargetFigure>()) Near.AssertNear(figures.select(0, (long)figure), expected[(int)figure], 2e-6);
        Near.AssertNear(mean!, logProbs.exp().mm(head.to(torch.float64)), 2e-6);
        var (again, none) = Fused.HeadFigures(hidden, head, targets, expect: false);
        Assert.That((again.equal(figures), none), Is.EqualTo((true, (Tensor?)null)));
    }

    // A policy whose head an adapter changes, and its reference, must agree where the change is nothing.
    [TestCase(1, 1, 1)]
    [TestCase(7, 48, 256)]
    [TestCase(33, 24, 259)]
    [TestCase(505, 16, 2049)]
    [TestCase(40, 40, 9001)]
    [TestCase(5, 96, 32_000)]
    public void Logits_in_memory_have_the_same_figures_bit_for_bit(long rows, long width, long entries)
    {
        using var scope = torch.NewDisposeScope();
        foreach (var (hidden, head, bias, targets) in Narrowed(rows, width, entries))
        {
            foreach (var added in (Tensor?[])[null, bias])
            {
                var logits = Products.Linear(hidden, head, added);
                var kept = logits.clone();
                Assert.That(Fused.LogitsFigures(logits, targets).equal(Fused.HeadFigures(hidden, head, targets, expect: false, added).Figures), Is.True, $"{head.dtype}, {(added is null ? "no" : "a")} bias");
                Assert.That(logits.equal(kept), Is.True, "the logits stay as they are");
            }
        }
        var wrong = Assert.Throws<TorchException>(() => Fused.LogitsFigures(torch.zeros([1, 3]), torch.tensor([3L])));
        Assert.That(wrong!.Message, Does.Contain("target 3 of 3 entries"));
    }

    // A bias begins each sum, as in products.
    [TestCase(1, 1, 1)]
    [TestCase(33, 24, 259)]
    [TestCase(505, 16, 2049)]
    [TestCase(5, 96, 32_000)]
    public void A_bias_is_added_to_each_logit(long rows, long width, long entries)
    {
        using var scope = torch.NewDisposeScope();
        foreach (var (hidden, head, bias, targets) in Narrowed(rows, width, entries))
        {
            var (figures, mean) = Fused.HeadFigures(hidden, head, targets, expect: true, bias);
            var logProbs = Products.Linear(hidden, head, bias).to(torch.float64).log_softmax(-1, torch.float64);
            Near.AssertNear(figures.select(0, (long)TargetFigure.LogProb), logProbs.gather(1, targets.unsqueeze(1)).squeeze(1), 1e-5);
            if (head.dtype == torch.float32) Near.AssertNear(mean!, logProbs.exp().mm(head.to(torch.float64)), 2e-6);
            var (none, noneMean) = Fused.HeadFigures(hidden, head, targets, expect: true);
            var (zero, zeroMean) = Fused.HeadFigures(hidden, head, targets, expect: true, torch.zeros([entries]).to(head.dtype));
            Assert.That((zero.equal(none), zeroMean!.equal(noneMean!), entries > 1 && figures.equal(none)), Is.EqualTo((true, true, false)), $"{head.dtype}, a bias of 0");
        }
    }

    [TestCase(3, torch.ScalarType.Float32)]
    [TestCase(4, torch.ScalarType.Float64)]
    public void A_bias_of_another_shape_or_dtype_is_refused(long entries, torch.ScalarType dtype)
    {
        using var scope = torch.NewDisposeScope();
        Assert.That(() => Fused.HeadFigures(torch.zeros([1, 2], torch.float32), torch.zeros([4, 2], torch.float32), torch.tensor([1L]), expect: false, torch.zeros([entries]).to(dtype)), Throws.TypeOf<TorchException>().With.Message.Contains("a bias of (4)"));
    }

    // Weights of the mean are rounded to 8 bits each by itself; an odd vocabulary has a last row of its own.
    [TestCase(3, 8, 17)]
    [TestCase(33, 24, 259)]
    [TestCase(505, 16, 2049)]
    [TestCase(5, 96, 32_000)]
    public void Figures_and_expected_rows_in_bfloat16(long rows, long width, long entries)
    {
        using var scope = torch.NewDisposeScope();
        if (Products.KernelsOf(torch.bfloat16) == "libtorch") Assert.Ignore("this processor's bfloat16 products are libtorch's: it has AMX");
        var (wideHidden, wideHead, targets) = Of(rows, width, entries);
        var (hidden, head) = (wideHidden.to(torch.bfloat16), wideHead.to(torch.bfloat16));
        var (figures, mean) = Fused.HeadFigures(hidden, head, targets, expect: true);
        var logits = Products.Of(hidden, head.t()).to(torch.float64); // as they are where they are kept
        var logProbs = logits.log_softmax(-1, torch.float64);
        Near.AssertNear(figures.select(0, (long)TargetFigure.LogProb), logProbs.gather(1, targets.unsqueeze(1)).squeeze(1), 1e-5);
        Near.AssertNear(figures.select(0, (long)TargetFigure.Entropy), (logProbs.exp() * logProbs).sum(1).neg_(), 1e-5);
        var p = logProbs.exp();
        var rounding = p.square().mm(head.to(torch.float64).square()).sqrt_().mul_(Math.Pow(2, -9)); // of independent errors of 2^-9 of each weight
        Assert.That(((mean!.to(torch.float64) - p.mm(head.to(torch.float64))).abs() / (rounding + 1e-6)).amax([0, 1]).item<double>(), Is.LessThan(4));
        var (again, _) = Fused.HeadFigures(hidden.narrow(0, 1, 2), head, targets.narrow(0, 1, 2), expect: false);
        Assert.That(again.equal(figures.narrow(1, 1, 2)), Is.True, "rows alone have the same bits");
    }

    [Test]
    public void A_row_has_the_same_bits_alone_and_among_others_on_any_number_of_threads()
    {
        using var scope = torch.NewDisposeScope();
        var (hidden, head, targets) = Of(700, 40, 5000);
        var (figures, mean) = Fused.HeadFigures(hidden, head, targets, expect: true);
        foreach (var (first, count) in ((long, long)[])[(0, 1), (5, 7), (503, 2), (100, 600)])
        {
            var (own, ownMean) = Fused.HeadFigures(hidden.narrow(0, first, count), head, targets.narrow(0, first, count), expect: true);
            Assert.That((own.equal(figures.narrow(1, first, count)), ownMean!.equal(mean!.narrow(0, first, count))), Is.EqualTo((true, true)), $"rows {first} to {first + count}");
        }
        var threads = torch.get_num_threads();
        try
        {
            foreach (var n in (int[])[1, 3, 8, 40])
            {
                torch.set_num_threads(n);
                var (own, ownMean) = Fused.HeadFigures(hidden, head, targets, expect: true);
                Assert.That((own.equal(figures), ownMean!.equal(mean!)), Is.EqualTo((true, true)), $"{n} threads");
            }
        }
        finally
        {
            torch.set_num_threads(threads);
        }
    }

    // What was summed under a smaller logit counts little, or nothing, beside a later one.
    [TestCase(1f)]
    [TestCase(60f)]
    [TestCase(3000f)]
    public void The_largest_logit_may_come_last(float slope)
    {
        using var scope = torch.NewDisposeScope();
        var head = torch.arange(3000).to(torch.float32).mul_(slope / 3000).view(3000, 1);
        var hidden = torch.tensor([1f, -1, 0]).view(3, 1);
        var (figures, mean) = Fused.HeadFigures(hidden, head, torch.tensor([2999L, 0, 0]), expect: true);
        var p = hidden.to(torch.float64).mm(head.to(torch.float64).t()).log_softmax(-1, torch.float64);
        Near.AssertNear(figures.select(0, (long)TargetFigure.LogProb), torch.stack([p[0, 2999], p[1, 0], p[2, 0]]), 1e-6);
        Near.AssertNear(figures.select(0, (long)TargetFigure.Entropy), (p.exp() * p).sum(1).neg_(), 1e-5);
        Near.AssertNear(mean!, p.exp().mm(head.to(torch.float64)), 2e-6);
        Assert.That(figures.select(0, (long)TargetFigure.ArgmaxHit).data<float>().ToArray(), Is.EqualTo((float[])[1, 1, 1]), "of equal ones the first");
    }

    [Test]
    public void Of_equal_logits_in_several_blocks_and_slices_the_first_is_the_most_probable()
    {
        using var scope = torch.NewDisposeScope();
        var head = torch.zeros([4000, 1], torch.float32);
        foreach (var entry in (long[])[300, 301, 1500, 3999]) head[entry] = torch.tensor([2f]);
        var targets = torch.tensor([300L, 301, 1500, 3999, 0]);
        var figures = Fused.HeadFigures(torch.ones([5, 1], torch.float32), head, targets, expect: false).Figures;
        Assert.That(figures.select(0, (long)TargetFigure.ArgmaxHit).data<float>().ToArray(), Is.EqualTo((float[])[1, 0, 0, 0, 0]));
    }

    [Test]
    public void Logits_that_are_not_finite_are_not_hidden()
    {
        using var scope = torch.NewDisposeScope();
        var head = torch.ones([3000, 2], torch.float32);
        head[5, 1] = torch.tensor(float.NaN);
        head[2900, 1] = torch.tensor(float.PositiveInfinity);
        var hidden = torch.tensor([1f, 1, float.NaN, 0]).view(2, 2);
        var (figures, mean) = Fused.HeadFigures(hidden, head, torch.tensor([7L, 7]), expect: true);
        Assert.That(figures.select(0, (long)TargetFigure.LogProb).data<float>().ToArray(), Is.All.NaN);
        Assert.That(mean!.isnan().any().item<bool>(), Is.True);
    }

    // A block, a slice and a whole row of impossible entries; a logit near the largest float beside a row's end.
    [Test]
    public void Impossible_entries_take_no_part()
    {
        using var scope = torch.NewDisposeScope();
        var (hidden, head) = (torch.ones([1, 1], torch.float32), torch.zeros([2991, 1], torch.float32));
        head.narrow(0, 0, 1600).fill_(float.NegativeInfinity);
        var (figures, mean) = Fused.HeadFigures(hidden, head, torch.tensor([2000L]), expect: false);
        Assert.That(figures.select(0, (long)TargetFigure.LogProb).item<float>(), Is.EqualTo(-Math.Log(1391)).Within(1e-6));
        Assert.That(Fused.HeadFigures(hidden, head, torch.tensor([5L]), expect: false).Figures.select(0, (long)TargetFigure.LogProb).item<float>(), Is.EqualTo(float.NegativeInfinity));
        var none = Fused.HeadFigures(hidden, head.fill_(float.NegativeInfinity), torch.tensor([0L]), expect: false).Figures;
        Assert.That((none.select(0, (long)TargetFigure.LogProb).item<float>(), none.select(0, (long)TargetFigure.ArgmaxHit).item<float>()), Is.EqualTo((float.NaN, 0f)));
        head.zero_();
        head[2990] = torch.tensor([2e38f]);
        var one = Fused.HeadFigures(hidden, head, torch.tensor([2990L]), expect: false).Figures;
        Assert.That((one.select(0, (long)TargetFigure.LogProb).item<float>(), one.select(0, (long)TargetFigure.Entropy).item<float>()), Is.EqualTo((0f, 0f)));
        var low = Fused.HeadFigures(hidden, head.fill_(-3e38f), torch.tensor([7L]), expect: false).Figures;
        Assert.That(low.select(0, (long)TargetFigure.Entropy).item<float>(), Is.EqualTo(Math.Log(2991)).Within(1e-5));
        Assert.That(mean, Is.Null);
    }

    [Test]
    public void One_column_and_no_rows_at_all()
    {
        using var scope = torch.NewDisposeScope();
        var head = Near.Random([20, 1], "head").to(torch.float32);
        var turned = torch.ones([1, 5], torch.float32).t(); // contiguous, and yet of another distance from column to column
        Assert.That(Fused.HeadFigures(turned, head, torch.zeros([5], torch.int64), expect: true).Figures.equal(Fused.HeadFigures(torch.ones([5, 1], torch.float32), head, torch.zeros([5], torch.int64), expect: true).Figures), Is.True);
        Assert.That(Fused.HeadFigures(torch.ones([0, 1], torch.float32), head, torch.zeros([0], torch.int64), expect: true).Figures.shape, Is.EqualTo((long[])[7, 0]));
    }

    // Two numbers of 16 bits are read at once, from row to row a whole number of them apart.
    [Test]
    public void Rows_of_bfloat16_that_lie_an_odd_number_apart_are_refused()
    {
        using var scope = torch.NewDisposeScope();
        if (Products.KernelsOf(torch.bfloat16) == "libtorch") Assert.Ignore("this processor's bfloat16 products are libtorch's: it has AMX");
        var head = torch.zeros([20, 9]).to(torch.bfloat16).narrow(1, 0, 8);
        Assert.That(() => Fused.HeadFigures(torch.zeros([2, 8]).to(torch.bfloat16), head, torch.zeros([2], torch.int64), expect: false), Throws.TypeOf<TorchException>().With.Message.Contains("with whole rows"));
    }

    [TestCase(4L, "of 4 entries")]
    [TestCase(-1L, "of 4 entries")]
    public void A_target_that_is_no_entry_is_refused(long target, string said)
    {
        using var scope = torch.NewDisposeScope();
        Assert.That(() => Fused.HeadFigures(torch.zeros([1, 2], torch.float32), torch.zeros([4, 2], torch.float32), torch.tensor([target]), expect: false), Throws.TypeOf<TorchException>().With.Message.Contains(said));
    }

    // In each dtype that these kernels have here: bfloat16 products are libtorch's where a processor has AMX.
    private static IEnumerable<(Tensor Hidden, Tensor Head, Tensor Bias, Tensor Targets)> Narrowed(long rows, long width, long entries)
    {
        var (hidden, head, targets) = Of(rows, 2 * width, entries);
        var bias = Near.Random([entries], "bias") * 3;
        return ((torch.ScalarType[])[torch.float32, torch.bfloat16]).Select(dtype => (hidden.to(dtype), head.to(dtype), bias.to(dtype), targets)).Where(made => Fused.HasHead(made.Item1, made.Item2));
    }

    private static (Tensor Hidden, Tensor Head, Tensor Targets) Of(long rows, long width, long entries)
    {
        var hidden = (Near.Random([rows, width], "hidden") * (6 / Math.Sqrt(width))).to(torch.float32);
        var head = Near.Random([entries, width], "head").to(torch.float32);
        return (hidden, head, (torch.arange(rows) * 7919).remainder(entries));
    }
}
