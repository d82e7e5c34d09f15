// Losses as functions.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>How a loss becomes one number; values as in ATen.</summary>
        public enum Reduction
        {
            /// <summary>It does not: one value for each element.</summary>
            None = 0,

            /// <summary>The mean.</summary>
            Mean = 1,

            /// <summary>The sum.</summary>
            Sum = 2,
        }

        public static partial class functional
        {
            /// <summary>-log softmax(input)[target]; input (N, C) or (N, C, ...), target class numbers or probabilities.</summary>
            /// <param name="input">Logits.</param>
            /// <param name="target">(N) or (N, ...) of int64; or probabilities, shaped as the input.</param>
            /// <param name="weight">(C): a factor for each class.</param>
            /// <param name="ignore_index">Targets of this number count nothing.</param>
            /// <param name="reduction">The mean is weighted and leaves ignored targets out.</param>
            /// <param name="label_smoothing">From 0 to 1: the share of the target that is spread over all classes.</param>
            public static Tensor cross_entropy(Tensor input, Tensor target, Tensor? weight = null, long ignore_index = -100, Reduction reduction = Reduction.Mean, double label_smoothing = 0.0) =>
                Aten.cross_entropy.Tensor(input, target, weight, (long)reduction, ignore_index, label_smoothing);

            /// <summary>-input[target] of log-probabilities (N, C).</summary>
            public static Tensor nll_loss(Tensor input, Tensor target, Tensor? weight = null, long ignore_index = -100, Reduction reduction = Reduction.Mean) =>
                Aten.nll_loss.Tensor(input, target, weight, (long)reduction, ignore_index);

            /// <summary>target (log target - input) with log-probabilities as input. Unlike PyTorch, the target is taken as logarithms by default.</summary>
            public static Tensor kl_div(Tensor input, Tensor target, bool log_target = true, Reduction reduction = Reduction.Mean) =>
                Aten.kl_div.Tensor(input, target, (long)reduction, log_target);

            /// <summary>Cross entropy of sigmoid(input) and a target between 0 and 1, without overflow.</summary>
            public static Tensor binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight = null, Reduction reduction = Reduction.Mean, Tensor? pos_weights = null) =>
                Aten.binary_cross_entropy_with_logits.Tensor(input, target, weight, pos_weights, (long)reduction);

            /// <summary>(input - target)^2.</summary>
            public static Tensor mse_loss(Tensor input, Tensor target, Reduction reduction = Reduction.Mean) =>
                Aten.mse_loss.Tensor(input, target, (long)reduction);
        }
    }
}
