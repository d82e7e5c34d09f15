// The matrices that a folder holds in 4 bits, as full ones under their weights' names; the tensors that encode them are hidden. Each is
// decoded when it is needed, one at a time.

using PeftAlign.Models.Checkpoints;
using PeftAlign.Models.Decoders;
using PeftAlign.Torch;

namespace PeftAlign.Merging;

internal sealed class DecodedWeights
{
    private readonly Dictionary<string, StoredTensor> facts = [];
    private readonly Dictionary<string, string> names = [];
    private readonly QuantizedWeights quantized;
    private readonly StoredMatrices matrices;

    /// <param name="weights">The folder's tensors.</param>
    /// <param name="config">Its config.json, with a quantization_config.</param>
    /// <param name="architectures">What reads it.</param>
    /// <exception cref="Abstractions.UserErrorException">Nothing here reads this format, or a part is missing.</exception>
    public DecodedWeights(CheckpointFolder weights, ModelConfig config, ModelArchitectures architectures)
    {
        using var scope = torch.NewDisposeScope();
        var (spec, reader) = (TiedHead.Settled(architectures.Describe(config), weights, null), architectures.QuantizationOf(config));
        var stored = StoredNames.Of(spec, weights);
        quantized = new QuantizedWeights(weights, stored, reader);
        matrices = new StoredMatrices(weights, spec, reader);
        foreach (var weight in spec.Weights().Where(quantized.Holds))
        {
            using var matrix = quantized.Read(weight)!;
            var name = stored.Of(weight.Name);
            names[name] = weight.Name;
            facts[name] = new StoredTensor(name, matrix.StoredType, weight.Shape, weights.Find(name).File);
        }
    }

    /// <summary>How many matrices are decoded.</summary>
    public int Count => facts.Count;

    /// <summary>Whether a tensor of the folder is a part of such a matrix and no weight by itself.</summary>
    public bool IsHidden(string name) => !facts.ContainsKey(name) && quantized.IsPart(name);

    /// <summary>Shape, and the type that the matrix was quantised from; null for other tensors.</summary>
    public StoredTensor? Find(string name) => facts.GetValueOrDefault(name);

    /// <summary>The decoded matrix in float32; null for other tensors.</summary>
    public Tensor? Tensor(string name) => names.TryGetValue(name, out var own) ? matrices.Tensor(own) : null;
}
