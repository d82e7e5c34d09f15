// The engine against torch and transformers: log-probs of a real small LLaMA (always), and of all golden rows, log-probs
// and gradients of a random one (where the golden folders are).

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Models.Tests.Checkpoints;
using PeftAlign.Models.Text;

namespace PeftAlign.Models.Tests.Engine;

public sealed class GoldenEngineTests : ScopedTest
{
    private const double Tolerance = 1e-4;

    [Test]
    public void Stories_rows_have_the_reference_log_probs() => Rows(Checkout.Fixture("stories260K"), Checkout.Fixture("stories260K", "loglikelihood.json"));

    [Test]
    public void Stories_continuations_have_the_reference_sums() => Conditional(Checkout.Fixture("stories260K"), Checkout.Fixture("stories260K", "loglikelihood.json"));

    [Test]
    public void All_golden_stories_rows_have_the_reference_log_probs() => Rows(Shared.Golden("stories260K", "hf"), Shared.Golden("stories260K", "loglikelihood.json"));

    [Test]
    public void All_golden_stories_continuations_have_the_reference_sums() => Conditional(Shared.Golden("stories260K", "hf"), Shared.Golden("stories260K", "loglikelihood.json"));

    private static void Rows(string folder, string golden)
    {
        // A row of one token has nothing that is predicted.
        var rows = JsonDocument.Parse(File.ReadAllBytes(golden)).RootElement.GetProperty("rows").EnumerateArray().Where(r => Ids(r, "ids").Length > 1).ToList();
        var groups = rows.Select(r => Ids(r, "ids")).Select(ids => new CompletionGroup(ids[..1], [Completion.Of(ids[1..])])).ToList();
        var model = ModelFolder.Load(folder, device: TestDevice.Here);
        var expected = rows.Select(r => r.GetProperty("token_logprobs").EnumerateArray().Select(v => v.GetDouble()).ToArray()).ToArray();
        Tiny.AssertNear(Tiny.Answers(model, groups), expected, Tolerance);
        var answers = new LogProbEngine(model).Score(groups, ForwardMode.Plain);
        for (var k = 0; k < rows.Count; k++)
        {
            Assert.That(answers[k].LogProb, Is.EqualTo(rows[k].GetProperty("sum").GetDouble()).Within(Tolerance * groups[k].Completions[0].Tokens.Length), $"row {k}");
            Assert.That(answers[k].IsGreedy, Is.EqualTo(rows[k].GetProperty("argmax_matches").EnumerateArray().All(m => m.GetInt32() == 1)), $"row {k}");
        }
    }

    private static void Conditional(string folder, string golden)
    {
        var rows = JsonDocument.Parse(File.ReadAllBytes(golden)).RootElement.GetProperty("conditional").EnumerateArray().Where(r => Ids(r, "continuation_ids").Length > 0).ToList();
        var tokenizer = TokenizerLoader.Load(folder);
        var groups = rows.Select(r => Group(r, tokenizer)).ToList();
        var answers = new LogProbEngine(ModelFolder.Load(folder, device: TestDevice.Here)).Score(groups, ForwardMode.Plain);
        for (var k = 0; k < rows.Count; k++)
        {
            Assert.That(answers[k].LogProb, Is.EqualTo(rows[k].GetProperty("sum").GetDouble()).Within(Tolerance), $"row {k}");
            Assert.That(answers[k].IsGreedy, Is.EqualTo(rows[k].GetProperty("is_greedy").GetBoolean()), $"row {k}");
        }
    }

    // The continuation is what stands behind as many tokens as the context alone has, in the tokens of both together:
    // where the context's last token changes with what follows, its own ids are not what the model saw.
    private static CompletionGroup Group(JsonElement row, ITokenizer tokenizer)
    {
        var whole = tokenizer.EncodeToIds(row.GetProperty("context").GetString() + row.GetProperty("continuation").GetString(), addSpecialTokens: false).Prepend(1).ToArray();
        var prompt = Ids(row, "context_ids").Length;
        Assert.That(whole[prompt..], Is.EqualTo(Ids(row, "continuation_ids")));
        return new CompletionGroup(whole[..prompt], [Completion.Of(whole[prompt..])]);
    }

    [TestCase(2048, 256)]
    [TestCase(1, 5)]
    public void Llama_golden_log_probs_and_gradients(long packRows, long chunkRows)
    {
        using var golden = SafetensorsFile.Open(Shared.Golden("models", "llama", "golden.safetensors"));
        var model = ModelFolder.Load(Shared.Golden("models", "llama"), device: TestDevice.Here);
        var (ids, mask, asked) = (golden.Tensor("input_ids"), golden.Tensor("attention_mask"), golden.Tensor("completion_mask"));
        var expected = golden.Tensor("logprobs");
        var (groups, unweighted, want) = (new List<CompletionGroup>(), new List<CompletionGroup>(), new List<double[]>());
        for (var b = 0; b < ids.size(0); b++)
        {
            var n = (int)mask.select(0, b).sum().item<long>();
            var row = ids.select(0, b).data<long>().ToArray()[..n].Select(i => (int)i).ToArray();
            var weights = asked.select(0, b).data<long>().ToArray()[1..n].Select(w => (float)w).ToArray();
            groups.Add(new CompletionGroup(row[..1], [new Completion(row[1..], weights)]));
            unweighted.Add(new CompletionGroup(row[..1], [Completion.Of(row[1..])]));
            want.Add(expected.select(0, b).data<float>().ToArray()[..(n - 1)].Select(v => (double)v).ToArray());
        }
        Tiny.AssertNear(Tiny.Answers(model, unweighted, packRows, chunkRows), want.ToArray(), Tolerance);

        var leaves = model.Weights.ToDictionary(w => w.Key, w => w.Value.detach().clone().requires_grad_());
        foreach (var (name, leaf) in leaves) model.SetWeight(name, leaf);
        var engine = new LogProbEngine(model, packRows, chunkRows);
        (engine.LogProbs(groups, ForwardMode.Plain) * engine.Weights(groups)).sum().backward();
        var whole = golden.Tensors.Select(t => t.Name).Where(n => n.StartsWith("grad.", StringComparison.Ordinal)).ToList();
        Assert.That(whole, Has.Count.EqualTo(3));
        foreach (var name in whole)
        {
            var reference = golden.Tensor(name);
            Assert.That(Tiny.Worst(leaves[name["grad.".Length..]].grad!, reference), Is.LessThanOrEqualTo(Tolerance * reference.abs().max().item<float>()), name);
        }
        var norms = JsonDocument.Parse(File.ReadAllBytes(Shared.Golden("models", "llama", "golden.json"))).RootElement.GetProperty("grad_norm");
        foreach (var (name, leaf) in leaves)
        {
            var norm = norms.GetProperty(name).GetDouble();
            Assert.That(leaf.grad!.norm().item<double>(), Is.EqualTo(norm).Within(Tolerance * norm), name);
        }
    }

    private static int[] Ids(JsonElement row, string name) => row.GetProperty(name).EnumerateArray().Select(i => i.GetInt32()).ToArray();
}
