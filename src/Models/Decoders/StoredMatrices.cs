// The tensors of a folder by their names in the model, quantised ones decoded: for starts that follow from weights, where no model
// is loaded.

using PeftAlign.Abstractions;
using PeftAlign.Models.Checkpoints;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

/// <summary>A folder's tensors as a model has them.</summary>
public sealed class StoredMatrices
{
    private readonly CheckpointFolder checkpoint;
    private readonly DecoderSpec spec;
    private readonly IQuantization? quantization;
    private readonly StoredNames names;

    /// <param name="checkpoint">The folder's weights.</param>
    /// <param name="spec">The model, after <see cref="TiedHead.Settled"/>.</param>
    /// <param name="quantization">Reads quantised matrices; null where there are none.</param>
    public StoredMatrices(CheckpointFolder checkpoint, DecoderSpec spec, IQuantization? quantization)
    {
        (this.checkpoint, this.spec, this.quantization) = (checkpoint, spec, quantization);
        names = StoredNames.Of(spec, checkpoint);
    }

    /// <summary>A tensor in its own element type, float32 where it is decoded; null where there is none of the name.</summary>
    public Tensor? Tensor(string name)
    {
        if (spec.Weights().FirstOrDefault(w => w.Name == name) is not { } weight) return null;
        var quantized = new QuantizedWeights(checkpoint, names, quantization);
        if (!quantized.Holds(weight)) return checkpoint.Contains(names.Of(name)) ? checkpoint.Tensor(names.Of(name)) : null;
        using var matrix = quantized.Read(weight)!;
        var full = QuantizedProduct.Full(matrix, torch.float32);
        return weight.Transposed ? full.t().contiguous() : full;
    }
}
