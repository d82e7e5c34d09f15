// Backward passes and gradients.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    /// <summary>Backward passes, gradients, and functions of one's own (SingleTensorFunction).</summary>
    public static partial class autograd
    {
        /// <summary>Gradients of the outputs' sum (weighted by <paramref name="grad_outputs"/>) by each input; null where an unused input is allowed.</summary>
        public static unsafe IList<Tensor> grad(IList<Tensor> outputs, IList<Tensor> inputs, IList<Tensor>? grad_outputs = null, bool retain_graph = false, bool create_graph = false, bool allow_unused = false)
        {
            var results = new nint[inputs.Count];
            Interop.WithHandles(outputs.ToArray(), "autograd.grad", (o, n) =>
                Interop.WithHandles(inputs.ToArray(), "autograd.grad", (i, m) =>
                    Interop.WithHandles(grad_outputs?.ToArray() ?? [], "autograd.grad", (g, given) =>
                    {
                        fixed (nint* r = results)
                            Shim.Check(Shim.pa_grad(o, given == 0 ? null : g, n, i, m, retain_graph || create_graph ? 1 : 0, create_graph ? 1 : 0, allow_unused ? 1 : 0, r), "autograd.grad");
                    })));
            return results.Select(handle => Interop.Wrap(handle)!).ToList();
        }

        /// <summary>Accumulates gradients into the leaves that the tensors were made from.</summary>
        public static unsafe void backward(IList<Tensor> tensors, IList<Tensor>? grad_tensors = null, bool retain_graph = false, bool create_graph = false) =>
            Interop.WithHandles(tensors.ToArray(), "autograd.backward", (t, n) =>
                Interop.WithHandles(grad_tensors?.ToArray() ?? [], "autograd.backward", (g, given) =>
                    Shim.Check(Shim.pa_backward(t, given == 0 ? null : g, n, retain_graph || create_graph ? 1 : 0, create_graph ? 1 : 0), "autograd.backward")));

        /// <summary>While it is on, a backward pass names the forward operation that made a NaN.</summary>
        public sealed class AnomalyMode : IDisposable
        {
            /// <summary>Turns the mode on (or off) for all threads.</summary>
            public AnomalyMode(bool enabled = true) => Shim.Check(Shim.pa_anomaly_mode_set(enabled ? 1 : 0), "AnomalyMode");

            /// <summary>Turns the mode off, whatever it was before.</summary>
            public void Dispose() => Shim.Check(Shim.pa_anomaly_mode_set(0), "AnomalyMode");
        }
    }
}
