// nn.Module: parameters, buffers and child modules under names; what is registered is found, moved, saved and loaded.
// Names follow registration: register_module("lm_head", head) gives keys such as "lm_head.weight".

using PeftAlign.Torch.Modules;

namespace PeftAlign.Torch;

public static partial class torch
{
    public static partial class nn
    {
        /// <summary>The base of all modules.</summary>
        public abstract partial class Module : IDisposable
        {
            private readonly List<(string Name, Parameter? Value)> ownParameters = [];
            private readonly List<(string Name, Tensor Value, bool Persistent)> ownBuffers = [];
            private readonly List<(string Name, Module Value)> ownModules = [];
            private readonly string name;

            /// <summary>A module in training mode, with nothing registered.</summary>
            protected Module(string name) => this.name = name;

            /// <summary>True while training: dropout drops.</summary>
            public bool training { get; private set; } = true;

            /// <summary>The name given at construction.</summary>
            public virtual string GetName() => name;

            /// <summary>Registers a parameter; null stands for one that is left out (a layer without bias).</summary>
            public void register_parameter(string name, Parameter? param)
            {
                CheckName(name);
                ownParameters.Add((name, param));
            }

            /// <summary>Registers a tensor that moves with the module and is not trained.</summary>
            /// <param name="name">Its name, without dots.</param>
            /// <param name="tensor">The tensor; it stays in its dispose scope.</param>
            /// <param name="persistent">Whether it is part of the state.</param>
            public void register_buffer(string name, Tensor tensor, bool persistent = true)
            {
                ArgumentNullException.ThrowIfNull(tensor);
                CheckName(name);
                ownBuffers.Add((name, tensor, persistent));
            }

            /// <summary>Registers a child.</summary>
            public void register_module(string name, Module module)
            {
                ArgumentNullException.ThrowIfNull(module);
                CheckName(name);
                if (module.modules().Contains(this, ReferenceEqualityComparer.Instance))
                    throw new ArgumentException($"module '{name}' holds the module that it would be registered with");
                ownModules.Add((name, module));
            }

            /// <summary>This module and all below it, each once.</summary>
            public IEnumerable<Module> modules() => named_modules().Select(m => m.module);

            /// <summary>The direct children.</summary>
            public IEnumerable<Module> children() => ownModules.Select(m => m.Value);

            /// <summary>The direct children with their names.</summary>
            public IEnumerable<(string name, Module module)> named_children() => ownModules.Select(m => (m.Name, m.Value));

            /// <summary>This module (as "") and all below it with dotted names, each once.</summary>
            public IEnumerable<(string name, Module module)> named_modules() => Walk("", new HashSet<Module>(ReferenceEqualityComparer.Instance));

            /// <summary>Parameters with dotted names; one that is shared comes once, under its first name.</summary>
            public IEnumerable<(string name, Parameter parameter)> named_parameters(bool recurse = true) =>
                Places(recurse).SelectMany(m => m.module.ownParameters.Where(p => p.Value != null).Select(p => (Join(m.name, p.Name), p.Value!)))
                    .DistinctBy(p => (object)p.Item2, ReferenceEqualityComparer.Instance);

            /// <summary>Parameters, each once.</summary>
            public IEnumerable<Parameter> parameters(bool recurse = true) => named_parameters(recurse).Select(p => p.parameter);

            /// <summary>Buffers with dotted names, each once.</summary>
            public IEnumerable<(string name, Tensor buffer)> named_buffers(bool recurse = true) =>
                Places(recurse).SelectMany(m => m.module.ownBuffers.Select(b => (Join(m.name, b.Name), b.Value)))
                    .DistinctBy(b => (object)b.Item2, ReferenceEqualityComparer.Instance);

            /// <summary>Buffers, each once.</summary>
            public IEnumerable<Tensor> buffers(bool recurse = true) => named_buffers(recurse).Select(b => b.buffer);

            /// <summary>Registers every field of the most derived classes that holds a parameter, module or tensor, under its name.</summary>
            protected void RegisterComponents()
            {
                foreach (var (name, value) in ComponentFields.Of(this))
                {
                    if (IsTaken(name)) continue;
                    if (value is Parameter parameter) register_parameter(name, parameter);
                    else if (value is Module module) register_module(name, module);
                    else if (value is Tensor tensor) register_buffer(name, tensor);
                }
            }

            /// <summary>Disposes parameters, buffers and children.</summary>
            public void Dispose()
            {
                Dispose(true);
                GC.SuppressFinalize(this);
            }

            /// <summary>Disposes parameters, buffers and children; a module that holds more overrides it, and calls this one.</summary>
            protected virtual void Dispose(bool disposing)
            {
                if (!disposing) return;
                foreach (var p in ownParameters) p.Value?.Dispose();
                foreach (var b in ownBuffers) b.Value.Dispose();
                foreach (var m in ownModules) m.Value.Dispose();
            }

            private IEnumerable<(string name, Module module)> Places(bool recurse) => recurse ? named_modules() : [("", this)];

            private IEnumerable<(string, Module)> Walk(string prefix, HashSet<Module> seen)
            {
                if (!seen.Add(this)) yield break;
                yield return (prefix, this);
                foreach (var (child, module) in ownModules)
                    foreach (var below in module.Walk(Join(prefix, child), seen)) yield return below;
            }

            private bool IsTaken(string name) =>
                ownParameters.Exists(p => p.Name == name) || ownBuffers.Exists(b => b.Name == name) || ownModules.Exists(m => m.Name == name);

            private void CheckName(string name)
            {
                ArgumentException.ThrowIfNullOrEmpty(name);
                if (name.Contains('.')) throw new ArgumentException($"'{name}' cannot name a component; dots separate modules in the keys of a state");
                if (IsTaken(name)) throw new ArgumentException($"{GetName()} has a component '{name}' already");
            }

            private protected static string Join(string prefix, string name) => prefix.Length == 0 ? name : prefix + "." + name;
        }
    }
}
