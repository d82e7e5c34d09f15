// nn.utils: what is done to gradients between backward and the optimiser's step.

using PeftAlign.Torch.Modules;
using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>Helpers around parameters.</summary>
        public static class utils
        {
            /// <summary>
            /// Scales all gradients by max_norm / (norm + 1e-6) where that is below 1; norm is that of all gradients as one
            /// vector. Parameters without a gradient are left out.
            /// </summary>
            /// <param name="parameters">Parameters whose gradients are scaled in place.</param>
            /// <param name="max_norm">The largest norm.</param>
            /// <param name="norm_type">The norm's p; infinity takes the largest magnitude.</param>
            /// <returns>The norm before scaling; NaN or infinite where a gradient is (then all gradients become NaN or 0, as in PyTorch).</returns>
            public static double clip_grad_norm_(IEnumerable<Parameter> parameters, double max_norm, double norm_type = 2)
            {
                ArgumentNullException.ThrowIfNull(parameters);
                using var off = no_grad();
                using var scope = NewDisposeScope();
                var gradients = parameters.Select(p => p.grad).OfType<Tensor>().ToList();
                if (gradients.Count == 0) return 0;
                var device = gradients[0].device;
                var norms = gradients.Select(g => Aten.vector_norm.Tensor(g, norm_type).to(device)).ToList();
                var norm = Aten.vector_norm.Tensor(stack(norms), norm_type);
                var coefficient = (max_norm / (norm + 1e-6)).clamp(max: 1.0);
                foreach (var gradient in gradients) gradient.mul_(coefficient.to(gradient.device));
                return norm.item<double>();
            }

            /// <summary>Limits each element of all gradients to +-<paramref name="clip_value"/>.</summary>
            public static void clip_grad_value_(IEnumerable<Parameter> parameters, double clip_value)
            {
                ArgumentNullException.ThrowIfNull(parameters);
                using var off = no_grad();
                using var scope = NewDisposeScope();
                foreach (var gradient in parameters.Select(p => p.grad).OfType<Tensor>()) gradient.clamp_(-clip_value, clip_value);
            }
        }
    }
}
