// Before the first update a policy and its reference are one function: computed together, apart or beforehand, the reference has the policy's
// numbers bit for bit, so that margins are exactly 0, as TRL's, whatever the number of rows.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class ReferenceTieTests : ScopedTest
{
    // Rows of 96 and 160 numbers are so many that the kernels of decoding add them up in another order.
    private const string Wide = """{"hidden_size":96,"intermediate_size":160}""";

    // Of which the product of a few rows straight from the codes is rounded otherwise than that of the decoded matrix.
    private sealed class Coded(Tensor matrix) : QuantizedMatrix(matrix.size(0), matrix.size(1))
    {
        public override torch.Device Device => matrix.device;

        public override torch.ScalarType StoredType => matrix.dtype;

        public override long Bytes => 0;

        public override IReadOnlyDictionary<string, Tensor> Parts => new Dictionary<string, Tensor>();

        public override void Decode(Tensor target) => target.copy_(matrix);

        public override Tensor Product(Tensor x) => x.to(torch.float64).mm(matrix.to(torch.float64).t()).to(x.dtype);

        protected override void Dispose(bool disposing)
        {
        }
    }

    private static DecoderModel OverCodes(DecoderModel whole)
    {
        var matrices = whole.Spec.Weights().Where(w => w.Role == WeightRole.Matrix && w.Name.Contains("layers", StringComparison.Ordinal)).ToDictionary(w => w.Name, w => (QuantizedMatrix)new Coded(whole.Weights[w.Name]));
        return new DecoderModel(whole.Spec, whole.Weights.Where(w => !matrices.ContainsKey(w.Key)).ToDictionary(), matrices);
    }

    private static Tensor Leaf(Tensor values) => values.detach().clone().requires_grad_();

    private static Dictionary<string, Delta> Lora(DecoderModel model, bool zero) => Tiny.Deltas(model, torch.float32).ToDictionary(d => d.Key, d => d.Value.With(role => Leaf(zero && role == "lora_B" ? torch.zeros_like(d.Value.Parameters[role]) : d.Value.Parameters[role])));

    private static ForwardMode Frozen(Dictionary<string, Delta> deltas) => new() { Deltas = deltas.ToDictionary(d => d.Key, d => d.Value.With(role => d.Value.Parameters[role].detach().clone())) };

    /// <summary>A policy as its training begins, what it is compared with, and the same in a model of its own.</summary>
    private static (DecoderModel Model, ForwardMode Policy, ForwardMode Reference, DecoderModel Apart) Start(string kind, torch.ScalarType dtype)
    {
        var spec = Tiny.Spec("llama", Wide);
        var (model, apart) = (Tiny.Model(dtype, spec), Tiny.Model(dtype, spec));
        switch (kind)
        {
            case "weights":
                foreach (var name in model.Weights.Keys.ToList()) model.SetWeight(name, Leaf(model.Weights[name]));
                return (model, ForwardMode.Plain, ForwardMode.Plain, apart);
            case "lora" or "lora over codes":
                if (kind == "lora over codes") (model, apart) = (OverCodes(model), OverCodes(apart));
                return (model, new ForwardMode { Deltas = Lora(apart.Quantized.Count > 0 ? Tiny.Model(dtype, spec) : model, zero: true) }, ForwardMode.Plain, apart);
            case "lora with the head":
                var head = new LowRank(Leaf(Tiny.Normal("a", [3, 96], torch.float32)), Leaf(torch.zeros([Tiny.Vocabulary, 3])), 1, 0);
                return (model, new ForwardMode { Deltas = Lora(model, zero: true).Append(new(spec.Names.Head, head)).ToDictionary() }, ForwardMode.Plain, apart);
            case "lora goes on":
                var begun = Lora(model, zero: false);
                return (model, new ForwardMode { Deltas = begun }, Frozen(begun), apart);
            default:
                var tokens = new Dictionary<string, Delta> { [spec.Names.Embedding] = new VirtualTokens(Leaf(Tiny.Normal("tokens", [3, 96], torch.float32))) };
                return (model, new ForwardMode { Deltas = tokens }, Frozen(tokens), apart);
        }
    }

    private static IReadOnlyList<CompletionGroup> Pair(int rows)
    {
        int[] Ids(int count, int first) => [.. Enumerable.Range(first, count).Select(id => 7 * id % Tiny.Vocabulary)];
        // The prompt's rows, and of each answer all tokens but the last.
        var (chosen, rejected) = ((rows + 1) / 3, rows / 3);
        return [new CompletionGroup(Ids(rows - chosen - rejected, 1), [Completion.Of(Ids(chosen + 1, 40)), Completion.Of(Ids(rejected + 1, 90))])];
    }

    [Test]
    public void A_reference_has_the_bits_of_the_policy_that_begins(
        [Values("weights", "lora", "lora over codes", "lora with the head", "lora goes on", "prompt tuning")] string kind, [Values(torch.ScalarType.Float32, torch.ScalarType.BFloat16)] torch.ScalarType dtype)
    {
        var (model, policy, reference, apart) = Start(kind, dtype);
        var pairs = Enumerable.Range(1, 40).Select(Pair).ToList();
        var stored = new StoredLogProbs();
        stored.Add(new LogProbEngine(apart), reference, [.. pairs.SelectMany(pair => pair)]); // in packs of many pairs
        foreach (var (rows, pair) in pairs.Select((pair, k) => (k + 1, pair)))
            foreach (var (way, needs) in ((string, PassNeeds)[])[("together", new() { Reference = new(kind == "weights" ? apart : model, reference) }), ("apart", new() { Reference = new(apart, reference) }), ("stored", new() { Stored = stored })])
            {
                using var pass = new LogProbEngine(model).Pass(pair, policy, needs);
                Assert.That(pass.LogProbs.detach().equal(pass.Reference!), Is.True, $"{rows} rows, {way}: {Tiny.Worst(pass.LogProbs, pass.Reference!):R}");
                Assert.That(pass.Reference!.requires_grad, Is.False);
                using var off = torch.no_grad();
                using var measured = new LogProbEngine(model).Pass(pair, policy, needs); // as an evaluation does
                Assert.That(measured.LogProbs.detach().equal(pass.LogProbs.detach()), Is.True, $"{rows} rows, {way}, without gradients");
            }
    }

    // libtorch's GELU rounds a number by its place in the tensor: stored numbers, of other packs, agree but for rounding, those of the same packs to the last bit.
    [Test]
    public void With_gelu_the_packs_of_the_batch_have_the_bits([Values(torch.ScalarType.Float32, torch.ScalarType.BFloat16)] torch.ScalarType dtype)
    {
        var spec = Tiny.Spec("gpt2", """{"hidden_size":96,"tie_word_embeddings":true}""");
        var (model, apart) = (Tiny.Model(dtype, spec), Tiny.Model(dtype, spec));
        var (policy, pairs) = (new ForwardMode { Deltas = Lora(model, zero: true) }, Enumerable.Range(1, 40).Select(Pair).ToList());
        var stored = new StoredLogProbs();
        stored.Add(new LogProbEngine(apart), ForwardMode.Plain, [.. pairs.SelectMany(pair => pair)]);
        foreach (var pair in pairs)
        {
            foreach (var of in (DecoderModel[])[model, apart])
            {
                using var pass = new LogProbEngine(model).Pass(pair, policy, new PassNeeds { Reference = new(of, ForwardMode.Plain) });
                Assert.That(pass.LogProbs.detach().equal(pass.Reference!), Is.True);
            }
            using var beside = new LogProbEngine(model).Pass(pair, policy, new PassNeeds { Stored = stored });
            Assert.That(Tiny.Worst(beside.LogProbs, beside.Reference!), Is.LessThan(dtype == torch.float32 ? 1e-5 : 0.1));
        }
    }

    // What is decoded or scored alone keeps the kernels that read each weight once.
    [Test]
    public void Scores_of_few_rows_keep_their_own_kernels()
    {
        var model = OverCodes(Tiny.Model(torch.float32, Tiny.Spec("llama", Wide)));
        var pair = Pair(12);
        using var pass = new LogProbEngine(model).Pass(pair, ForwardMode.Plain, new PassNeeds());
        var scores = new LogProbEngine(model).Scores(pair, ForwardMode.Plain).SelectMany(score => score.LogProbs).ToArray();
        var trained = pass.LogProbs.to(torch.float64).data<double>().ToArray();
        Assert.That(scores, Is.EqualTo(trained).Within(1e-5).And.Not.EqualTo(trained));
    }
}
