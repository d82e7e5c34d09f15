// Small random decoders, batches and adapters for the engine's tests, in any dtype; and what a batch's answers are.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Engine;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Tests.Engine;

internal static class Tiny
{
    internal const int Vocabulary = 29;

    internal static DecoderSpec Spec(bool tied = false) => Spec("llama", tied ? """{"tie_word_embeddings":true}""" : "{}");

    /// <summary>A small decoder of any architecture, with further keys of config.json.</summary>
    internal static DecoderSpec Spec(string architecture, string settings)
    {
        var json = JsonNode.Parse("""{"vocab_size":29,"hidden_size":24,"intermediate_size":40,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"rms_norm_eps":1e-5,"max_position_embeddings":512,"pad_token_id":null}""")!.AsObject();
        json["model_type"] = architecture;
        foreach (var (key, value) in JsonNode.Parse(settings)!.AsObject()) json[key] = value?.DeepClone();
        return ModelArchitectures.BuiltIn.Describe(ModelConfig.Of(JsonSerializer.SerializeToElement(json)));
    }

    /// <summary>Weights of a size at which every part moves the answer: gain about one.</summary>
    internal static DecoderModel Model(torch.ScalarType dtype, DecoderSpec? spec = null)
    {
        var chosen = spec ?? Spec();
        return new DecoderModel(chosen, chosen.Weights().ToDictionary(w => w.Name, w => w.Role switch
        {
            WeightRole.Norm => Normal(w.Name, w.Shape, dtype, 0.2).add_(chosen.Norm.Kind == NormKind.RmsPlusOne ? 0 : 1),
            WeightRole.Bias => Normal(w.Name, w.Shape, dtype, 0.2),
            _ => Normal(w.Name, w.Shape, dtype, 1 / Math.Sqrt(w.Shape[1])),
        }));
    }

    internal static Tensor Normal(string name, long[] shape, torch.ScalarType dtype, double std = 1) =>
        new CounterStream(7, "test", name).Normal(shape, 0, std, torch.float64).to(dtype, TestDevice.Here);

    /// <summary>LoRA of rank 3 on every linear layer, B not zero.</summary>
    internal static IReadOnlyDictionary<string, Delta> Deltas(DecoderModel model, torch.ScalarType dtype, double dropout = 0) =>
        model.Outline("tiny").Modules.Where(m => m.Kind == ModuleKind.Linear).ToDictionary(m => m.Name, m => (Delta)new LowRank(
            Normal(m.Name + ".A", [3, m.Inputs], dtype, 0.3), Normal(m.Name + ".B", [m.Outputs, 3], dtype, 0.3), 0.7, dropout));

    /// <summary>Groups of many shapes: single tokens, one or several completions, short and long.</summary>
    internal static List<CompletionGroup> Groups(int count, int longest = 20, int completions = 4)
    {
        var random = new Random(count);
        int[] Ids(int n) => Enumerable.Range(0, n).Select(_ => random.Next(Vocabulary)).ToArray();
        return Enumerable.Range(0, count).Select(_ => new CompletionGroup(Ids(random.Next(1, longest)),
            Enumerable.Range(0, random.Next(1, completions + 1)).Select(_ => Completion.Of(Ids(random.Next(1, longest)))).ToList())).ToList();
    }

    /// <summary>The log-probs of each group's completions, in the groups' order.</summary>
    internal static double[][] Answers(DecoderModel model, IReadOnlyList<CompletionGroup> groups, long packRows = 2048, long chunkRows = 256, ForwardMode? mode = null)
    {
        using var scope = torch.NewDisposeScope();
        using var off = torch.no_grad();
        var all = new LogProbEngine(model, packRows, chunkRows).LogProbs(groups, mode ?? ForwardMode.Plain).to(torch.float64).data<double>().ToArray();
        var first = 0;
        return groups.Select(g =>
        {
            var length = g.Completions.Sum(c => c.Tokens.Length);
            first += length;
            return all[(first - length)..first];
        }).ToArray();
    }

    internal static void AssertNear(double[][] actual, double[][] expected, double tolerance)
    {
        Assert.That(actual.Select(a => a.Length), Is.EqualTo(expected.Select(e => e.Length)));
        var worst = actual.Zip(expected).SelectMany(p => p.First.Zip(p.Second)).Select(p => Math.Abs(p.First - p.Second)).Aggregate(Math.Max); // not Max, which passes over NaN
        Assert.That(worst, Is.LessThanOrEqualTo(tolerance));
    }

    /// <summary>Root of the mean square of the difference.</summary>
    internal static double Apart(Tensor a, Tensor b)
    {
        using var scope = torch.NewDisposeScope();
        return (a.detach().to(torch.float64, torch.CPU) - b.detach().to(torch.float64, torch.CPU)).square().mean().sqrt().item<double>();
    }

    internal static double Worst(Tensor actual, Tensor expected)
    {
        using var scope = torch.NewDisposeScope();
        return (actual.detach().to(torch.float64, torch.CPU) - expected.detach().to(torch.float64, torch.CPU)).abs().max().item<double>();
    }
}

/// <summary>Every engine test runs in a dispose scope of its own.</summary>
public abstract class ScopedTest
{
    private DisposeScope? scope;

    [SetUp]
    public void Open() => scope = torch.NewDisposeScope();

    [TearDown]
    public void Close() => scope?.Dispose();
}
