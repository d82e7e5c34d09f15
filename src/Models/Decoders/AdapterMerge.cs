// An adapter inside full weights: every tensor that it changes, computed in float32. The model itself stays as it is.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Models.Decoders;

/// <summary>Merges adapters into weights.</summary>
public static class AdapterMerge
{
    /// <summary>The changed tensors one after another, by their names in checkpoints.</summary>
    /// <param name="model">The base.</param>
    /// <param name="sites">The adapter.</param>
    /// <returns>Each the caller's; only one module's copies exist at a time if they are disposed as they come.</returns>
    /// <exception cref="UserErrorException">A change that weights cannot hold (virtual tokens, prefixes), or one whose merge would also change a head that shares the embedding's weight.</exception>
    public static IEnumerable<KeyValuePair<string, Tensor>> Tensors(DecoderModel model, IReadOnlyList<AdapterSite> sites)
    {
        foreach (var (module, delta) in sites)
        {
            using var off = torch.no_grad();
            var own = model.LayerOf(module);
            if (model.Spec.TiedHead && own.IsEmbedding && module == model.Spec.Names.Embedding && Deltas.Parts(delta).Any(part => part is not TokenRows))
                throw new UserErrorException($"{module} is also the output head of this model (tie_word_embeddings), which the adapter leaves alone: merged weights would compute something else. Keep the adapter, or train without {module}.");
            Layer merged;
            using (var scope = torch.NewDisposeScope())
            {
                var single = Deltas.Merged(own, delta);
                merged = single with { Weight = Out(own.Weight, single.Weight), Bias = single.Bias is { } b ? Out(own.Bias, b) : null };
            }
            if (!ReferenceEquals(merged.Weight, own.Weight)) yield return new(module + ".weight", merged.Weight);
            if (merged.Bias is { } bias && !ReferenceEquals(bias, own.Bias)) yield return new(module + ".bias", bias);
        }
    }

    private static Tensor Out(Tensor? own, Tensor merged) => ReferenceEquals(own, merged) ? merged : merged.contiguous().clone().MoveToOuterDisposeScope();
}
