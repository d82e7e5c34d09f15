// Families that the larger reference set does not have, on tiny models made with transformers: bfloat16, greedy tokens, gradients of
// every weight and of LoRA's matrices, virtual tokens. They run everywhere.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Generation;
using PeftAlign.Torch;

namespace PeftAlign.Models.Tests.Engine;

public sealed class ArchitectureTrainingFixtureTests : ScopedTest
{
    private const double Tolerance = 1e-4;
    private const int Prompt = 10;

    private static readonly string[] Folders = ["gemma3", "granite", "olmo2", "olmo3", "smollm3"];

    private static string Folder(string name) => Checkout.Fixture("architectures", name);

    // By the root of the mean square, since of so few logits the largest error is chance; two computations that round independently are 1.41 of
    // either's noise apart.
    [TestCaseSource(nameof(Folders))]
    public void Logits_in_bfloat16(string name)
    {
        using var golden = GoldenFolder.Expected(Folder(name));
        var model = ModelFolder.Load(Folder(name), dtype: torch.bfloat16, device: TestDevice.Here);
        var (theirs, wide) = (golden.Tensor("logits_bf16"), golden.Tensor("logits"));
        var (noise, ours) = (Tiny.Apart(theirs, wide), torch.stack([.. Rows(golden).Select(row => GoldenFolder.Logits(model, row))]));
        TestContext.Out.WriteLine($"{Tiny.Apart(ours, wide) / noise} of the noise from float32, {Tiny.Apart(ours, theirs) / noise} from theirs");
        Assert.That(Tiny.Apart(ours, wide) / noise, Is.LessThan(1.25), "as exact as transformers");
        Assert.That(Tiny.Apart(ours, theirs) / noise, Is.LessThan(1.75), "and as near to it as two roundings are");
    }

    // Rows that are longer than the windows, one by one and both at once.
    [TestCaseSource(nameof(Folders))]
    public void Greedy_tokens(string name)
    {
        using var golden = GoldenFolder.Expected(Folder(name));
        var model = ModelFolder.Load(Folder(name), device: TestDevice.Here);
        var greedy = golden.Tensor("greedy");
        var expected = Enumerable.Range(0, (int)greedy.size(0)).Select(b => greedy.select(0, b).data<long>().ToArray().Select(id => (int)id)).ToList();
        GenerationPrompt[] prompts = [.. Rows(golden).Select((row, k) => new GenerationPrompt(row, k))];
        foreach (var at in (int[])[1, 16])
        {
            var generator = new Generator(new GenerationLimits(model.Spec.Vocabulary, null), null, () => new CachedSession(model, ForwardMode.Plain), at);
            Assert.That(generator.Generate(prompts, new GenerationOptions { MaxNewTokens = expected[0].Count() }).Select(made => made[0].Ids), Is.EqualTo(expected));
        }
    }

    [TestCaseSource(nameof(Folders))]
    public void Gradients_of_all_weights(string name)
    {
        using var golden = GoldenFolder.Expected(Folder(name));
        foreach (var (packRows, recompute) in (ReadOnlySpan<(long, bool)>)[(2048, false), (10, true)])
        {
            var model = ModelFolder.Load(Folder(name), device: TestDevice.Here);
            var leaves = model.Weights.ToDictionary(w => w.Key, w => w.Value.detach().clone().requires_grad_());
            foreach (var (weight, leaf) in leaves)
            {
                leaf.grad = torch.zeros_like(leaf);
                model.SetWeight(weight, leaf);
            }
            Backward(model, ForwardMode.Plain, golden, packRows, recompute);
            Assert.That(leaves.Keys.Select(weight => $"grad.{weight}"), Is.EquivalentTo(golden.Tensors.Select(t => t.Name).Where(t => t.StartsWith("grad.", StringComparison.Ordinal))), "the model's parameters are transformers'");
            // The bias of keys without positions moves all scores of a row alike: its gradient is rounding.
            var least = 1e-3 * leaves.Keys.Max(weight => golden.Tensor($"grad.{weight}").abs().max().item<float>());
            foreach (var (weight, leaf) in leaves) AssertNear(leaf.grad!, golden.Tensor($"grad.{weight}"), weight, least);
        }
    }

    [TestCaseSource(nameof(Folders))]
    public void Gradients_of_lora(string name)
    {
        using var golden = GoldenFolder.Expected(Folder(name));
        var model = ModelFolder.Load(Folder(name), device: TestDevice.Here);
        Tensor Leaf(string tensor)
        {
            var leaf = golden.Tensor(tensor).to(TestDevice.Here).clone().requires_grad_();
            leaf.grad = torch.zeros_like(leaf);
            return leaf;
        }
        var modules = golden.Tensors.Select(t => t.Name).Where(t => t.StartsWith("lora.", StringComparison.Ordinal) && t.EndsWith(".A", StringComparison.Ordinal)).Select(t => t["lora.".Length..^".A".Length]).ToList();
        Assert.That(modules, Has.Count.EqualTo(4 * model.Spec.Layers));
        foreach (var recompute in (bool[])[false, true])
        {
            var deltas = modules.ToDictionary(module => module, module => (Delta)new LowRank(Leaf($"lora.{module}.A"), Leaf($"lora.{module}.B"), 0.5, 0));
            Backward(model, new ForwardMode { Deltas = deltas }, golden, 2048, recompute);
            foreach (var (module, delta) in deltas)
            {
                var low = (LowRank)delta;
                AssertNear(low.A.grad!, golden.Tensor($"lora_grad.{module}.A"), $"{module}.A");
                AssertNear(low.B.grad!, golden.Tensor($"lora_grad.{module}.B"), $"{module}.B");
            }
        }
    }

    [TestCaseSource(nameof(Folders))]
    public void Virtual_tokens(string name)
    {
        using var golden = GoldenFolder.Expected(Folder(name));
        var model = ModelFolder.Load(Folder(name), device: TestDevice.Here);
        var mode = new ForwardMode { Deltas = new Dictionary<string, Delta> { [model.Spec.Names.Embedding] = new VirtualTokens(golden.Tensor("virtual").to(TestDevice.Here)) } };
        var (with, without) = (Tiny.Answers(model, Groups(golden), mode: mode).Sum(answers => answers.Sum()), Tiny.Answers(model, Groups(golden)).Sum(answers => answers.Sum()));
        Assert.That(with, Is.EqualTo(golden.Tensor("virtual.log_probs").item<float>()).Within(Tolerance));
        Assert.That(with, Is.Not.EqualTo(without).Within(100 * Tolerance));
    }

    private static List<CompletionGroup> Groups(SafetensorsFile golden) => [.. Rows(golden).Select(row => new CompletionGroup(row[..Prompt], [Completion.Of(row[Prompt..])]))];

    private static void Backward(DecoderModel model, ForwardMode mode, SafetensorsFile golden, long packRows, bool recompute)
    {
        using var pass = new LogProbEngine(model, packRows, chunkRows: 7).Pass(Groups(golden), mode, new PassNeeds { Recompute = recompute });
        pass.LogProbs.sum().backward();
        pass.Backward();
    }

    private static void AssertNear(Tensor actual, Tensor expected, string name, double least = 0) =>
        Assert.That(Tiny.Worst(actual, expected), Is.LessThanOrEqualTo(Tolerance * Math.Max(least, expected.abs().max().item<float>())), name);

    private static IEnumerable<int[]> Rows(SafetensorsFile golden)
    {
        var ids = golden.Tensor("input_ids");
        return Enumerable.Range(0, (int)ids.size(0)).Select(b => ids.select(0, b).data<long>().ToArray().Select(id => (int)id).ToArray());
    }
}
