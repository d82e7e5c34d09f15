// What config.json does not say is what transformers' class of the model type says: Fixtures/class-defaults.json, by transformers 5.23
// (Fixtures/make/class-defaults.py), has configurations of sizes alone, with null, and with rotary positions in odd places.

using System.Text.Json;
using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Classifiers;
using PeftAlign.Models.Decoders;
using PeftAlign.Models.Tests.Text;

namespace PeftAlign.Models.Tests.Checkpoints;

internal sealed class ClassDefaultsTests
{
    private static IEnumerable<TestCaseData> Cases() =>
        JsonDocument.Parse(File.ReadAllText(SharedFolder.Path("class-defaults.json"))).RootElement.EnumerateArray()
            .Select(row => new TestCaseData(row.GetProperty("config"), row.GetProperty("facts")).SetName("{m}: " + row.GetProperty("config").GetRawText()));

    [TestCaseSource(nameof(Cases))]
    public void What_is_not_said_is_as_in_transformers(JsonElement json, JsonElement facts)
    {
        var config = ModelConfig.Of(json);
        if (config.ModelType is "roberta" or "deberta-v2") AssertEncoder(config.ModelType == "roberta" ? EncoderSpec.Roberta(config, 2) : EncoderSpec.Deberta(config, 2), facts);
        else AssertDecoder(ModelArchitectures.BuiltIn.Describe(config), facts);
    }

    private static void AssertDecoder(DecoderSpec spec, JsonElement facts)
    {
        var pad = facts.GetProperty("pad").ValueKind == JsonValueKind.Number ? facts.GetProperty("pad").GetInt64() : (long?)null;
        Assert.That((spec.TiedHead, spec.MaxPositions, spec.Norm.Epsilon, spec.PadToken), Is.EqualTo((facts.GetProperty("tied").GetBoolean(), facts.GetProperty("positions").GetInt64(), facts.GetProperty("eps").GetDouble(), pad)));
        Assert.That(Shapes(spec.Weights().Select(w => (w.Name, w.Shape))), Is.EquivalentTo(Shapes(facts)));
        Assert.That(spec.Windows.Count > 0 ? spec.Windows : [.. Enumerable.Repeat<long?>(null, spec.Layers)], Is.EqualTo(facts.GetProperty("windows").EnumerateArray().Select(w => w.ValueKind == JsonValueKind.Null ? (long?)null : w.GetInt64())));
        Assert.That(spec.ScoreScale ?? 1 / Math.Sqrt(spec.HeadWidth), Is.EqualTo(facts.GetProperty("scale").GetDouble()).Within(1e-12));
        Assert.That(spec.Block.Activation, Is.EqualTo(facts.GetProperty("activation").GetString() switch { "silu" => Activation.Silu, "gelu" => Activation.Gelu, "relu" => Activation.Relu, _ => Activation.GeluTanh }));
        Assert.That((spec.ScoreCap, spec.LogitCap), Is.EqualTo((Number(facts, "scoreCap"), Number(facts, "logitCap"))));
        if (facts.TryGetProperty("factors", out var factors))
            Assert.That((double[])[spec.InputScale ?? 1, spec.ResidualScale ?? 1, spec.LogitDivisor ?? 1], Is.EqualTo(factors.EnumerateArray().Select(f => f.GetDouble())));
        if (facts.TryGetProperty("ropes", out var ropes)) AssertRopes(spec, ropes);
    }

    private static void AssertRopes(DecoderSpec spec, JsonElement ropes)
    {
        foreach (var kind in ropes.EnumerateObject())
        {
            // The first layer has a window where kinds differ, the last of a pattern has none.
            var rope = kind.Name == "sliding_attention" && spec.Ropes.Count > 0 ? spec.Ropes[0]! : spec.Rope!;
            Assert.That(RotaryFrequencies.Of(rope, spec.HeadWidth, spec.MaxPositions, 1).Select(f => (double)f), Is.EqualTo(kind.Value.GetProperty("angles").EnumerateArray().Select(f => f.GetDouble())).Within(1e-4).Percent, kind.Name);
            Assert.That(RotaryFrequencies.AttentionScale(rope, spec.MaxPositions), Is.EqualTo(kind.Value.GetProperty("scale").GetDouble()).Within(1e-12), kind.Name);
        }
    }

    private static void AssertEncoder(EncoderSpec spec, JsonElement facts)
    {
        Assert.That((spec.Epsilon, spec.PadToken), Is.EqualTo((facts.GetProperty("eps").GetDouble(), facts.GetProperty("pad").GetInt64())));
        Assert.That(Shapes(spec.Weights()), Is.EquivalentTo(Shapes(facts)));
    }

    // Of the first block, since all are alike, and of what is outside the blocks.
    private static IEnumerable<string> Shapes(IEnumerable<(string Name, long[] Shape)> weights) =>
        weights.Where(w => w.Name.Split('.').All(part => !int.TryParse(part, out var block) || block == 0)).Select(w => $"{w.Name} [{string.Join(", ", w.Shape)}]");

    private static IEnumerable<string> Shapes(JsonElement facts) =>
        facts.GetProperty("shapes").EnumerateObject().Select(w => $"{w.Name} [{string.Join(", ", w.Value.EnumerateArray().Select(size => size.GetInt64()))}]");

    private static double? Number(JsonElement facts, string name) => facts.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number ? value.GetDouble() : null;

    // A class's number of heads for keys and values need not divide the queries' heads: transformers then builds a model that it cannot compute.
    [Test]
    public void A_default_that_does_not_fit_is_told_with_the_key_that_is_missing()
    {
        var json = JsonDocument.Parse("""{"model_type":"qwen2","hidden_size":16,"intermediate_size":8,"num_attention_heads":4,"num_hidden_layers":1,"vocab_size":9}""").RootElement;
        Assert.That(() => ModelConfig.Of(json), Throws.InstanceOf<UserErrorException>().With.Message.EqualTo("config.json: num_key_value_heads is missing; it must be given: the 32 that transformers takes for model_type qwen2 are no divisor of num_attention_heads, which is 4."));
    }
}
