// What stands before the text. Virtual tokens that are some tokens' vectors are these tokens; a prefix of the keys and values that some
// tokens have is these tokens; in every family, with windows, stretched positions, learned positions, scaled embeddings. And: gradients,
// controls by row, independence of packing, a reference without them.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class FrontTests : ScopedTest
{
    private static readonly int[] Before = [3, 17, 8, 8, 21];
    private static readonly List<CompletionGroup> Batch = [.. Tiny.Groups(6, longest: 9), .. Tiny.Groups(1, longest: 30)];

    private static IEnumerable<string> Names => Families.Names;

    private static CompletionGroup After(int[] before, CompletionGroup group) => group with { Prompt = [.. before, .. group.Prompt] };

    private static ForwardMode At(DecoderModel model, Delta delta) => new() { Deltas = new Dictionary<string, Delta> { [model.Spec.Names.Embedding] = delta } };

    // The vectors of some tokens, as the first block takes them.
    private static VirtualTokens Vectors(DecoderModel model, int[] ids)
    {
        var rows = model.Weights[model.Spec.Names.Embedding + ".weight"].index_select(0, torch.tensor(ids.Select(id => (long)id).ToArray(), device: model.Device));
        return new VirtualTokens(model.Spec.EmbeddingScale is { } scale ? rows * torch.tensor(scale, rows.dtype, rows.device) : rows);
    }

    [TestCaseSource(nameof(Names))]
    public void Virtual_tokens_that_are_tokens_vectors_are_these_tokens(string family)
    {
        var model = Tiny.Model(torch.float64, Families.Spec(family));
        var real = Tiny.Answers(model, [.. Batch.Select(g => After(Before, g))]);
        var mode = At(model, Vectors(model, Before));
        foreach (var packRows in (long[])[1, 25, 4096]) Tiny.AssertNear(Tiny.Answers(model, Batch, packRows, mode: mode), real, 1e-9);
        var stacked = At(model, new Stack([Vectors(model, Before[..2]), Vectors(model, Before[2..])]));
        Tiny.AssertNear(Tiny.Answers(model, Batch, mode: stacked), real, 1e-9);
        var logits = new LogProbEngine(model).Logits([Batch[1]], mode)[0];
        var all = new LogProbEngine(model).Logits([After(Before, Batch[1])], ForwardMode.Plain)[0];
        Assert.That(Tiny.Worst(logits, all.narrow(0, Before.Length, logits.size(0))), Is.LessThan(1e-9));
    }

    [TestCaseSource(nameof(Names))]
    public void A_prefix_that_is_tokens_keys_and_values_is_these_tokens(string family)
    {
        var model = Tiny.Model(torch.float64, Families.Spec(family));
        foreach (var group in Batch)
        {
            // One length, so that keys are turned by the frequencies of the whole.
            foreach (var one in group.Completions.Select(c => group with { Completions = [c] }))
            {
                var real = Tiny.Answers(model, [After(Before, one)]);
                var mode = At(model, Recorded(model, After(Before, one), Before.Length));
                Tiny.AssertNear(Tiny.Answers(model, [one], mode: mode), real, 1e-9);
            }
        }
    }

    [Test]
    public void A_shared_prefix_stands_before_every_answer_of_every_group()
    {
        var model = Tiny.Model(torch.float64);
        var prefix = Recorded(model, After(Before, Batch[0]), Before.Length); // the plain rotation: the same before any text
        var real = Tiny.Answers(model, [.. Batch.Select(g => After(Before, g))]);
        foreach (var packRows in (long[])[1, 25, 4096]) Tiny.AssertNear(Tiny.Answers(model, Batch, packRows, mode: At(model, prefix)), real, 1e-9);
        var both = At(model, new Stack([Vectors(model, Before[3..]), Recorded(model, After(Before, Batch[0]), 3)]));
        Tiny.AssertNear(Tiny.Answers(model, Batch, mode: both), real, 1e-9); // keys and values stand first, virtual tokens after them
    }

    [TestCaseSource(nameof(Names))]
    public void Gradients_by_finite_differences(string family)
    {
        var model = Tiny.Model(torch.float64, Families.Spec(family));
        var (spec, d) = (model.Spec, model.Spec.EmbeddingWidth);
        var (width, flat) = (spec.KeyValueHeads * spec.HeadWidth, 2 * spec.Layers * spec.KeyValueHeads * spec.HeadWidth);
        var engine = new LogProbEngine(model, packRows: 40);
        Tensor Leaf(string name, params long[] shape) => Tiny.Normal(name, shape, torch.float64, 0.5).requires_grad_();
        Delta[] deltas =
        [
            new VirtualTokens(Leaf("tokens", 3, d)),
            new PrefixKV(Leaf("prefix", 3, flat)),
            new PrefixKV(Leaf("inner", 2, width)) { Projection = new(Leaf("w1", 5, width), Leaf("b1", 5), Leaf("w2", flat, 5), Leaf("b2", flat)) },
            new Stack([new PrefixKV(Leaf("stacked", 2, flat)), new VirtualTokens(Leaf("more", 2, d))]),
        ];
        foreach (var delta in deltas)
        {
            Tensor Loss() => (engine.LogProbs(Batch[..4], At(model, delta)) * torch.arange(Batch[..4].Sum(g => g.Completions.Sum(c => c.Tokens.Length)), torch.float64, TestDevice.Here).sin()).sum();
            GradientTests.AssertGradients(Loss, delta.Parameters.Select(p => (p.Key, p.Value)), 2e-6, entries: 4);
        }
    }

    [TestCase("llama with biases")]
    [TestCase("gpt2")]
    [TestCase("gemma2")]
    public void A_network_over_a_modules_output_is_its_formula(string family)
    {
        var model = Tiny.Model(torch.float64, Families.Spec(family));
        var block = model.Spec.Block;
        Tensor Leaf(string name, params long[] shape) => Tiny.Normal(name, shape, torch.float64, 0.3).requires_grad_();
        var deltas = new[] { block.AttentionOutput, block.FeedForwardOutput }.ToDictionary(l => $"{model.Spec.Names.Blocks}1.{l.Name}", l =>
            (Delta)new Wrap(Leaf("d" + l.Name, 4, l.Outputs), Leaf("b" + l.Name, 4), Leaf("u" + l.Name, l.Outputs, 4), Leaf("c" + l.Name, l.Outputs), Activation.Gelu));
        var mode = new ForwardMode { Deltas = deltas };
        Tensor Loss() => new LogProbEngine(model, packRows: 40).LogProbs(Batch[..4], mode).sum();
        GradientTests.AssertGradients(Loss, deltas.SelectMany(m => m.Value.Parameters.Select(p => ($"{m.Key}.{p.Key}", p.Value))), 2e-6, entries: 4);
        // A network whose second layer gives one constant is a bias of the module.
        var (name, last) = ($"{model.Spec.Names.Blocks}1.{block.FeedForwardOutput.Name}", block.FeedForwardOutput);
        var shift = Leaf("shift", last.Outputs);
        var constant = new Wrap(Leaf("any", 4, last.Outputs), Leaf("thing", 4), torch.zeros([last.Outputs, 4], torch.float64), shift, Activation.Silu);
        ForwardMode One(Delta delta) => new() { Deltas = new Dictionary<string, Delta> { [name] = delta } };
        if (model.Weights.TryGetValue(name + ".bias", out var bias))
            Tiny.AssertNear(Tiny.Answers(model, Batch, mode: One(constant)), Tiny.Answers(model, Batch, mode: One(new Whole(null, bias + shift))), 1e-9);
    }

    [Test]
    public void A_group_has_the_front_that_its_control_names()
    {
        var model = Tiny.Model(torch.float64);
        var flat = 2 * model.Spec.Layers * model.Spec.KeyValueHeads * model.Spec.HeadWidth;
        var (common, good, bad) = ((Delta)Vectors(model, [5]), (Delta)new Stack([Vectors(model, Before), new PrefixKV(Tiny.Normal("good", [2, flat], torch.float64))]), (Delta)new PrefixKV(Tiny.Normal("bad", [3, flat], torch.float64)));
        IReadOnlyDictionary<string, Delta> Embedding(Delta delta) => new Dictionary<string, Delta> { [model.Spec.Names.Embedding] = delta };
        var mode = new ForwardMode { Deltas = Embedding(common), Controls = new Dictionary<string, IReadOnlyDictionary<string, Delta>> { ["good"] = Embedding(good), ["bad"] = Embedding(bad) } };
        string?[] names = ["good", null, "bad", "bad", null, "good", "good"];
        var groups = Batch.Zip(names, (g, name) => g with { Control = name }).ToList();
        var apart = Batch.Zip(names, (g, name) => Tiny.Answers(model, [g], mode: At(model, name switch { "good" => new Stack([common, good]), "bad" => new Stack([common, bad]), _ => common }))[0]).ToArray();
        foreach (var packRows in (long[])[1, 40, 4096]) Tiny.AssertNear(Tiny.Answers(model, groups, packRows, mode: mode), apart, 1e-9);
    }

    [Test]
    public void A_reference_without_the_front_has_packs_of_its_own()
    {
        var model = Tiny.Model(torch.float64);
        var (mode, other) = (At(model, Vectors(model, Before)), At(model, Vectors(model, [.. Before.Reverse()])));
        foreach (var reference in (ForwardMode[])[ForwardMode.Plain, other])
        {
            using var pass = new LogProbEngine(model).Pass(Batch, mode, new PassNeeds { Reference = new ReferencePolicy(model, reference) });
            var wanted = Tiny.Answers(model, Batch, mode: reference).SelectMany(a => a).ToArray();
            Assert.That(pass.Reference!.data<double>().ToArray(), Is.EqualTo(wanted).Within(1e-9));
            Assert.That(pass.LogProbs.detach().data<double>().ToArray(), Is.EqualTo(Tiny.Answers(model, Batch, mode: mode).SelectMany(a => a).ToArray()).Within(1e-9));
        }
    }

    [Test]
    public void Learned_positions_hold_front_and_text_together()
    {
        var model = Tiny.Model(torch.float64, Tiny.Spec("gpt2", """{"n_positions":12,"max_position_embeddings":12}"""));
        var mode = At(model, Vectors(model, Before));
        Assert.DoesNotThrow(() => Tiny.Answers(model, [new CompletionGroup([1, 2, 3], [Completion.Of([4, 5, 6, 7, 8])])], mode: mode));
        var refused = Assert.Throws<UserErrorException>(() => Tiny.Answers(model, [new CompletionGroup([1, 2, 3], [Completion.Of([4, 5, 6, 7, 8, 9])])], mode: mode))!;
        Assert.That(refused.Message, Does.Contain("5 are the adapter's"));
    }

    // (m, 2 L G D) keys as they are turned, and values, of a group's first rows.
    private static PrefixKV Recorded(DecoderModel model, CompletionGroup group, int rows)
    {
        using var off = torch.no_grad();
        using var pack = Pack.Of([group], 4096, Place.Of(model)).Single();
        var recorder = new Recorder(pack.Buckets, rows, k => Stored(model.Spec, k));
        pack.Attention = recorder;
        model.Forward(pack, ForwardMode.Plain);
        return new PrefixKV(torch.cat(recorder.Parts, 1));
    }

    // Keys in the order of the weights' rows: where neighbours turn together, attention has them half of what turns apart.
    private static Tensor Stored(DecoderSpec spec, Tensor keys)
    {
        if (!spec.TurnsPairs) return keys;
        var width = RotaryFrequencies.Width(spec.Rope!, spec.HeadWidth);
        var turned = keys.narrow(2, 0, width).unflatten(2, [2, width / 2]).transpose(2, 3).flatten(2);
        return torch.cat([turned, keys.narrow(2, width, keys.size(2) - width)], 2);
    }

    private sealed class Recorder(IReadOnlyList<Bucket> buckets, int rows, Func<Tensor, Tensor> stored) : IRowAttention
    {
        internal List<Tensor> Parts { get; } = [];

        public Tensor Attend(int layer, Tensor q, Tensor k, Tensor v, AttentionForm form)
        {
            foreach (var part in (Tensor[])[stored(form.Rotary?.Turn(k) ?? k), v]) Parts.Add(part.narrow(0, 0, rows).reshape(rows, -1).clone().DetachFromDisposeScope());
            return TreeAttention.Of(q, k, v, buckets, form);
        }
    }
}
