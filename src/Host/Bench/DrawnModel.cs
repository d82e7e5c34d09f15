// A LLaMA of random weights that is drawn where it is to compute, layer by layer, and quantised as it is drawn: shapes of 7 billion numbers
// without a file and without a copy on the host. How fast a step is does not depend on the numbers.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Abstractions;
using PeftAlign.Models;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Host.Bench;

/// <summary>Sizes of a decoder.</summary>
internal sealed record DrawnShape(long Hidden, long Layers, long Heads, long KeyValueHeads, long Inner, long Vocabulary)
{
    /// <summary>The known ones. tiny is for trials on a processor.</summary>
    internal static IReadOnlyDictionary<string, DrawnShape> Known { get; } = new Dictionary<string, DrawnShape>
    {
        ["tiny"] = new(64, 4, 4, 4, 176, 32000),
        ["1b"] = new(2048, 22, 32, 4, 5632, 32000),
        ["7b"] = new(4096, 32, 32, 32, 11008, 32000),
        ["mistral-7b"] = new(4096, 32, 32, 8, 14336, 32000),
    };

    /// <summary>Of the layers.</summary>
    internal double Numbers => Layers * ((2.0 * Hidden * Hidden) + (2.0 * Hidden * KeyValueHeads * (Hidden / Heads)) + (3.0 * Hidden * Inner));

    internal DecoderSpec Spec
    {
        get
        {
            var json = ModelFolder.Configuration("llama", new JsonObject
            {
                ["hidden_size"] = Hidden,
                ["num_hidden_layers"] = Layers,
                ["num_attention_heads"] = Heads,
                ["num_key_value_heads"] = KeyValueHeads,
                ["intermediate_size"] = Inner,
                ["vocab_size"] = Vocabulary,
            });
            return ModelArchitectures.BuiltIn.Describe(ModelConfig.Of(JsonSerializer.SerializeToElement(json)));
        }
    }

    /// <summary>Products and sums that passes over sequences need: forward, backward towards the inputs, the adapter, causal attention, the
    /// head on answers alone. Neither recomputation nor decoding counts.</summary>
    /// <param name="lengths">Tokens of each sequence.</param>
    /// <param name="answers">Tokens that are scored.</param>
    /// <param name="trainable">Numbers of the adapter.</param>
    /// <param name="refers">Whether a reference's forward pass comes on top.</param>
    internal double Flops(IReadOnlyList<long> lengths, long answers, long trainable, bool refers)
    {
        var tokens = (double)lengths.Sum();
        var (products, head, attention) = (2 * Numbers * tokens, 2.0 * Hidden * Vocabulary * answers, Layers * lengths.Sum(n => 2.0 * n * n * Hidden));
        var forward = products + head + attention;
        return (refers ? 2 : 1) * forward + products + head + (2 * attention) + (6.0 * trainable * tokens);
    }
}

internal static class DrawnModel
{
    private const double Deviation = 0.02;

    /// <summary>Draws a model.</summary>
    /// <param name="spec">Its shape.</param>
    /// <param name="device">Where.</param>
    /// <param name="dtype">Of what is not quantised.</param>
    /// <param name="quantization">For its linear layers; null = none.</param>
    internal static DecoderModel Of(DecoderSpec spec, torch.Device device, torch.ScalarType dtype, IQuantization? quantization)
    {
        torch.manual_seed(1);
        var (weights, quantized) = (new Dictionary<string, Tensor>(), new Dictionary<string, QuantizedMatrix>());
        foreach (var weight in spec.Weights())
        {
            using var scope = torch.NewDisposeScope();
            var tensor = weight.Role == WeightRole.Norm ? torch.ones(weight.Shape, dtype, device) : torch.randn(weight.Shape, dtype, device).mul_(Deviation);
            if (weight.Role == WeightRole.Matrix && quantization is not null) quantized.Add(weight.Name, quantization.Quantize(weight.Name, tensor));
            else weights.Add(weight.Name, tensor.DetachFromDisposeScope());
        }
        return new DecoderModel(spec, weights, quantized);
    }

    /// <summary>Frees it.</summary>
    internal static void Free(DecoderModel model)
    {
        foreach (var tensor in model.Weights.Values) tensor.Dispose();
        foreach (var matrix in model.Quantized.Values) matrix.Dispose();
    }
}
