// A pass over a micro-batch: the same log-probs and gradients as one graph gives, whatever the packs and whether they are kept or
// computed again; references over the same packs; statistics by their definitions from full logits.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class BatchPassTests : ScopedTest
{
    private static readonly string[] All = ["entropy", "argmax_hit", "log_sum_square", "mean_logit", "mean_log_prob"];

    private static readonly List<CompletionGroup> Batch = [.. Tiny.Groups(7), new([1, 2], [new Completion([3, 4, 5], [1, 0, 1]), Completion.Of([6, 7]) with { Gradient = false }])];

    // A loss that joins every token of the batch with every other.
    private static Tensor Loss(Tensor logProbs) => (logProbs * logProbs.numel()).softmax(0).mul(logProbs).sum() + logProbs.square().sum();

    private static Dictionary<string, Delta> Trainable(DecoderModel model) =>
        Tiny.Deltas(model, torch.float64, dropout: 0.3).ToDictionary(d => d.Key, d => d.Value.With(role => d.Value.Parameters[role].detach().clone().requires_grad_()));

    [TestCase(4096, 256, false)]
    [TestCase(40, 5, false)]
    [TestCase(40, 5, true)]
    [TestCase(1, 256, true)]
    public void Gradients_are_those_of_one_graph(long packRows, long chunkRows, bool split)
    {
        var model = Tiny.Model(torch.float64);
        var (whole, mine) = (Trainable(model), Trainable(model));
        ForwardMode Mode(Dictionary<string, Delta> deltas) => new() { Deltas = deltas, Dropout = new DropoutKey(1, 2) };
        var expected = new LogProbEngine(model).LogProbs(Batch, Mode(whole));
        Loss(expected).backward();
        using var pass = new LogProbEngine(model, packRows, chunkRows).Pass(Batch, Mode(mine), new PassNeeds { Recompute = split, Statistics = ["entropy"] });
        Assert.That(Tiny.Worst(pass.LogProbs, expected), Is.LessThan(1e-10));
        Loss(pass.LogProbs).backward();
        pass.Backward();
        foreach (var (name, delta) in whole)
            foreach (var (role, leaf) in delta.Parameters)
                Assert.That(Tiny.Worst(mine[name].Parameters[role].grad!, leaf.grad!), Is.LessThan(1e-9 * Math.Max(1, leaf.grad!.abs().max().item<double>())), $"{name}.{role}");
    }

    [TestCase(4096)]
    [TestCase(40)]
    public void The_reference_is_scored_over_the_same_packs(long packRows)
    {
        var (model, other) = (Tiny.Model(torch.float64), Tiny.Model(torch.float64, Tiny.Spec(tied: true)));
        var deltas = Tiny.Deltas(model, torch.float64);
        var engine = new LogProbEngine(model, packRows);
        foreach (var reference in (ReferencePolicy[])[new(model, ForwardMode.Plain), new(model, new ForwardMode { Deltas = deltas }), new(other, ForwardMode.Plain)])
        {
            using var pass = engine.Pass(Batch, new ForwardMode { Deltas = Trainable(model) }, new PassNeeds { Reference = reference });
            Assert.That(pass.Reference!.requires_grad, Is.False);
            Assert.That(Tiny.Worst(pass.Reference, new LogProbEngine(reference.Model).LogProbs(Batch, reference.Mode)), Is.LessThan(1e-10));
        }
    }

    // What turns a reference's rows depends on its own length classes, not on the policy's; packs in which they meet must not be shared.
    [TestCase("llama", "llama dynamic")]
    [TestCase("llama dynamic", "llama")]
    [TestCase("phi3", "phi3 longrope")]
    [TestCase("llama", "gpt2")]
    public void A_reference_of_another_kind_has_packs_of_its_own(string policy, string reference)
    {
        var (model, other) = (Tiny.Model(torch.float64, Families.Spec(policy)), Tiny.Model(torch.float64, Families.Spec(reference)));
        List<CompletionGroup> batch = [.. Tiny.Groups(5, longest: 14), .. Tiny.Groups(1, longest: 40)];
        using var pass = new LogProbEngine(model).Pass(batch, ForwardMode.Plain, new PassNeeds { Reference = new ReferencePolicy(other, ForwardMode.Plain) });
        var alone = batch.Select(group => new LogProbEngine(other).LogProbs([group], ForwardMode.Plain)).ToList();
        Assert.That(Tiny.Worst(pass.Reference!, torch.cat(alone)), Is.LessThan(1e-9));
    }

    [Test]
    public void A_reference_without_room_for_the_rows_is_refused()
    {
        var small = Tiny.Model(torch.float64, Tiny.Spec("gpt2", """{"max_position_embeddings":4,"n_positions":4}"""));
        var error = Assert.Throws<UserErrorException>(() => new LogProbEngine(Tiny.Model(torch.float64)).Pass(Tiny.Groups(1, longest: 20), ForwardMode.Plain, new PassNeeds { Reference = new ReferencePolicy(small, ForwardMode.Plain) }));
        Assert.That(error!.Message, Does.Contain("learned positions for 4"));
    }

    // Adapter off is the base bit for bit, and so is an adapter whose B is zero: margins at the start are exactly 0.
    [Test]
    public void A_new_adapter_scores_as_its_reference_bit_for_bit()
    {
        var model = Tiny.Model(torch.float32);
        var deltas = Tiny.Deltas(model, torch.float32).ToDictionary(d => d.Key, d => d.Value.With(role => role == "lora_B" ? torch.zeros_like(d.Value.Parameters[role]) : d.Value.Parameters[role]));
        using var pass = new LogProbEngine(model, 50).Pass(Batch, new ForwardMode { Deltas = deltas }, new PassNeeds { Reference = new(model, ForwardMode.Plain) });
        Assert.That(Tiny.Worst(pass.LogProbs, pass.Reference!), Is.Zero);
    }

    [TestCase(4096, 256)]
    [TestCase(40, 5)]
    public void Statistics_follow_from_the_logits(long packRows, long chunkRows)
    {
        var model = Tiny.Model(torch.float64);
        using var pass = new LogProbEngine(model, packRows, chunkRows).Pass(Batch, ForwardMode.Plain, new PassNeeds { Statistics = All });
        var slot = 0;
        foreach (var (prompt, completion) in Batch.SelectMany(g => g.Completions.Select(c => (g.Prompt, c))))
        {
            int[] ids = [.. prompt, .. completion.Tokens];
            using var pack = Pack.Of([new CompletionGroup(ids[..1], [Completion.Of(ids[1..])])], 1000, new Place(TestDevice.Here, torch.float64, 24)).Single();
            var logits = model.Forward(pack, ForwardMode.Plain).index_select(0, pack.HeadRows).mm(model.Head.t()).narrow(0, prompt.Length - 1, completion.Tokens.Length);
            var (logProbs, p) = (logits.log_softmax(-1), logits.softmax(-1));
            var expected = new Dictionary<string, Tensor>
            {
                ["entropy"] = (p * logProbs).sum(1).neg(),
                ["argmax_hit"] = logits.argmax(1).eq(torch.tensor(completion.Tokens.Select(t => (long)t).ToArray(), device: logits.device)).to(torch.float64),
                ["log_sum_square"] = p.square().sum(1).log(),
                ["mean_logit"] = logits.mean([1]),
                ["mean_log_prob"] = logProbs.mean([1]),
            };
            var asked = torch.tensor<double>([.. completion.Weights.Select(w => w != 0 ? 1.0 : 0)], device: TestDevice.Here);
            foreach (var name in All)
                Assert.That(Tiny.Worst(pass.Statistics[name].narrow(0, slot, completion.Tokens.Length), expected[name] * asked), Is.LessThan(1e-10), name);
            slot += completion.Tokens.Length;
        }
    }

    [Test]
    public void An_unknown_statistic_is_refused() =>
        Assert.That(() => new LogProbEngine(Tiny.Model(torch.float32)).Pass(Batch, ForwardMode.Plain, new PassNeeds { Statistics = ["perplexity"] }),
            Throws.InstanceOf<UserErrorException>().With.Message.Contains("perplexity").And.Message.Contains("entropy"));
}
