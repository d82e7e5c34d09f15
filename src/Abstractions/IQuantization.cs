// A format of matrices in fewer bits. The engine asks it to read, make, decode and multiply them. Quantised matrices are always the
// frozen base's, so gradients are computed for inputs only.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Torch;

namespace PeftAlign.Abstractions;

/// <summary>Quantises the matrices of linear layers, and reads folders whose matrices are quantised.</summary>
public interface IQuantization
{
    /// <summary>Whether a folder is in this format, whatever the options say.</summary>
    /// <param name="config">quantization_config of its config.json.</param>
    bool Reads(JsonElement config);

    /// <summary>The quantised matrix of a weight.</summary>
    /// <param name="weight">The weight's name and shape, and the folder's tensors.</param>
    /// <returns>Null where the folder holds this weight unquantised.</returns>
    /// <exception cref="UserErrorException">A part is missing or does not fit; the message names file, tensor and limit.</exception>
    QuantizedMatrix? Read(StoredWeight weight);

    /// <summary>Whether a linear layer is to be quantised; the options may exclude it.</summary>
    /// <param name="module">Its full name.</param>
    bool Takes(string module);

    /// <summary>Quantises a matrix.</summary>
    /// <param name="weight">Its name, for messages.</param>
    /// <param name="matrix">(out, in); its dtype is the one that decoding restores, unless another is asked for.</param>
    /// <exception cref="UserErrorException">It holds NaN or infinity.</exception>
    QuantizedMatrix Quantize(string weight, Tensor matrix);

    /// <summary>quantization_config for a folder with matrices that <see cref="Quantize"/> made.</summary>
    /// <param name="kept">Linear layers that are not quantised, the output head included; empty where that is the only one.</param>
    /// <param name="type">Element type of the other weights.</param>
    JsonObject Config(IReadOnlyList<string> kept, torch.ScalarType type);
}

/// <summary>One weight of a folder.</summary>
/// <param name="Name">As the folder calls it, ending in ".weight".</param>
/// <param name="Shape">(out, in) as config.json asks for.</param>
/// <param name="Folder">For messages.</param>
/// <param name="Part">Gives a tensor of the folder by its full name; null = there is none. Its data may lie in a mapped file.</param>
/// <param name="PartNames">Full names of all tensors whose names begin with this weight's.</param>
public sealed record StoredWeight(string Name, IReadOnlyList<long> Shape, string Folder, Func<string, Tensor?> Part, IReadOnlyList<string> PartNames);

/// <summary>A matrix in fewer bits. Immutable.</summary>
/// <param name="outputs">Rows.</param>
/// <param name="inputs">Columns.</param>
public abstract class QuantizedMatrix(long outputs, long inputs) : IDisposable
{
    /// <summary>Rows.</summary>
    public long Outputs { get; } = outputs;

    /// <summary>Columns.</summary>
    public long Inputs { get; } = inputs;

    /// <summary>Where it lies.</summary>
    public abstract torch.Device Device { get; }

    /// <summary>Element type of the matrix that it was made from.</summary>
    public abstract torch.ScalarType StoredType { get; }

    /// <summary>The type that products are computed in; null = the input's.</summary>
    public virtual torch.ScalarType? ComputeType => null;

    /// <summary>Bytes that it occupies.</summary>
    public abstract long Bytes { get; }

    /// <summary>The tensors that a folder holds for it, by what follows the weight's name: "" for the codes, ".absmax" ...</summary>
    public abstract IReadOnlyDictionary<string, Tensor> Parts { get; }

    /// <summary>Writes the full matrix.</summary>
    /// <param name="target">(out, in), contiguous, float32, bfloat16 or float16, on this device. Values are computed in float32 and rounded once.</param>
    public abstract void Decode(Tensor target);

    /// <summary>x times the transposed matrix for a few rows, straight from the codes, without gradients.</summary>
    /// <param name="x">(R, in) in the type that products are computed in.</param>
    /// <returns>(R, out); null where decoding first is better, or the only way.</returns>
    public virtual Tensor? Product(Tensor x) => null;

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the tensors.</summary>
    /// <param name="disposing">True when called by Dispose.</param>
    protected virtual void Dispose(bool disposing)
    {
        foreach (var tensor in Parts.Values) tensor.Dispose();
    }
}
