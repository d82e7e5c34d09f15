// Modules that hold modules: a list, a dictionary, a chain.

using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace PeftAlign.Torch.Modules;

/// <summary>Modules by number; the keys are "0", "1" ...</summary>
public sealed class ModuleList<T> : torch.nn.Module, IReadOnlyList<T> where T : torch.nn.Module
{
    private readonly List<T> items = [];

    /// <summary>A list of these modules.</summary>
    public ModuleList(params T[] modules) : base(nameof(ModuleList<T>))
    {
        foreach (var module in modules) Add(module);
    }

    /// <inheritdoc/>
    public int Count => items.Count;

    /// <summary>The module at a place, from 0.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is none.</exception>
    public T this[int index] => items[index];

    /// <inheritdoc cref="append"/>
    public void Add(T module) => append(module);

    /// <summary>Adds a module at the end.</summary>
    public void append(T module)
    {
        register_module(items.Count.ToString(), module);
        items.Add(module);
    }

    /// <summary>Adds modules at the end.</summary>
    public void extend(IEnumerable<T> modules)
    {
        foreach (var module in modules) append(module);
    }

    /// <inheritdoc/>
    public IEnumerator<T> GetEnumerator() => items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>Modules by name, in the order in which they were added.</summary>
public sealed class ModuleDict<T> : torch.nn.Module, IEnumerable<(string, T)> where T : torch.nn.Module
{
    private readonly List<(string Name, T Module)> items = [];

    /// <summary>A dictionary of these modules.</summary>
    public ModuleDict(params (string, T)[] modules) : base(nameof(ModuleDict<T>))
    {
        foreach (var (name, module) in modules) Add(name, module);
    }

    /// <summary>How many modules there are.</summary>
    public int Count => items.Count;

    /// <summary>The names, in the order in which modules were added.</summary>
    public IEnumerable<string> Keys => items.Select(i => i.Name);

    /// <summary>The modules, in the order in which they were added.</summary>
    public IEnumerable<T> Values => items.Select(i => i.Module);

    /// <summary>The module of a name.</summary>
    /// <exception cref="KeyNotFoundException">There is none; the message lists the names.</exception>
    public T this[string key] => TryGetValue(key, out var module) ? module : throw new KeyNotFoundException($"no module '{key}'; there are {string.Join(", ", Keys)}");

    /// <summary>Adds a module under a name.</summary>
    /// <exception cref="ArgumentException">The name is empty, has a dot, or is taken.</exception>
    public void Add(string name, T module)
    {
        register_module(name, module);
        items.Add((name, module));
    }

    /// <summary>Whether a module has this name.</summary>
    public bool ContainsKey(string key) => items.Exists(i => i.Name == key);

    /// <summary>The module of a name, if there is one.</summary>
    public bool TryGetValue(string key, [MaybeNullWhen(false)] out T module)
    {
        module = items.Find(i => i.Name == key).Module;
        return module != null;
    }

    /// <summary>Names and modules, in the order in which they were added.</summary>
    public IEnumerator<(string, T)> GetEnumerator() => items.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}

/// <summary>Modules one after the other; what lies between two of them is disposed once it is used.</summary>
public sealed class Sequential : torch.nn.Module<Tensor, Tensor>
{
    private readonly List<torch.nn.Module<Tensor, Tensor>> items = [];

    internal Sequential(IEnumerable<(string, torch.nn.Module<Tensor, Tensor>)> modules) : base(nameof(Sequential))
    {
        foreach (var (name, module) in modules) append(name, module);
    }

    /// <summary>Adds a module at the end.</summary>
    public Sequential append(string name, torch.nn.Module<Tensor, Tensor> module)
    {
        register_module(name, module);
        items.Add(module);
        return this;
    }

    /// <summary>The last module's result; without modules, the input as an object of its own.</summary>
    public override Tensor forward(Tensor input)
    {
        if (items.Count == 0) return input.alias();
        using var scope = torch.NewDisposeScope();
        var current = input;
        foreach (var module in items) current = module.call(current);
        return scope.Spare(current);
    }
}
