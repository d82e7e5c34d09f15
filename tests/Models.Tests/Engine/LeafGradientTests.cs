// A training's pass adds the gradients of embedding and head to the leaves' own, in place of making tables of them: the same numbers.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class LeafGradientTests
{
    private static readonly List<CompletionGroup> Batch = Tiny.Groups(9);

    // Tied and not, a padding token that has no gradient, learned positions, scaled embeddings under capped logits; one pack or many,
    // one chunk of the head's rows or many, blocks kept or computed again; over a gradient that is there already.
    [TestCase("llama", "{}", 4096, 256, false)]
    [TestCase("llama", """{"tie_word_embeddings":true,"pad_token_id":3}""", 4096, 256, false)]
    [TestCase("llama", """{"tie_word_embeddings":true}""", 40, 5, true)]
    [TestCase("gpt2", "{}", 40, 5, false)]
    [TestCase("gemma2", """{"head_dim":8,"query_pre_attn_scalar":8}""", 40, 256, true)]
    public void The_leaves_own_gradients_are_those_of_one_graph(string architecture, string settings, long packRows, long chunkRows, bool recompute)
    {
        var model = Tiny.Model(torch.float64, Tiny.Spec(architecture, settings));
        var tables = Tables(model);
        var scores = new LogProbEngine(model).LogProbs(Batch, ForwardMode.Plain);
        var expected = torch.autograd.grad([(scores * Factors(scores)).sum()], [.. tables.Values]);
        foreach (var table in tables.Values)
        {
            Assert.That(table.grad, Is.Null, "a graph that is the caller's own adds to nothing");
            table.grad = torch.full(table.shape, 0.5, table.dtype, table.device);
        }

        using var pass = new LogProbEngine(model, packRows, chunkRows).Pass(Batch, ForwardMode.Plain, new PassNeeds { Recompute = recompute });
        (pass.LogProbs * Factors(scores)).sum().backward();
        pass.Backward();

        foreach (var ((name, table), gradient) in tables.Zip(expected)) Assert.That(Tiny.Worst(table.grad! - 0.5, gradient!), Is.LessThan(1e-9), name);
    }

    // A trained copy in a module's place (modules_to_save), and the frozen table under it.
    [Test]
    public void Modules_that_are_trained_whole_are_leaves_too()
    {
        var model = Tiny.Model(torch.float64);
        var tables = new[] { model.Spec.Names.Embedding, model.Spec.Names.Head }.ToDictionary(name => name, name => model.Weights[name + ".weight"].clone().requires_grad_());
        var mode = new ForwardMode { Deltas = tables.ToDictionary(t => t.Key, t => (Delta)new Whole(t.Value, null)) };
        var scores = new LogProbEngine(model).LogProbs(Batch, mode);
        var expected = torch.autograd.grad([(scores * Factors(scores)).sum()], [.. tables.Values]);
        foreach (var table in tables.Values) table.grad = torch.zeros_like(table);

        using var pass = new LogProbEngine(model).Pass(Batch, mode, new PassNeeds());
        (pass.LogProbs * Factors(scores)).sum().backward();
        pass.Backward();

        foreach (var ((name, table), gradient) in tables.Zip(expected)) Assert.That(Tiny.Worst(table.grad!, gradient!), Is.LessThan(1e-10), name);
    }

    // What controls' rows look up is of the same table, whatever they change beside it.
    [TestCaseSource(nameof(Changes))]
    public void Rows_under_controls_are_added_too(Func<DecoderModel, Delta> change)
    {
        var model = Tiny.Model(torch.float64);
        var table = Tables(model)[model.Spec.Names.Embedding];
        var controls = new Dictionary<string, IReadOnlyDictionary<string, Delta>> { ["good"] = new Dictionary<string, Delta> { [model.Spec.Names.Embedding] = change(model) } };
        List<CompletionGroup> batch = [.. Batch.Select((group, k) => k % 2 == 0 ? group with { Control = "good" } : group)];
        Tensor? Returned(bool adds)
        {
            var scores = new LogProbEngine(model).LogProbs(batch, new ForwardMode { Controls = controls, AddsToLeaves = adds });
            return torch.autograd.grad([scores], [table], [Factors(scores)], allow_unused: true)[0];
        }
        var expected = Returned(adds: false)!;
        table.grad = torch.zeros_like(table);

        Assert.That(Returned(adds: true), Is.Null, "no table beside the sum");
        Assert.That(Tiny.Worst(table.grad!, expected), Is.LessThan(1e-10));
    }

    private static IEnumerable<TestCaseData> Changes()
    {
        TestCaseData Case(string name, Func<DecoderModel, Delta> change) => new TestCaseData(change).SetArgDisplayNames(name);
        yield return Case("virtual tokens", model => new VirtualTokens(torch.full([2, model.Spec.Hidden], 0.1, torch.float64)));
        yield return Case("low rank", model => new LowRank(torch.full([2, model.Spec.Vocabulary], 0.1, torch.float64), torch.full([model.Spec.Hidden, 2], 0.1, torch.float64), 2, 0));
        yield return Case("trained tokens", model => new TokenRows([3, 8], torch.full([2, model.Spec.Hidden], 0.1, torch.float64)));
    }

    // In float32 the order of a sum shows: a token's rows are summed before the head's part gets them, as where each is a table of its own.
    [Test]
    public void One_pack_gives_the_bits_that_tables_of_their_own_give()
    {
        var model = Tiny.Model(torch.float32, Tiny.Spec(tied: true));
        var table = Tables(model).Single().Value;
        var scores = new LogProbEngine(model).LogProbs(Batch, ForwardMode.Plain);
        var expected = torch.autograd.grad([scores], [table], [Factors(scores)])[0]!;
        table.grad = torch.zeros_like(table);

        using var pass = new LogProbEngine(model).Pass(Batch, ForwardMode.Plain, new PassNeeds());
        pass.LogProbs.grad = Factors(scores);
        pass.Backward();

        Assert.That(table.grad!.equal(expected), Is.True);
    }

    // In bfloat16 each part would be rounded as it is added: the sum is made first.
    [Test]
    public void Narrow_tables_get_their_gradient_rounded_once()
    {
        var model = Tiny.Model(torch.bfloat16);
        var tables = Tables(model);
        var engine = new LogProbEngine(model, chunkRows: 5);
        var scores = engine.LogProbs(Batch, ForwardMode.Plain);
        var expected = torch.autograd.grad([scores], [.. tables.Values], [Factors(scores)]);
        foreach (var table in tables.Values) table.grad = torch.zeros_like(table);

        using var pass = engine.Pass(Batch, ForwardMode.Plain, new PassNeeds());
        pass.LogProbs.grad = Factors(scores);
        pass.Backward();

        foreach (var ((name, table), gradient) in tables.Zip(expected)) Assert.That(table.grad!.equal(gradient!), Is.True, name);
    }

    [Test]
    public void Only_a_wide_leaf_that_has_a_gradient_is_added_to_and_only_by_a_training()
    {
        static bool Take(Tensor leaf, bool adds = true) => LeafGradients.Take(leaf, new ForwardMode { AddsToLeaves = adds });
        static Tensor Leaf(torch.ScalarType dtype)
        {
            var leaf = torch.ones([2, 3], dtype).requires_grad_();
            leaf.grad = torch.zeros_like(leaf);
            return leaf;
        }
        Assert.That((Take(Leaf(torch.float32)), Take(Leaf(torch.float64))), Is.EqualTo((true, true)));
        Assert.That((Take(Leaf(torch.bfloat16)), Take(Leaf(torch.float32), adds: false), Take(Leaf(torch.float32) * 1)), Is.EqualTo((false, false, false)));
        Assert.That((Take(torch.ones([2, 3]).requires_grad_()), Take(torch.ones([2, 3]))), Is.EqualTo((false, false)));
    }

    // All matrices with a row for each token or position, as leaves.
    private static Dictionary<string, Tensor> Tables(DecoderModel model)
    {
        var names = new[] { model.Spec.Names.Embedding, model.Spec.Names.Positions, model.Spec.TiedHead ? null : model.Spec.Names.Head }.OfType<string>();
        return names.ToDictionary(name => name, name =>
        {
            var leaf = model.Weights[name + ".weight"].detach().requires_grad_();
            model.SetWeight(name + ".weight", leaf);
            return leaf;
        });
    }

    private static Tensor Factors(Tensor scores) => torch.linspace(-1, 2, scores.numel(), scores.dtype, scores.device);
}
