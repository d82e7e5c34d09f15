// Deterministic lifetime, with TorchSharp's semantics: scopes form a stack per thread, a new tensor registers with
// the innermost one, and a scope's end disposes what still belongs to it. Scopes may close out of order.
// A scope belongs to its thread: never hold one across an await.

namespace PeftAlign.Torch;

/// <summary>What a dispose scope can hold.</summary>
internal interface IScoped : IDisposable
{
    DisposeScope? Scope { get; set; }

    int Slot { get; set; }
}

/// <summary>Disposes the tensors made while it is open, except those that were moved out or detached.</summary>
public sealed class DisposeScope : IDisposable
{
    private readonly List<IScoped?> members = [];
    private readonly DisposeScopeManager manager;
    private int live;
    private bool closed;

    internal DisposeScope(DisposeScopeManager manager)
    {
        this.manager = manager;
        OuterScope = manager.Current;
    }

    /// <summary>The scope that was innermost when this one opened.</summary>
    public DisposeScope? OuterScope { get; }

    /// <summary>How many objects the scope would dispose now.</summary>
    public int DisposablesCount => live;

    internal bool IsClosed => closed;

    internal void Add(IScoped item)
    {
        ObjectDisposedException.ThrowIf(closed, this);
        item.Scope = this;
        item.Slot = members.Count;
        members.Add(item);
        live++;
    }

    internal void Remove(IScoped item)
    {
        if (item.Scope != this) return;
        members[item.Slot] = null;
        item.Scope = null;
        live--;
        if (live == 0) members.Clear();
        else if (members.Count > 64 && members.Count > 4 * live) Compact();
    }

    // In a long-lived scope most members are disposed one by one; their places must not add up.
    private void Compact()
    {
        members.RemoveAll(m => m is null);
        for (var k = 0; k < members.Count; k++) members[k]!.Slot = k;
    }

    /// <summary>Moves a tensor to the scope outside this one, or detaches it where there is none.</summary>
    public T MoveToOuter<T>(T item) where T : IDisposable
    {
        MoveTo(item, NextOpen(OuterScope));
        return item;
    }

    /// <summary>Moves a tensor outwards if this scope would dispose it; one that belongs elsewhere stays there.</summary>
    internal T Spare<T>(T item) where T : IScoped
    {
        if (item.Scope == this) MoveTo(item, NextOpen(OuterScope));
        return item;
    }

    /// <summary>Moves a tensor to another scope.</summary>
    public T MoveToOther<T>(DisposeScope? other, T item) where T : IDisposable
    {
        MoveTo(item, other);
        return item;
    }

    /// <summary>Takes a tensor out of every scope: the caller disposes it, or the collector does in time.</summary>
    public T Detach<T>(T item) where T : IDisposable
    {
        MoveTo(item, null);
        return item;
    }

    /// <summary>Makes a tensor belong to this scope.</summary>
    public T Attach<T>(T item) where T : IDisposable
    {
        MoveTo(item, this);
        return item;
    }

    /// <summary>Disposes every member but those given.</summary>
    public void DisposeEverythingBut(params IEnumerable<IDisposable> keep)
    {
        var kept = new HashSet<object>(keep, ReferenceEqualityComparer.Instance);
        foreach (var member in members.ToArray())
            if (member != null && !kept.Contains(member)) member.Dispose();
    }

    /// <summary>Disposes every member; the scope stays open.</summary>
    public void DisposeEverything() => DisposeEverythingBut();

    /// <summary>Closes the scope and disposes its members.</summary>
    public void Dispose()
    {
        if (closed) return;
        closed = true;
        manager.Close(this);
        for (var k = 0; k < members.Count; k++)
        {
            if (members[k] is not { } member) continue;
            member.Scope = null;
            member.Dispose();
        }
        members.Clear();
        live = 0;
    }

    internal static DisposeScope? NextOpen(DisposeScope? scope)
    {
        while (scope is { closed: true }) scope = scope.OuterScope;
        return scope;
    }

    internal static void MoveTo(IDisposable item, DisposeScope? scope)
    {
        if (item is not IScoped scoped) throw new ArgumentException($"a dispose scope does not hold {item.GetType().Name}");
        if (scope is { closed: true }) throw new ObjectDisposedException(nameof(DisposeScope), "the scope that should take the tensor over is closed; use one that is open");
        scoped.Scope?.Remove(scoped);
        scope?.Add(scoped);
    }
}

/// <summary>The stack of scopes of one thread, and its counts.</summary>
internal sealed class DisposeScopeManager
{
    [ThreadStatic] private static DisposeScopeManager? current;

    internal static DisposeScopeManager OfThread => current ??= new DisposeScopeManager();

    internal DisposeScope? Current { get; private set; }

    internal DisposeScope Open() => Current = new DisposeScope(this);

    internal void Close(DisposeScope scope)
    {
        if (Current == scope) Current = DisposeScope.NextOpen(scope.OuterScope);
    }

    internal static void Register(IScoped item) => current?.Current?.Add(item);
}

public static partial class torch
{
    /// <summary>Opens a scope: tensors made until its end are disposed with it.</summary>
    public static DisposeScope NewDisposeScope() => DisposeScopeManager.OfThread.Open();

    /// <summary>Runs <paramref name="body"/> in a scope of its own; its result moves to the outer one.</summary>
    public static Tensor WrappedTensorDisposeScope(Func<Tensor> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        using var scope = NewDisposeScope();
        return scope.Spare(body());
    }
}
