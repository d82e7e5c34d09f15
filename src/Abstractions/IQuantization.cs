// A format of matrices in fewer bits. The engine asks it to read, make, decode and multiply; what is multiplied with is always the
// frozen base, so that gradients reach inputs alone.

using System.Text.Json;
using System.Text.Json.Nodes;
using PeftAlign.Torch;

namespace PeftAlign.Abstractions;

/// <summary>Quantised matrices of linear layers: of folders that hold them, and made from full ones.</summary>
public interface IQuantization
{
    /// <summary>Whether a folder is of this format. Options play no part in reading.</summary>
    /// <param name="config">quantization_config of its config.json.</param>
    bool Reads(JsonElement config);

    /// <summary>The quantised matrix of a weight.</summary>
    /// <param name="weight">The weight's name and shape, and the folder's tensors.</param>
    /// <returns>Null where the folder holds this weight as it is.</returns>
    /// <exception cref="UserErrorException">A part is missing or does not fit; the message names file, tensor and limit.</exception>
    QuantizedMatrix? Read(StoredWeight weight);

    /// <summary>Whether the options leave a linear layer to be quantised.</summary>
    /// <param name="module">Its full name.</param>
    bool Takes(string module);

    /// <summary>Quantises a matrix.</summary>
    /// <param name="weight">Its name, for messages.</param>
    /// <param name="matrix">(out, in); its dtype is what decoding restores, unless another one is asked for.</param>
    /// <exception cref="UserErrorException">It holds NaN or infinity.</exception>
    QuantizedMatrix Quantize(string weight, Tensor matrix);

    /// <summary>quantization_config of folders that hold what <see cref="Quantize"/> makes.</summary>
    /// <param name="kept">What is not quantised though it could be, and the output head; empty where that is the head alone.</param>
    /// <param name="type">Element type of the other weights.</param>
    JsonObject Config(IReadOnlyList<string> kept, torch.ScalarType type);
}

/// <summary>One weight of a folder.</summary>
/// <param name="Name">As the folder calls it, ending in ".weight".</param>
/// <param name="Shape">(out, in) as config.json asks for.</param>
/// <param name="Folder">For messages.</param>
/// <param name="Part">A tensor of the folder by its full name; null = there is none. Its data may be those of a mapped file.</param>
/// <param name="PartNames">Full names of all tensors that begin with this weight's name.</param>
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

    /// <summary>In which type products are made, whatever the type around them; null = the input's.</summary>
    public virtual torch.ScalarType? ComputeType => null;

    /// <summary>Bytes that it occupies.</summary>
    public abstract long Bytes { get; }

    /// <summary>What a folder holds for it, by what follows the weight's name: "" for the codes, ".absmax" ...</summary>
    public abstract IReadOnlyDictionary<string, Tensor> Parts { get; }

    /// <summary>Writes the full matrix.</summary>
    /// <param name="target">(out, in), contiguous, float32, bfloat16 or float16, on this device. Values are computed in float32 and rounded once.</param>
    public abstract void Decode(Tensor target);

    /// <summary>x matrix' for a few rows, straight from the codes, without gradients.</summary>
    /// <param name="x">(R, in) in the type of arithmetic.</param>
    /// <returns>(R, out); null where decoding first is the better way, or the only one.</returns>
    public virtual Tensor? Product(Tensor x) => null;

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the tensors.</summary>
    /// <param name="disposing">True.</param>
    protected virtual void Dispose(bool disposing)
    {
        foreach (var tensor in Parts.Values) tensor.Dispose();
    }
}
