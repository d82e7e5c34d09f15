// The models that a device and the processor both compute with. One has random weights, larger than a new model's, so that what a layer
// does shows in the answer. The other predicts the next token almost with certainty: there gradients are small differences, and the
// most probable token is the same in every type.

using PeftAlign.Abstractions;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Host.Bench;

/// <summary>Which one.</summary>
/// <param name="Type">Of the arithmetic; the weights are the same in each, numbers of bfloat16.</param>
/// <param name="FourBit">Whether linear layers are in 4 bits.</param>
/// <param name="Sure">Whether it says the token that follows.</param>
internal sealed record ComparedModel(torch.ScalarType Type, bool FourBit = false, bool Sure = false)
{
    /// <summary>Nothing, " over nf4", " in bfloat16", and so on.</summary>
    public override string ToString() => $"{(Sure ? " of what is nearly certain" : "")}{(FourBit ? " over nf4" : "")}{(Type == torch.float32 ? "" : $" in {Type.ToString().ToLowerInvariant()}")}";
}

/// <summary>Makes them.</summary>
/// <param name="nf4">The 4 bits.</param>
internal sealed class ComparedModels(IQuantization nf4) : IDisposable
{
    // Scale of the residual stream, whose entries the layers change by about 1, and of the head's rows that read it: a target's logit is about 20.
    private const double Larger = 5, Stream = 150, Answer = 0.12;

    private readonly DecoderModel drawn = DrawnModel.Of(DrawnShape.Known["tiny"].Spec, torch.CPU, torch.float32, null);

    /// <summary>Tokens that the models know.</summary>
    internal int Vocabulary => (int)drawn.Spec.Vocabulary;

    /// <summary>One of them; its tensors are the caller's scope's.</summary>
    /// <param name="model">Which.</param>
    /// <param name="place">Where.</param>
    internal DecoderModel On(ComparedModel model, torch.Device place)
    {
        var (weights, quantized) = (new Dictionary<string, Tensor>(), new Dictionary<string, QuantizedMatrix>());
        foreach (var weight in drawn.Spec.Weights())
        {
            var tensor = Values(weight, model.Sure).to(torch.bfloat16).to(torch.float32).to(place);
            if (weight.Role == WeightRole.Matrix && model.FourBit) quantized.Add(weight.Name, nf4.Quantize(weight.Name, tensor));
            else weights.Add(weight.Name, tensor.to(model.Type));
        }
        return new DecoderModel(drawn.Spec, weights, quantized);
    }

    public void Dispose() => DrawnModel.Free(drawn);

    private Tensor Values(WeightSpec weight, bool sure)
    {
        var values = drawn.Weights[weight.Name];
        if (weight.Role == WeightRole.Norm) return values;
        if (!sure || weight.Role is not (WeightRole.Embedding or WeightRole.Head)) return values * Larger;
        var stream = drawn.Weights[drawn.Spec.Names.Embedding + ".weight"] * Stream;
        return weight.Role == WeightRole.Embedding ? stream : stream.roll([1], [0]) * Answer;
    }
}
