// nn.functional: layers as functions. Parameter order and defaults are TorchSharp's, its traps included: kl_div takes
// logarithms of the target unless told otherwise, and scaled_dot_product_attention's flag is spelt is_casual.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>Functions of tensors that layers are made of.</summary>
        public static partial class functional
        {
            /// <summary>x W^T + b; x (..., in), weight (out, in), bias (out).</summary>
            public static Tensor linear(Tensor input, Tensor weight, Tensor? bias = null) => Aten.linear.Tensor(input, weight, bias);

            /// <summary>Rows of <paramref name="weight"/> (rows, n) by number: (...) becomes (..., n).</summary>
            public static Tensor embedding(Tensor input, Tensor weight, long? padding_idx = null, double? max_norm = null, double norm_type = 2.0, bool scale_grad_by_freq = false, bool sparse = false)
            {
                if (max_norm is { } longest)
                {
                    using var off = no_grad();
                    using var table = weight.detach();
                    Aten.embedding_renorm_.InPlace(table, input, longest, norm_type);
                }
                // To the operator -1 means no padding row, so a number from the end is counted from the start first.
                var padding = padding_idx < 0 ? padding_idx + weight.size(0) : padding_idx;
                return Aten.embedding.Tensor(weight, input, padding ?? -1, scale_grad_by_freq, sparse);
            }

            /// <summary>Zeros elements with probability p and scales the others, if training.</summary>
            public static Tensor dropout(Tensor input, double p = 0.5, bool training = true, bool inplace = false)
            {
                if (!inplace) return Aten.dropout.Tensor(input, p, training);
                Aten.dropout_.InPlace(input, p, training);
                return input;
            }

            /// <summary>Mean 0 and variance 1 over the last dimensions, of shape <paramref name="normalized_shape"/>; then weight and bias. Sums are float32
            /// (float64 for doubles), and the result is rounded once.</summary>
            public static Tensor layer_norm(Tensor input, long[] normalized_shape, Tensor? weight = null, Tensor? bias = null, double eps = 1e-05)
            {
                // libtorch before 2 rounds mean and deviation to bfloat16 on processors.
                if (input.dtype != ScalarType.BFloat16 || input.device.type != DeviceType.CPU || Aten.attention.Found is not null)
                    return Aten.layer_norm.Tensor(input, normalized_shape, weight, bias, eps);
                using var scope = NewDisposeScope();
                var wide = Aten.layer_norm.Tensor(input.to(ScalarType.Float32), normalized_shape, weight?.to(ScalarType.Float32), bias?.to(ScalarType.Float32), eps);
                return wide.to(input.dtype).MoveToOuterDisposeScope();
            }

            /// <summary>
            /// weight * x / sqrt(mean(x^2) + eps) over the last dimension. Sums are float32 (float64 for doubles); the normalised
            /// value is rounded to x's dtype before the weight multiplies it, as in Hugging Face's LlamaRMSNorm.
            /// Source: Zhang and Sennrich 2019.
            /// </summary>
            /// <param name="input">(..., n), floating point.</param>
            /// <param name="weight">(n)</param>
            /// <param name="eps">Added to the mean of squares.</param>
            public static Tensor rms_norm(Tensor input, Tensor weight, double eps) => Aten.rms_norm.Tensor(input, weight, eps);

            /// <summary>max(0, x), elementwise.</summary>
            public static Tensor relu(Tensor x, bool inplace = false) => Activated(Aten.relu, Aten.relu_, x, inplace);

            /// <summary>x / (1 + e^-x), elementwise.</summary>
            public static Tensor silu(Tensor x, bool inplace = false) => Activated(Aten.silu, Aten.silu_, x, inplace);

            /// <summary>x Phi(x); <paramref name="approximate"/> is "none" or "tanh".</summary>
            public static Tensor gelu(Tensor x, bool inplace = false, string approximate = "none")
            {
                if (!inplace) return Aten.gelu.Tensor(x, approximate);
                Aten.gelu_.InPlace(x, approximate);
                return x;
            }

            /// <summary>log(sigmoid(x)), without overflow.</summary>
            public static Tensor logsigmoid(Tensor x) => Aten.log_sigmoid.Tensor(x);

            /// <summary>log(1 + exp(beta x)) / beta; x itself where beta x exceeds <paramref name="threshold"/>.</summary>
            public static Tensor softplus(Tensor x, double beta = 1, double threshold = 20) => Aten.softplus.Tensor(x, beta, threshold);

            /// <summary>e^x / sum e^x over one dimension, without overflow; computed in <paramref name="dtype"/> if given.</summary>
            public static Tensor softmax(Tensor input, long dim, ScalarType? dtype = null) => input.softmax(dim, dtype);

            /// <summary>x - log sum e^x over one dimension, without overflow; computed in <paramref name="dtype"/> if given.</summary>
            public static Tensor log_softmax(Tensor input, long dim, ScalarType? dtype = null) => input.log_softmax(dim, dtype);

            /// <summary>(...) of class numbers becomes (..., num_classes) of 0 and 1; -1 takes the largest number + 1.</summary>
            public static Tensor one_hot(Tensor x, long num_classes = -1) => Aten.one_hot.Tensor(x, num_classes);

            /// <summary>Pads by pairs (before, after), the last dimension first.</summary>
            public static Tensor pad(Tensor input, long[] pad, PaddingModes mode = PaddingModes.Constant, double value = 0) =>
                Aten.pad.Tensor(input, pad, mode.ToString().ToLowerInvariant(), mode == PaddingModes.Constant ? value : Value.None);

            private static Tensor Activated(Operator op, Operator inPlace, Tensor x, bool inplace)
            {
                if (!inplace) return op.Tensor(x);
                inPlace.InPlace(x);
                return x;
            }
        }
    }

    /// <summary>What padding is filled with.</summary>
    public enum PaddingModes
    {
        /// <summary>One value.</summary>
        Constant,

        /// <summary>The inside, mirrored at the edge.</summary>
        Reflect,

        /// <summary>The edge, repeated.</summary>
        Replicate,

        /// <summary>The other end.</summary>
        Circular,
    }
}
