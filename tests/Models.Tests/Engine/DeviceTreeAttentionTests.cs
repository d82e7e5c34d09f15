// The attention that devices use, on the processor, where libtorch has the same operator (or our composed stand-in for it), against the
// composed one: values and gradients of trees, chains, windows, prefixes and layers with a scale of their own.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class DeviceTreeAttentionTests : ScopedTest
{
    private static readonly List<CompletionGroup> Trees = [Group(3, 2, 4), Group(1, 1), Group(16, 1, 33), Group(5, 20), Group(40, 7, 9, 2)];
    private static readonly List<CompletionGroup> Chains = [Group(3, 4), Group(1, 1), Group(30, 5), Group(2, 25)];

    private static CompletionGroup Group(int prompt, params int[] answers) =>
        new([.. Enumerable.Range(0, prompt)], [.. answers.Select(n => Completion.Of([.. Enumerable.Range(0, n)]))]);

    [TestCase(4, 2, 6, null, true, true)]
    [TestCase(4, 2, 6, null, true, false)]
    [TestCase(6, 1, 16, null, false, true)]
    [TestCase(2, 2, 8, 7, true, true)]
    [TestCase(4, 4, 8, 1, false, false)]
    public void It_agrees_with_the_composed_one(int heads, int groups, int width, int? window, bool turned, bool buckets)
    {
        foreach (var (batch, factor) in ((List<CompletionGroup>, double)[])[(Trees, 1), (Chains, 1), (Trees, 0.7)])
        {
            using var pack = PackOf(batch, window, buckets);
            var spec = Tiny.Spec() with { Heads = heads, KeyValueHeads = groups, HeadWidth = width };
            var form = new AttentionForm(turned ? Rotary.Of(spec, pack.Positions, torch.float64) : null, factor / Math.Sqrt(width), null, window);
            Compare(pack, form, Inputs(pack, heads, groups, width, torch.float64), 1e-12);
        }
    }

    [TestCase(true)]
    [TestCase(false)]
    public void It_agrees_behind_prefixes(bool buckets)
    {
        var spec = Tiny.Spec() with { Heads = 4, KeyValueHeads = 2, HeadWidth = 8 };
        var mode = new ForwardMode { Deltas = new Dictionary<string, Delta> { [spec.Names.Embedding] = new PrefixKV(Tiny.Normal("kv", [3, 2 * spec.Layers * 2 * 8], torch.float64)) } };
        using var pack = PackOf(Trees, null, buckets, Fronts.Of(spec, mode));
        Tensor Prefix(string name) => Tiny.Normal(name, [3, 2, 8], torch.float64).requires_grad_();
        var form = new AttentionForm(Rotary.Of(spec, pack.Positions, torch.float64), 1 / Math.Sqrt(8)) { Prefix = (Prefix("keys"), Prefix("values")) };
        Compare(pack, form, Inputs(pack, 4, 2, 8, torch.float64), 1e-12);
    }

    [Test]
    public void In_bfloat16_it_is_as_near_to_float64_as_rounded_inputs_allow()
    {
        using var pack = PackOf(Trees, null, true, dtype: torch.bfloat16);
        using var same = PackOf(Trees, null, true);
        var narrow = Inputs(pack, 4, 2, 16, torch.bfloat16);
        var wide = narrow.Select(t => t.detach().to(torch.float64).requires_grad_()).ToArray();
        var form = new AttentionForm(null, 0.25);
        var (mine, composed) = (DeviceTreeAttention.Of(narrow[0], narrow[1], narrow[2], pack.Buckets, form), TreeAttention.Of(wide[0], wide[1], wide[2], same.Buckets, form));
        Assert.That(mine.dtype, Is.EqualTo(torch.bfloat16));
        Assert.That(Tiny.Worst(mine.to(torch.float64), composed), Is.LessThan(1.0 / 32));
        var weight = Tiny.Normal("g", composed.shape, torch.float64).to(torch.bfloat16);
        var (a, b) = (torch.autograd.grad([mine], [.. narrow], [weight]), torch.autograd.grad([composed], wide, [weight.to(torch.float64)]));
        for (var k = 0; k < 3; k++) Assert.That(Tiny.Worst(a[k].to(torch.float64), b[k]), Is.LessThan(1.0 / 8), $"gradient {k}");
    }

    [Test]
    public void It_is_taken_off_the_processor_alone_and_not_with_a_cap() => Assert.Multiple(() =>
    {
        var here = torch.zeros([1, 2, 16], torch.float32);
        Assert.That(DeviceTreeAttention.Takes(here, new AttentionForm(null, 0.25)), Is.False, "on the processor");
        if (TestDevice.Here.type == DeviceType.CPU) return;
        var there = here.to(TestDevice.Here);
        Assert.That(DeviceTreeAttention.Takes(there, new AttentionForm(null, 0.25)), Is.EqualTo(Torch.Extras.LibTorch.HasAttention));
        Assert.That(DeviceTreeAttention.Takes(there, new AttentionForm(null, 0.25, 30)), Is.False, "with a cap");
        Assert.That(DeviceTreeAttention.Takes(there.to(torch.bfloat16), new AttentionForm(null, 0.3)), Is.False, "with a factor that rounds");
    });

    private static void Compare(Pack pack, AttentionForm form, Tensor[] inputs, double tolerance)
    {
        Tensor[] leaves = form.Prefix is var (keys, values) ? [.. inputs, keys, values] : inputs;
        var (mine, composed) = (DeviceTreeAttention.Of(inputs[0], inputs[1], inputs[2], pack.Buckets, form), TreeAttention.Of(inputs[0], inputs[1], inputs[2], pack.Buckets, form));
        Assert.That(Tiny.Worst(mine, composed), Is.LessThan(tolerance));
        var weight = Tiny.Normal("g", composed.shape, torch.float64);
        var (a, b) = (torch.autograd.grad([mine], leaves, [weight]), torch.autograd.grad([composed], leaves, [weight]));
        for (var k = 0; k < leaves.Length; k++) Assert.That(Tiny.Worst(a[k], b[k]), Is.LessThan(tolerance), $"gradient {k}");
    }

    private static Tensor[] Inputs(Pack pack, int heads, int groups, int width, torch.ScalarType dtype)
    {
        var rows = pack.Tokens.numel();
        Tensor Leaf(string name, int count) => Tiny.Normal(name, [rows, count, width], torch.float32).to(dtype).detach().requires_grad_();
        return [Leaf("q", heads), Leaf("k", groups), Leaf("v", groups)];
    }

    // All groups in one bucket, padded, or each in its own.
    private static Pack PackOf(List<CompletionGroup> groups, long? window, bool oneBucket, Fronts? fronts = null, torch.ScalarType dtype = torch.ScalarType.Float64) =>
        Pack.Of(groups, 10000, new Place(torch.CPU, dtype, oneBucket ? 1 : 1 << 24) { Windows = [null, window] }, fronts).Single();
}
