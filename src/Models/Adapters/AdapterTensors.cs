// Takes an adapter's tensors one by one, so that what is missing, misshapen or left over is reported by name.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Adapters;

/// <summary>The tensors of an adapter folder while they are being taken.</summary>
/// <param name="tensors">adapter_model.safetensors by name.</param>
public sealed class AdapterTensors(IReadOnlyDictionary<string, Tensor> tensors)
{
    private readonly HashSet<string> taken = [];

    /// <summary>Whether there is a tensor of this name.</summary>
    public bool Has(string name) => tensors.ContainsKey(name);

    /// <summary>Whether nobody has taken a tensor of this name yet.</summary>
    public bool IsLeft(string name) => Has(name) && !taken.Contains(name);

    /// <summary>Takes a tensor that says what another says too.</summary>
    /// <param name="name">Its name in the file; nothing happens where there is none.</param>
    /// <param name="other">The other's name.</param>
    /// <returns>Whether both are there and equal.</returns>
    public bool TakeCopy(string name, string other)
    {
        if (!tensors.TryGetValue(name, out var copy) || !tensors.TryGetValue(other, out var one) || !copy.equal(one)) return false;
        return taken.Add(name);
    }

    /// <summary>Names that nobody has taken.</summary>
    public IEnumerable<string> Left => tensors.Keys.Where(name => !taken.Contains(name)).Order(StringComparer.Ordinal);

    /// <summary>A float32 copy of a tensor.</summary>
    /// <param name="name">Its name in the file.</param>
    /// <param name="shape">The shape that model and configuration need.</param>
    /// <param name="device">Where the copy goes.</param>
    /// <exception cref="UserErrorException">It is missing or has another shape.</exception>
    public Tensor Take(string name, long[] shape, torch.Device device)
    {
        if (!tensors.TryGetValue(name, out var tensor)) throw Missing(name);
        if (!tensor.shape.SequenceEqual(shape))
            throw new UserErrorException($"The adapter's tensor '{name}' has the shape [{string.Join(", ", tensor.shape)}]; this model and the adapter's configuration need [{string.Join(", ", shape)}].");
        taken.Add(name);
        return tensor.to(torch.float32).to(device).clone();
    }

    // Where none of the needed tensors was there, the names belong to another architecture.
    private UserErrorException Missing(string name) => taken.Count == 0 && tensors.Count > 0
        ? new($"The adapter lacks the tensor '{name}', and has '{Left.First()}': it is of another model; give the model that it was trained on.")
        : new($"The adapter lacks the tensor '{name}'; it is incomplete, save it again.");

    /// <summary>Refuses tensors that nobody has taken.</summary>
    /// <param name="what">What explains an adapter's tensors, for the message.</param>
    /// <exception cref="UserErrorException">There are some.</exception>
    public void RefuseRest(string what)
    {
        if (Left.FirstOrDefault() is { } extra) throw new UserErrorException($"The adapter has a tensor '{extra}' that {what} do not explain; it is of another model or of a newer format.");
    }
}
