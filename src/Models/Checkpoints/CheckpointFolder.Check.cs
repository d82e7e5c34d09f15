// Comparing weights with what a configuration asks for, before anything is allocated for them.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Checkpoints;

public sealed partial class CheckpointFolder
{
    private const string OtherModel = "Configuration and weights are of different models";

    /// <summary>
    /// Refuses weights that lack a tensor or have one of another shape; tensors that nobody asked for become one of the
    /// <see cref="Warnings"/>.
    /// </summary>
    /// <param name="wanted">Shapes by tensor name.</param>
    /// <param name="ignored">True for a name that may be there without use (rotary tables of old checkpoints, a tied head).</param>
    /// <exception cref="UserErrorException">Tensors are missing, or shapes differ; all such tensors are counted, some named.</exception>
    public void Require(IReadOnlyDictionary<string, long[]> wanted, Func<string, bool>? ignored = null)
    {
        var wrong = new List<string>();
        foreach (var (name, shape) in wanted)
            if (tensors.TryGetValue(name, out var entry) && !Fits(entry.Tensor.Shape, shape)) wrong.Add(name);
        if (wrong.Count > 0)
        {
            var shown = wrong.Take(4).Select(name => $"{Fault.Quote(name)} is {Fault.Shape(tensors[name].Tensor.Shape)} and should be {Fault.Shape(wanted[name])}");
            var listed = string.Join("; ", shown);
            throw Fault.In(Path, $"{wrong.Count} of {wanted.Count} tensors have another shape than config.json asks for: {listed}. {OtherModel}.");
        }
        var missing = wanted.Keys.Where(name => !tensors.ContainsKey(name)).ToList();
        if (missing.Count > 0)
            throw Fault.In(Path, $"{missing.Count} of {wanted.Count} tensors that config.json asks for are not in the weights: {Fault.Some(missing)}. {OtherModel}, or the download is incomplete.");
        var unused = tensors.Keys.Where(name => !wanted.ContainsKey(name) && ignored?.Invoke(name) != true).ToList();
        if (unused.Count > 0) warnings.Add($"{Path}: {unused.Count} of {tensors.Count} tensors are not used by this configuration: {Fault.Some(unused)}.");
    }

    private static bool Fits(IReadOnlyList<long> shape, long[] wanted)
    {
        if (shape.Count != wanted.Length) return false;
        for (var k = 0; k < wanted.Length; k++)
            if (shape[k] != wanted[k]) return false;
        return true;
    }

    /// <summary>Whether two tensors have one type, one shape and the same bytes; they are read to their first difference.</summary>
    /// <param name="one">Name of one.</param>
    /// <param name="other">Name of the other.</param>
    /// <param name="sample">Looks at pages here and there only: what is unlike there is unlike, the rest stays unread.</param>
    /// <exception cref="UserErrorException">There is none of this name.</exception>
    public bool AreAlike(string one, string other, bool sample = false)
    {
        if (Find(one).DType != Find(other).DType || !Find(one).Shape.SequenceEqual(Find(other).Shape)) return false;
        using var scope = torch.NewDisposeScope();
        var (a, b) = (Tensor(one), Tensor(other));
        return SameBytes.Sampled(a, b) && (sample || SameBytes.All(a, b));
    }

    /// <summary>Reads a tensor's data to the end and counts NaN and infinity; 0 for whole numbers.</summary>
    /// <exception cref="UserErrorException">There is none of this name.</exception>
    public long CountNonFinite(string name)
    {
        using var scope = torch.NewDisposeScope();
        var count = FiniteScan.CountNonFinite(Tensor(name));
        Forget(name);
        return count;
    }
}
