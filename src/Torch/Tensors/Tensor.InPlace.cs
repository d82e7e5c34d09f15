// Filling in place, and gradients.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public partial class Tensor
{
    /// <summary>Takes the elements of <paramref name="source"/>, broadcast and converted to this dtype and device, in place. Gradients flow to the source.</summary>
    /// <param name="source">A tensor whose shape broadcasts to this one.</param>
    /// <param name="non_blocking">Does not wait for copies between pinned memory and a GPU.</param>
    public Tensor copy_(Tensor source, bool non_blocking = false) => Changed(Aten.copy_, source, non_blocking);

    /// <summary>Sets every element to <paramref name="value"/>, in place.</summary>
    public Tensor fill_(Scalar value) => Changed(Aten.fill_, value);

    /// <summary>Sets every element to 0, in place.</summary>
    public Tensor zero_() => Changed(Aten.zero_);

    /// <summary>Draws every element from the normal distribution of this mean and standard deviation, in place; without a generator from the device's own.</summary>
    public Tensor normal_(double mean = 0, double std = 1, torch.Generator? generator = null) => Changed(Aten.normal_, mean, std, generator);

    /// <summary>Draws every element evenly from [from, to), in place; without a generator from the device's own.</summary>
    public Tensor uniform_(double from = 0, double to = 1, torch.Generator? generator = null) => Changed(Aten.uniform_, from, to, generator);

    /// <summary>Sets every element to 1 with probability <paramref name="p"/>, else to 0, in place; without a generator by the device's own.</summary>
    public Tensor bernoulli_(double p = 0.5, torch.Generator? generator = null) => Changed(Aten.bernoulli_, p, generator);

    /// <summary>Whether operations on this tensor are recorded for a backward pass.</summary>
    public bool requires_grad
    {
        get => Info().RequiresGrad != 0;
        set => Shim.Check(Shim.pa_set_requires_grad(Alive(), value ? 1 : 0), "Tensor.requires_grad");
    }

    /// <summary>Sets <see cref="requires_grad"/>, in place. Fails where it is set for a dtype that is not floating, or taken from a tensor that is not a leaf. Returns this object.</summary>
    public Tensor requires_grad_(bool requires_grad = true)
    {
        this.requires_grad = requires_grad;
        return this;
    }

    /// <summary>The gradient that backward accumulated, as a new object each time; null before.</summary>
    public Tensor? grad
    {
        get
        {
            Shim.Check(Shim.pa_grad_get(Alive(), out var grad), "Tensor.grad");
            return Interop.Wrap(grad);
        }
        set
        {
            var held = value?.TryHold() ?? 0;
            if (value is not null && held == 0) throw Errors.Disposed("Tensor.grad", 0);
            try
            {
                Shim.Check(Shim.pa_grad_set(Alive(), held), "Tensor.grad");
            }
            finally
            {
                if (held != 0) value!.DangerousRelease();
            }
        }
    }

    /// <summary>Keeps the gradient of a tensor that is not a leaf.</summary>
    public void retain_grad() => Shim.Check(Shim.pa_retain_grad(Alive()), "Tensor.retain_grad");

    /// <summary>Name of the function that made this tensor, "" for a leaf.</summary>
    public unsafe string grad_fn_name
    {
        get
        {
            var text = stackalloc byte[256];
            Shim.Check(Shim.pa_grad_fn_name(Alive(), text, 256), "Tensor.grad_fn_name");
            return Shim.Text(text);
        }
    }

    /// <summary>Accumulates gradients into the leaves. A tensor of more than one element needs <paramref name="gradient"/>.</summary>
    public void backward(Tensor? gradient = null, bool retain_graph = false, bool create_graph = false) =>
        torch.autograd.backward([this], gradient is null ? null : [gradient], retain_graph, create_graph);
}
