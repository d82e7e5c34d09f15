// An operator of libtorch by name, called through the dispatcher. The handle is looked up at the first call;
// where versions differ, the candidates are tried in order.

using System.Runtime.CompilerServices;
using System.Text;

namespace PeftAlign.Torch.Native;

internal sealed unsafe class Operator(string name, string overload = "")
{
    private const int MaxResults = 6;
    private const int StackWords = 96;
    private nint handle;

    internal string Name { get; } = overload.Length == 0 ? name : name + "." + overload;

    /// <summary>The schema's text, for instance "aten::mm(Tensor self, Tensor mat2) -> Tensor".</summary>
    internal string Schema => Shim.SchemaOf(Handle);

    internal bool Exists => Shim.pa_op_find(name, overload, out _) == Status.Ok;

    private nint Handle => handle != 0 ? handle : Find();

    private nint Find()
    {
        var status = Shim.pa_op_find(name, overload, out var found);
        if (status != Status.Ok) throw Errors.Of(status, Name, "");
        return handle = found;
    }

    /// <summary>Calls an operator with one tensor as its result.</summary>
    internal Tensor Tensor(params ReadOnlySpan<Value> args)
    {
        var results = stackalloc Arg[1];
        Invoke(args, results, 1);
        return Interop.Wrap(results[0]) ?? throw new TorchException(Name, Errors.Describe(args), "the result is undefined");
    }

    /// <summary>Calls an operator with two tensors as its result.</summary>
    internal (Tensor, Tensor) Pair(params ReadOnlySpan<Value> args)
    {
        var results = stackalloc Arg[2];
        Invoke(args, results, 2);
        return (Interop.Wrap(results[0])!, Interop.Wrap(results[1])!);
    }

    /// <summary>Calls an operator with three tensors as its result.</summary>
    internal (Tensor, Tensor, Tensor) Triple(params ReadOnlySpan<Value> args)
    {
        var results = stackalloc Arg[3];
        Invoke(args, results, 3);
        return (Interop.Wrap(results[0])!, Interop.Wrap(results[1])!, Interop.Wrap(results[2])!);
    }

    /// <summary>Calls an operator for its effect; what it returns is one of its arguments.</summary>
    internal void InPlace(params ReadOnlySpan<Value> args) => Invoke(args, null, 0);

    /// <summary>Calls an operator whose result is a list of tensors.</summary>
    internal Tensor[] Tensors(params ReadOnlySpan<Value> args)
    {
        var results = stackalloc Arg[1];
        Invoke(args, results, 1);
        return Interop.WrapList(results[0]);
    }

    internal bool Bool(params ReadOnlySpan<Value> args)
    {
        var results = stackalloc Arg[1];
        Invoke(args, results, 1);
        return results[0].Int != 0;
    }

    /// <summary>Calls an operator and returns whatever it returns: Tensor, Tensor[], long, double, bool, long[] or null.</summary>
    internal object?[] Any(params ReadOnlySpan<Value> args)
    {
        var results = stackalloc Arg[MaxResults];
        var n = Invoke(args, results, MaxResults);
        var values = new object?[n];
        for (var k = 0; k < n; k++) values[k] = Interop.Unbox(results[k]);
        return values;
    }

    private int Invoke(ReadOnlySpan<Value> values, Arg* results, int maxResults)
    {
        var words = 0;
        foreach (ref readonly var value in values) words += value.ScratchWords;
        if (words > StackWords)
        {
            var large = GC.AllocateUninitializedArray<long>(words, pinned: true);
            fixed (long* scratch = large) return Invoke(values, scratch, results, maxResults);
        }
        var small = stackalloc long[words];
        return Invoke(values, small, results, maxResults);
    }

    private int Invoke(ReadOnlySpan<Value> values, long* scratch, Arg* results, int maxResults)
    {
        var op = Handle;
        var args = stackalloc Arg[values.Length];
        var held = 0;
        try
        {
            for (; held < values.Length; held++) Pass(in values[held], held, ref args[held], ref scratch);
            var status = Shim.pa_call(op, args, values.Length, results, maxResults, out var n);
            if (status == Status.OutOfMemory && Memory.Reclaim())
                status = Shim.pa_call(op, args, values.Length, results, maxResults, out n);
            if (status != Status.Ok) throw Errors.Of(status, Name, Errors.Describe(values));
            return n;
        }
        finally
        {
            for (var k = 0; k < held; k++) Release(in values[k]);
        }
    }

    private void Pass(in Value value, int position, ref Arg arg, ref long* scratch)
    {
        arg = default;
        arg.Tag = value.Tag;
        switch (value.Tag)
        {
            case Tag.Tensor:
                arg.Pointer = (void*)Hold((Tensor)value.Reference!, position);
                break;
            case Tag.Generator:
                arg.Pointer = (void*)((torch.Generator)value.Reference!).Hold();
                break;
            case Tag.Device:
                var device = (torch.Device)value.Reference!;
                arg.Int = (long)device.type;
                arg.Count = device.index;
                break;
            case Tag.Ints or Tag.Doubles or Tag.Bools or Tag.Tensors or Tag.String:
                PassList(in value, position, ref arg, ref scratch);
                break;
            default:
                arg.Int = value.Bits;
                break;
        }
    }

    private void PassList(in Value value, int position, ref Arg arg, ref long* scratch)
    {
        arg.Pointer = scratch;
        switch (value.Reference)
        {
            case long[] ints:
                ints.CopyTo(new Span<long>(scratch, ints.Length));
                arg.Count = ints.Length;
                break;
            case double[] doubles:
                doubles.CopyTo(new Span<double>(scratch, doubles.Length));
                arg.Count = doubles.Length;
                break;
            case string text:
                arg.Count = Encoding.UTF8.GetBytes(text, new Span<byte>(scratch, value.ScratchWords * 8));
                break;
            case bool[] flags:
                System.Runtime.InteropServices.MemoryMarshal.AsBytes(flags.AsSpan()).CopyTo(new Span<byte>(scratch, flags.Length));
                arg.Count = flags.Length;
                break;
            case Tensor?[] tensors:
                HoldAll(tensors, position, (nint*)scratch);
                arg.Count = tensors.Length;
                break;
        }
        scratch += value.ScratchWords;
    }

    // All or none: a disposed tensor in the middle of a list leaves no reference behind.
    private void HoldAll(Tensor?[] tensors, int position, nint* handles)
    {
        var k = 0;
        try
        {
            for (; k < tensors.Length; k++) handles[k] = tensors[k] is { } t ? Hold(t, position) : 0;
        }
        catch
        {
            while (--k >= 0) tensors[k]?.DangerousRelease();
            throw;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private nint Hold(Tensor tensor, int position)
    {
        var pointer = tensor.TryHold();
        return pointer != 0 ? pointer : throw Errors.Disposed(Name, position);
    }

    private static void Release(in Value value)
    {
        switch (value.Reference)
        {
            case Tensor tensor:
                tensor.DangerousRelease();
                break;
            case Tensor?[] tensors:
                foreach (var t in tensors) t?.DangerousRelease();
                break;
            case torch.Generator generator:
                generator.Unhold();
                break;
        }
    }
}
