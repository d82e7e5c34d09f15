// Scaled dot-product attention: libtorch's operator where it exists (2.0 and later), else composed.
// Source: Vaswani et al. 2017.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class nn
    {
        public static partial class functional
        {
            /// <summary>softmax(q k^T / sqrt(E) + mask) v.</summary>
            /// <param name="query">(..., L, E)</param>
            /// <param name="key">(..., S, E)</param>
            /// <param name="value">(..., S, V)</param>
            /// <param name="attn_mask">(..., L, S): bool (true attends) or numbers to add, taken in the query's dtype (another dtype gives wrong numbers in libtorch, without an error).</param>
            /// <param name="p">Probability with which weights are dropped.</param>
            /// <param name="is_casual">Position i sees positions 0 ... i; not together with a mask.</param>
            /// <returns>(..., L, V); zeros where nothing is attended to.</returns>
            public static Tensor scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask = null, double p = 0, bool is_casual = false)
            {
                if (is_casual && attn_mask is not null)
                    throw new ArgumentException("scaled_dot_product_attention takes a mask or is_casual, not both; put the causal part into the mask");
                using var scope = NewDisposeScope();
                var mask = attn_mask is null || attn_mask.dtype == ScalarType.Bool || attn_mask.dtype == query.dtype ? attn_mask : attn_mask.to(query.dtype);
                var result = Aten.attention.Found is { } op ? op.Tensor(query, key, value, mask, p, is_casual) : Composed(query, key, value, mask, p, is_casual);
                return scope.Spare(result);
            }

            /// <summary>The same from smaller operators.</summary>
            internal static Tensor Composed(Tensor query, Tensor key, Tensor value, Tensor? mask, double p, bool causal)
            {
                var scale = Math.Sqrt(1 / Math.Sqrt(query.size(-1))); // on both sides, so that no product overflows
                var scores = (query * scale).matmul((key * scale).transpose(-2, -1)); // (..., L, S)
                if (causal) mask = ones([query.size(-2), key.size(-2)], ScalarType.Bool, query.device).tril();
                if (mask is { dtype: not ScalarType.Bool }) scores = scores + mask;
                else if (mask is not null) scores = scores.masked_fill(mask.logical_not(), double.NegativeInfinity);
                var weights = scores.softmax(-1);
                if (mask is not null) weights = weights.masked_fill(scores.eq(double.NegativeInfinity).all(-1, true), 0);
                return (p > 0 ? dropout(weights, p) : weights).matmul(value);
            }
        }
    }
}
