// The fused attention of packed groups against the composed one in float64: values, gradients, and that a group's numbers depend
// neither on the groups beside it nor on threads.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class FusedTreeAttentionTests : ScopedTest
{
    private static readonly CompletionGroup Short = new([1, 2, 3], [Completion.Of([4, 5]), Completion.Of([6, 7, 8, 9])]);

    // Groups around the 48 rows of a block and the 16 columns of a vector; one with a single row.
    private static List<CompletionGroup> Trees => [Short, new([1], [Completion.Of([2])]), Group(60, 20, 37), Group(16, 1, 33), Group(5, 100)];

    private static CompletionGroup Group(int prompt, params int[] answers) =>
        new([.. Enumerable.Range(0, prompt)], [.. answers.Select(n => Completion.Of([.. Enumerable.Range(0, n)]))]);

    [TestCase(4, 2, 6, null, true)]
    [TestCase(4, 4, 16, null, true)]
    [TestCase(6, 1, 64, null, false)]
    [TestCase(2, 2, 80, 7, true)]
    [TestCase(4, 2, 32, 1, true)]
    [TestCase(2, 1, 20, 64, false)]
    public void It_agrees_with_the_composed_one(int heads, int groups, int width, int? window, bool turned)
    {
        using var pack = PackOf(Trees, window);
        var (single, wide) = (Inputs(pack, heads, groups, width, torch.float32), Inputs(pack, heads, groups, width, torch.float64));
        var spec = Tiny.Spec() with { Heads = heads, KeyValueHeads = groups, HeadWidth = width };
        AttentionForm Form(torch.ScalarType type) => new(turned ? Rotary.Of(spec, pack.Positions, type) : null, 1 / Math.Sqrt(width), null, window);
        var mine = FusedTreeAttention.apply(single[0], single[1], single[2], pack.Runs.Of(window), Form(torch.float32));
        var composed = TreeAttention.apply(wide[0], wide[1], wide[2], pack.Buckets, Form(torch.float64));
        Assert.That(Tiny.Worst(mine.to(torch.float64), composed), Is.LessThan(3e-6));
        var weight = Tiny.Normal("g", composed.shape, torch.float64);
        var (a, b) = (torch.autograd.grad([mine], [.. single], [weight.to(torch.float32)]), torch.autograd.grad([composed], [.. wide], [weight.to(torch.float32).to(torch.float64)]));
        for (var k = 0; k < 3; k++) Assert.That(Tiny.Worst(a[k].to(torch.float64), b[k]), Is.LessThan(2e-5), $"gradient {k}");
    }

    [Test]
    public void In_bfloat16_it_is_as_near_to_float64_as_rounded_inputs_allow()
    {
        using var pack = PackOf(Trees, null);
        var narrow = Inputs(pack, 4, 2, 32, torch.bfloat16);
        var wide = narrow.Select(t => t.detach().to(torch.float64).requires_grad_()).ToArray();
        var form = new AttentionForm(null, 0.3);
        var mine = FusedTreeAttention.apply(narrow[0], narrow[1], narrow[2], pack.Runs.Of(null), form);
        var composed = TreeAttention.apply(wide[0], wide[1], wide[2], pack.Buckets, form);
        Assert.That(mine.dtype, Is.EqualTo(torch.bfloat16));
        Assert.That(Tiny.Worst(mine.to(torch.float64), composed), Is.LessThan(1.0 / 128));
        var g = Tiny.Normal("g", composed.shape, torch.float64).to(torch.bfloat16);
        var (a, b) = (torch.autograd.grad([mine], [.. narrow], [g]), torch.autograd.grad([composed], wide, [g.to(torch.float64)]));
        for (var k = 0; k < 3; k++) Assert.That(Tiny.Worst(a[k].to(torch.float64), b[k]), Is.LessThan(1.0 / 16), $"gradient {k}");
    }

    [Test]
    public void A_groups_numbers_depend_on_nothing_beside_it()
    {
        using var off = torch.no_grad();
        using var alone = PackOf([Short], null);
        using var pack = PackOf(Trees, null);
        using var last = PackOf([.. Trees.Skip(1), Short], null);
        var own = Tiny.Normal("own", [alone.Tokens.numel(), 4, 16], torch.float32);
        Tensor Of(Pack some, long first, int threads)
        {
            var before = torch.get_num_threads();
            torch.set_num_threads(threads);
            try
            {
                var q = Tiny.Normal("rest", [some.Tokens.numel(), 4, 16], torch.float32);
                q.narrow(0, first, own.size(0)).copy_(own);
                return FusedTreeAttention.apply(q, q, q, some.Runs.Of(null), new AttentionForm(null, 0.3)).narrow(0, first, own.size(0)).clone();
            }
            finally
            {
                torch.set_num_threads(before);
            }
        }
        var expected = Of(alone, 0, 1);
        Assert.That(Of(pack, 0, 1).equal(expected), "first of several");
        Assert.That(Of(pack, 0, 4).equal(expected), "under more threads");
        Assert.That(Of(last, last.Tokens.numel() - own.size(0), 2).equal(expected), "last of several");
    }

    private static Tensor[] Inputs(Pack pack, int heads, int groups, int width, torch.ScalarType dtype)
    {
        var rows = pack.Tokens.numel();
        Tensor Leaf(string name, int count) => Tiny.Normal(name, [rows, count, width], torch.float32).to(dtype).detach().requires_grad_();
        return [Leaf("q", heads), Leaf("k", groups), Leaf("v", groups)];
    }

    private static Pack PackOf(List<CompletionGroup> groups, long? window) => Pack.Of(groups, 10000, new Place(torch.CPU, torch.float64, 64) { Windows = [null, window] }).Single();
}
