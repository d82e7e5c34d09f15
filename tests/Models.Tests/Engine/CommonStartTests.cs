// What a policy and its reference have in common is computed once, and every number is what a pass of its own gives, bit for bit.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class CommonStartTests : ScopedTest
{
    private static readonly List<CompletionGroup> Batch = [.. Tiny.Groups(5, longest: 9), .. Tiny.Groups(1, longest: 30), new([1, 2], [Completion.Of([3, 4]) with { Gradient = false }])];

    private static IEnumerable<string> Names => Families.Names;

    // Stands for a matrix in fewer bits; says how often it was asked for.
    private sealed class Counted(Tensor matrix) : QuantizedMatrix(matrix.size(0), matrix.size(1))
    {
        internal int Decoded { get; private set; }

        public override torch.Device Device => matrix.device;

        public override torch.ScalarType StoredType => matrix.dtype;

        public override long Bytes => 0;

        public override IReadOnlyDictionary<string, Tensor> Parts => new Dictionary<string, Tensor>();

        public override void Decode(Tensor target)
        {
            Decoded++;
            target.copy_(matrix);
        }

        protected override void Dispose(bool disposing)
        {
        }
    }

    private static Dictionary<string, Delta> Of(DecoderModel model, torch.ScalarType dtype, Func<string, bool> module, double dropout = 0) =>
        Tiny.Deltas(model, dtype, dropout).Where(d => module(d.Key)).ToDictionary(d => d.Key, d => d.Value.With(role => d.Value.Parameters[role].detach().clone().requires_grad_()));

    private static (Tensor LogProbs, Tensor? Reference, List<Tensor> Gradients) Passed(DecoderModel model, ForwardMode mode, PassNeeds needs, long packRows)
    {
        var leaves = mode.Deltas.SelectMany(d => d.Value.Parameters.Values).ToList();
        foreach (var leaf in leaves) leaf.grad = null;
        using var pass = new LogProbEngine(model, packRows).Pass(Batch, mode, needs);
        (pass.LogProbs * torch.arange(pass.LogProbs.numel(), torch.float32, pass.LogProbs.device).sin()).sum().backward();
        pass.Backward();
        return (pass.LogProbs.detach(), pass.Reference, [.. leaves.Select(leaf => leaf.grad!.clone())]);
    }

    private static void AssertSame(DecoderModel model, ForwardMode mode, ForwardMode reference, string what)
    {
        foreach (var packRows in (long[])[1, 40, 4096])
            foreach (var recompute in (bool[])[false, true])
            {
                var (together, alone) = (Passed(model, mode, new PassNeeds { Reference = new(model, reference), Recompute = recompute }, packRows), Passed(model, mode, new PassNeeds { Recompute = recompute }, packRows));
                using var off = torch.no_grad();
                Assert.That(together.LogProbs.equal(alone.LogProbs), Is.True, what);
                Assert.That(together.Reference!.equal(new LogProbEngine(model, packRows).LogProbs(Batch, reference)), Is.True, what);
                foreach (var (grad, own) in together.Gradients.Zip(alone.Gradients)) Assert.That(grad.equal(own), Is.True, what);
            }
    }

    [TestCaseSource(nameof(Names))]
    public void Numbers_are_those_of_passes_of_their_own(string family)
    {
        foreach (var dtype in (torch.ScalarType[])[torch.float32, torch.bfloat16])
        {
            var model = Tiny.Model(dtype, Families.Spec(family));
            var (prefix, attention) = (model.Spec.Names.Blocks, model.Spec.Block.AttentionInputs[^1].Name);
            var other = new ForwardMode { Deltas = Of(model, torch.float32, name => name.StartsWith($"{prefix}1.", StringComparison.Ordinal)).ToDictionary(d => d.Key, d => d.Value.With(role => d.Value.Parameters[role].detach() * 2)) };
            foreach (var (what, module) in ((string, Func<string, bool>)[])[("all", _ => true), ("some of the attention", name => name.EndsWith(attention, StringComparison.Ordinal)),
                ("none of the attention", name => !model.Spec.Block.AttentionInputs.Any(linear => name.EndsWith(linear.Name, StringComparison.Ordinal))), ("the last block", name => name.StartsWith($"{prefix}1.", StringComparison.Ordinal))])
            {
                var mode = new ForwardMode { Deltas = Of(model, torch.float32, module) };
                AssertSame(model, mode, ForwardMode.Plain, $"{what}, {dtype}");
                AssertSame(model, mode, other, $"{what}, {dtype}, beside another adapter");
            }
            AssertSame(model, new ForwardMode { Deltas = Of(model, torch.float32, _ => true, dropout: 0.3), Dropout = new DropoutKey(3, 5) }, ForwardMode.Plain, $"dropout, {dtype}");
        }
    }

    // Changes before the blocks, and of norms.
    [Test]
    public void What_changes_the_start_is_not_shared()
    {
        var model = Tiny.Model(torch.float32);
        Tensor Leaf(string name, params long[] shape) => Tiny.Normal(name, shape, torch.float32).requires_grad_();
        var all = Of(model, torch.float32, name => name.EndsWith("q_proj", StringComparison.Ordinal));
        foreach (var (module, delta) in ((string, Delta)[])[("model.embed_tokens", new TokenRows([4, 7], Leaf("rows", 2, 24))), ("model.layers.0.input_layernorm", new Whole(Leaf("norm", 24), null)), ("model.layers.0.self_attn.k_proj", new Scale(Leaf("scale", 24), OfInputs: true))])
            AssertSame(model, new ForwardMode { Deltas = all.Append(new(module, delta)).ToDictionary() }, ForwardMode.Plain, module);
    }

    // Each matrix is decoded for the reference, for the policy, and where a gradient flows through it; what is shared once less.
    [TestCase("model.layers.0.", false, 3)]
    [TestCase("model.layers.1.", false, 7)]
    [TestCase("model.layers.1.", true, 7)]
    public void What_is_common_is_computed_once(string changed, bool beside, int shared)
    {
        var whole = Tiny.Model(torch.float32);
        var matrices = whole.Spec.Weights().Where(w => w.Role == WeightRole.Matrix && w.Name.Contains("layers", StringComparison.Ordinal)).ToDictionary(w => w.Name, w => (QuantizedMatrix)new Counted(whole.Weights[w.Name]));
        var model = new DecoderModel(whole.Spec, whole.Weights.Where(w => !matrices.ContainsKey(w.Key)).ToDictionary(), matrices);
        var deltas = Of(whole, torch.float32, name => name.StartsWith(changed, StringComparison.Ordinal));
        var reference = beside ? new ForwardMode { Deltas = deltas.ToDictionary(d => d.Key, d => d.Value.With(role => d.Value.Parameters[role].detach() * 2)) } : ForwardMode.Plain;
        int Decoded(ReferencePolicy? under)
        {
            var before = matrices.Values.Sum(m => ((Counted)m).Decoded);
            using var pass = new LogProbEngine(model).Pass(Batch, new ForwardMode { Deltas = deltas }, new PassNeeds { Reference = under });
            return matrices.Values.Sum(m => ((Counted)m).Decoded) - before;
        }
        Assert.That(Decoded(new(model, reference)), Is.EqualTo(2 * Decoded(null) - shared));
    }
}
