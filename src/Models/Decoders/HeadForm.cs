// The output head in a forward mode: a matrix, and what changes products with it. A change is never multiplied into a copy of the
// matrix, which has a row for each entry of the vocabulary.

using PeftAlign.Abstractions;
using PeftAlign.Torch;
using PeftAlign.Torch.Extras;

namespace PeftAlign.Models.Decoders;

/// <param name="Layer">(V, d) the head's own matrix, or a trained one in its place, and its bias (V) where it has one.</param>
/// <param name="Change">Of the products with it; null = none.</param>
internal sealed record HeadForm(Layer Layer, Delta? Change)
{
    /// <summary>The head's form under a change, or under none.</summary>
    internal static HeadForm Of(Layer layer, Delta? change) =>
        change is null || Deltas.Parts(change).All(part => part is Whole) ? new(layer.Under(change), null) : new(layer, change);

    /// <summary>The trained tensors of the change.</summary>
    internal IEnumerable<Tensor> Trained => Change?.Parameters.Values ?? [];

    /// <summary>The shares that dropout takes of the change's input, each once.</summary>
    internal IEnumerable<double> DropoutRates => Change is null ? [] : Deltas.Parts(Change).OfType<LowRank>().Select(low => low.Dropout).Where(rate => rate > 0).Distinct();

    /// <summary>(N, V)</summary>
    /// <param name="h">(N, d)</param>
    /// <param name="cap">c of logits capped as c tanh(z / c); 0 = not capped.</param>
    /// <param name="drop">From the rows and a share to the rows with that share dropped; null = without dropout.</param>
    internal Tensor Logits(Tensor h, double cap, Func<Tensor, double, Tensor>? drop = null)
    {
        var logits = Change is null ? Products.Linear(h, Layer.Weight, Layer.Bias) : Deltas.Linear(Layer, h, Change, drop ?? ((x, _) => x));
        return cap == 0 ? logits : logits.div_(cap).tanh() * cap;
    }
}
