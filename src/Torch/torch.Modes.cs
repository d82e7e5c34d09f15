// Whether operations are recorded for a backward pass, per thread, and for how long.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    /// <summary>Until the result is disposed, operations of this thread are not recorded.</summary>
    public static IDisposable no_grad() => new GradMode(false);

    /// <summary>Until the result is disposed, operations of this thread are recorded (or not).</summary>
    public static IDisposable enable_grad(bool enabled = true) => new GradMode(enabled);

    /// <summary>Until the result is disposed, operations of this thread are recorded (or not).</summary>
    public static IDisposable set_grad_enabled(bool mode = true) => new GradMode(mode);

    /// <summary>Whether operations of this thread are recorded.</summary>
    public static bool is_grad_enabled() => Shim.pa_grad_mode_get() != 0;

    /// <summary>Like no_grad, and tensors made meanwhile can never be part of a graph: a little faster.</summary>
    public static IDisposable inference_mode(bool mode = true) => new InferenceMode(mode);

    private sealed class GradMode : IDisposable
    {
        private readonly int before = Shim.pa_grad_mode_get();
        private bool done;

        internal GradMode(bool on) => Shim.pa_grad_mode_set(on ? 1 : 0);

        public void Dispose()
        {
            if (!done) Shim.pa_grad_mode_set(before);
            done = true;
        }
    }

    private sealed class InferenceMode : IDisposable
    {
        private nint guard;

        internal InferenceMode(bool on) => Shim.Check(Shim.pa_inference_mode_enter(on ? 1 : 0, out guard), "inference_mode");

        public void Dispose()
        {
            if (guard != 0) Shim.pa_inference_mode_leave(guard);
            guard = 0;
        }
    }
}
