// A module's state under dotted keys, and what changes all of it: mode, gradients, dtype, device.

using PeftAlign.Torch.Modules;

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class nn
    {
        public abstract partial class Module
        {
            /// <summary>Parameters and persistent buffers (the tensors themselves, no copies); a shared one stands under each of its names.</summary>
            public Dictionary<string, Tensor> state_dict(Dictionary<string, Tensor>? destination = null, string? prefix = null)
            {
                var state = destination ?? [];
                foreach (var (key, tensor) in StateOf(prefix ?? "")) state[key] = tensor;
                return state;
            }

            /// <summary>Copies tensors into this module's state, converting dtype and device.</summary>
            /// <param name="source">Tensors by key.</param>
            /// <param name="strict">Whether missing and unexpected keys are errors.</param>
            /// <param name="skip">Keys to leave alone.</param>
            /// <returns>Keys that the source lacks, and keys that this module lacks.</returns>
            /// <exception cref="ArgumentException">Keys differ under <paramref name="strict"/>, or shapes differ; nothing was copied.</exception>
            public (IList<string> missing_keys, IList<string> unexpected_keys) load_state_dict(Dictionary<string, Tensor> source, bool strict = true, IList<string>? skip = null)
            {
                ArgumentNullException.ThrowIfNull(source);
                var own = state_dict();
                var left = skip ?? [];
                var missing = own.Keys.Where(k => !source.ContainsKey(k) && !left.Contains(k)).ToList();
                var unexpected = source.Keys.Where(k => !own.ContainsKey(k) && !left.Contains(k)).ToList();
                if (strict && missing.Count + unexpected.Count > 0)
                    throw new ArgumentException($"the state does not fit {GetName()}: missing [{Some(missing)}], unexpected [{Some(unexpected)}]; pass strict: false to load what fits");
                var copies = own.Where(pair => source.ContainsKey(pair.Key) && !left.Contains(pair.Key)).ToList();
                var wrong = copies.Where(pair => !pair.Value.shape.SequenceEqual(source[pair.Key].shape)).Select(pair => $"{pair.Key}: {source[pair.Key]} for {pair.Value}").ToList();
                if (wrong.Count > 0) throw new ArgumentException($"shapes do not fit {GetName()}: {Some(wrong)}");
                using (no_grad())
                    foreach (var (key, tensor) in copies) tensor.copy_(source[key]);
                return (missing, unexpected);
            }

            /// <summary>Sets this module and all below to training (or not).</summary>
            public void train(bool on = true)
            {
                foreach (var module in modules())
                {
                    module.training = on;
                    module.OnTrainingChanged(on);
                }
            }

            /// <summary>train(false).</summary>
            public void eval() => train(false);

            /// <summary>Called when train or eval changed this module's mode.</summary>
            protected virtual void OnTrainingChanged(bool on)
            {
            }

            /// <summary>Drops the parameters' gradients, or fills them with zeros.</summary>
            public void zero_grad(bool set_to_none = true)
            {
                foreach (var parameter in parameters()) Gradients.Clear(parameter, set_to_none);
            }

            /// <summary>Turns gradients of all parameters on or off.</summary>
            public Module requires_grad_(bool requires_grad = true)
            {
                foreach (var parameter in parameters()) parameter.requires_grad = requires_grad;
                return this;
            }

            /// <summary>Calls <paramref name="fn"/> on every module, children first.</summary>
            public Module apply(Action<Module> fn)
            {
                ArgumentNullException.ThrowIfNull(fn);
                foreach (var child in children()) child.apply(fn);
                fn(this);
                return this;
            }

            // The objects stay, so that optimisers and modules that share a parameter see the converted one; what is
            // converted leaves its dispose scope, as a module outlives the scope that it is moved in.
            internal void Convert(ScalarType? dtype, Device? device, bool non_blocking)
            {
                var all = parameters().Cast<Tensor>().Concat(buffers()).ToList();
                foreach (var tensor in all)
                {
                    var wanted = tensor.is_floating_point() ? dtype ?? tensor.dtype : tensor.dtype;
                    var place = device ?? tensor.device;
                    if (wanted == tensor.dtype && place.Equals(tensor.device)) continue;
                    using var gradient = tensor is Parameter ? tensor.grad : null;
                    var gradients = tensor.requires_grad;
                    using (no_grad())
                    {
                        tensor.Adopt(tensor.detach().to(wanted, place, disposeAfter: true, non_blocking: non_blocking));
                        if (gradients) tensor.requires_grad = true;
                        if (gradient != null) tensor.grad = gradient.to(wanted, place, non_blocking: non_blocking);
                    }
                    tensor.DetachFromDisposeScope();
                }
            }

            private IEnumerable<(string, Tensor)> StateOf(string prefix)
            {
                foreach (var p in ownParameters)
                    if (p.Value != null) yield return (Join(prefix, p.Name), p.Value);
                foreach (var b in ownBuffers)
                    if (b.Persistent) yield return (Join(prefix, b.Name), b.Value);
                foreach (var (child, module) in ownModules)
                    foreach (var entry in module.StateOf(Join(prefix, child))) yield return entry;
            }

            private static string Some(List<string> keys) => string.Join(", ", keys.Take(8)) + (keys.Count > 8 ? $", ... {keys.Count - 8} more" : "");
        }
    }

    internal static class Gradients
    {
        internal static void Clear(Tensor parameter, bool set_to_none)
        {
            using var gradient = parameter.grad;
            if (gradient is null) return;
            if (set_to_none)
            {
                parameter.grad = null;
                return;
            }
            using var off = no_grad();
            using var detached = gradient.detach();
            detached.zero_();
        }
    }
}

/// <summary>Moving modules between dtypes and devices.</summary>
public static class ModuleExtensions
{
    /// <summary>Moves floating-point parameters and buffers to a dtype; objects stay the same, and leave their dispose scope.</summary>
    public static T to<T>(this T module, torch.ScalarType type, bool non_blocking = false) where T : torch.nn.Module
    {
        module.Convert(type, null, non_blocking);
        return module;
    }

    /// <summary>Moves parameters and buffers to a device.</summary>
    public static T to<T>(this T module, torch.Device device, bool non_blocking = false) where T : torch.nn.Module
    {
        module.Convert(null, device, non_blocking);
        return module;
    }

    /// <summary>Moves parameters and buffers to a device and floating-point ones to a dtype.</summary>
    public static T to<T>(this T module, torch.Device device, torch.ScalarType type, bool non_blocking = false) where T : torch.nn.Module
    {
        module.Convert(type, device, non_blocking);
        return module;
    }

    /// <summary>Moves parameters and buffers to the processor.</summary>
    public static T cpu<T>(this T module) where T : torch.nn.Module => module.to(torch.CPU);

    /// <summary>Moves parameters and buffers to a GPU.</summary>
    public static T cuda<T>(this T module, torch.Device? device = null) where T : torch.nn.Module => module.to(device ?? torch.CUDA);
}
