// What both attentions over buckets are given: see TreeAttention.

using PeftAlign.Torch;

namespace PeftAlign.Models.Engine;

/// <param name="Q">(R, H, D)</param>
/// <param name="K">(R, G, D)</param>
/// <param name="V">(R, G, D)</param>
/// <param name="PrefixKeys">(P, G, D); null where nothing stands before the rows.</param>
/// <param name="PrefixValues">(P, G, D); null there too.</param>
/// <param name="Buckets">They cover all rows.</param>
/// <param name="Form">How the layer's attention is computed.</param>
internal readonly record struct BucketInputs(Tensor Q, Tensor K, Tensor V, Tensor? PrefixKeys, Tensor? PrefixValues, IReadOnlyList<Bucket> Buckets, AttentionForm Form)
{
    /// <summary>From (q, k, v, buckets, form) or (q, k, v, prefix keys, prefix values, buckets, form).</summary>
    internal static BucketInputs Of(object[] vars) => new((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2],
        vars.Length > 5 ? (Tensor)vars[3] : null, vars.Length > 5 ? (Tensor)vars[4] : null, (IReadOnlyList<Bucket>)vars[^2], (AttentionForm)vars[^1]);
}
