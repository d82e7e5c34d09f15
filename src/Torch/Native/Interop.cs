// Results that come back from native code as tensors, lists and numbers.

namespace PeftAlign.Torch.Native;

internal static unsafe class Interop
{
    /// <summary>Wraps an owned handle; null for the undefined tensor.</summary>
    internal static Tensor? Wrap(nint handle, int ownedKib = 0) => handle == 0 ? null : new Tensor(new TensorHandle(handle, ownedKib));

    internal static Tensor? Wrap(in Arg arg) => arg.Tag == Tag.Tensor ? Wrap((nint)arg.Pointer, arg.Count) : null;

    internal static Tensor[] WrapList(in Arg arg)
    {
        if (arg.Tag != Tag.Tensors) return [];
        var tensors = new Tensor[arg.Count];
        for (var k = 0; k < arg.Count; k++) tensors[k] = Wrap(((nint*)arg.Pointer)[k])!;
        Shim.pa_free(arg.Pointer);
        return tensors;
    }

    internal static object? Unbox(in Arg arg)
    {
        switch (arg.Tag)
        {
            case Tag.Tensor: return Wrap(arg);
            case Tag.Tensors: return WrapList(arg);
            case Tag.Int: return arg.Int;
            case Tag.Double: return arg.Double;
            case Tag.Bool: return arg.Int != 0;
            case Tag.Ints:
                var values = new ReadOnlySpan<long>(arg.Pointer, arg.Count).ToArray();
                Shim.pa_free(arg.Pointer);
                return values;
            default: return null;
        }
    }

    /// <summary>Runs an action over the raw handles of some tensors, holding them while it runs.</summary>
    internal static void WithHandles(ReadOnlySpan<Tensor?> tensors, string what, HandlesAction action)
    {
        var handles = new nint[Math.Max(tensors.Length, 1)];
        var held = 0;
        try
        {
            for (; held < tensors.Length; held++)
            {
                if (tensors[held] is not { } t) continue;
                handles[held] = t.TryHold();
                if (handles[held] == 0) throw Errors.Disposed(what, held);
            }
            fixed (nint* p = handles) action(p, tensors.Length);
        }
        finally
        {
            for (var k = 0; k < held; k++) tensors[k]?.DangerousRelease();
        }
    }

    internal delegate void HandlesAction(nint* handles, int count);
}
