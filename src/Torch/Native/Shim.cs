// The C functions of native/peftalign.h, one declaration each. Every call with a status goes through Check.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace PeftAlign.Torch.Native;

/// <summary>What a native call answered; see native/peftalign.h.</summary>
internal enum Status
{
    Ok = 0,
    Error = 1,
    OutOfMemory = 2,
    Index = 3,
    NotImplemented = 4,
    Argument = 5,
    UnknownOperator = 6,
    Managed = 7,
    Unknown = 8,
}

[StructLayout(LayoutKind.Sequential)]
internal unsafe struct TensorInfo
{
    public long* Sizes;
    public long* Strides;
    public void* Data;
    public long Numel;
    public long StorageBytes;
    public long StorageOffset;
    public int Dims;
    public int Dtype;
    public int DeviceType;
    public int DeviceIndex;
    public byte RequiresGrad;
    public byte IsLeaf;
    public byte IsContiguous;
    public byte IsView;
    public uint Version;
}

internal static unsafe partial class Shim
{
    private const string Library = Loader.LibraryName;

    static Shim() => Loader.Register();

    [LibraryImport(Library)] private static partial byte* pa_last_error();
    [LibraryImport(Library)] private static partial byte* pa_built_for();
    [LibraryImport(Library)] internal static partial void pa_free(void* p);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial Status pa_op_find(string name, string overload, out nint op);
    [LibraryImport(Library)] private static partial byte* pa_op_schema(nint op);
    [LibraryImport(Library)] internal static partial Status pa_call(nint op, Arg* args, int nArgs, Arg* results, int maxResults, out int nResults);
    [LibraryImport(Library)] internal static partial Status pa_op_count(out long count);

    [LibraryImport(Library)] internal static partial void pa_tensor_release(nint tensor);
    [LibraryImport(Library)] internal static partial Status pa_tensor_info_get(TensorHandle tensor, out TensorInfo info);
    [LibraryImport(Library)]
    internal static partial Status pa_tensor_from_blob(void* data, long* sizes, int dims, int dtype, delegate* unmanaged[Cdecl]<void*, void> release, void* context, out nint tensor);
    [LibraryImport(Library)] internal static partial Status pa_tensor_alias(TensorHandle tensor, out nint same);

    [LibraryImport(Library)] internal static partial Status pa_set_requires_grad(TensorHandle tensor, int on);
    [LibraryImport(Library)] internal static partial Status pa_grad_get(TensorHandle tensor, out nint grad);
    [LibraryImport(Library)] internal static partial Status pa_grad_set(TensorHandle tensor, nint grad);
    [LibraryImport(Library)] internal static partial Status pa_retain_grad(TensorHandle tensor);
    [LibraryImport(Library)] internal static partial Status pa_grad_fn_name(TensorHandle tensor, byte* text, int capacity);
    [LibraryImport(Library)] internal static partial int pa_grad_mode_get();
    [LibraryImport(Library)] internal static partial void pa_grad_mode_set(int on);
    [LibraryImport(Library)] internal static partial Status pa_inference_mode_enter(int on, out nint guard);
    [LibraryImport(Library)] internal static partial void pa_inference_mode_leave(nint guard);
    [LibraryImport(Library)] internal static partial Status pa_backward(nint* tensors, nint* grads, int n, int retainGraph, int createGraph);
    [LibraryImport(Library)]
    internal static partial Status pa_grad(nint* outputs, nint* gradOutputs, int nOutputs, nint* inputs, int nInputs, int retainGraph, int createGraph, int allowUnused, nint* results);
    [LibraryImport(Library)] internal static partial Status pa_anomaly_mode_set(int on);

    [LibraryImport(Library, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial Status pa_function_new(nint* inputs, int nInputs, string name, delegate* unmanaged[Cdecl]<void*, void*, nint*, int, nint*, int, long> backward, delegate* unmanaged[Cdecl]<void*, void> release, void* context, out nint function);
    [LibraryImport(Library)] internal static partial Status pa_function_save(nint function, TensorHandle tensor, int isOutput);
    [LibraryImport(Library)] internal static partial Status pa_function_saved_count(nint function, out int count);
    [LibraryImport(Library)] internal static partial Status pa_function_saved(nint function, int index, out nint tensor);
    [LibraryImport(Library)] internal static partial Status pa_function_finish(nint function, nint* outputs, int nOutputs, nint* results);
    [LibraryImport(Library)] internal static partial void pa_function_drop(nint function);

    [LibraryImport(Library)] internal static partial Status pa_generator_default(int deviceType, int deviceIndex, out nint generator);
    [LibraryImport(Library)] internal static partial Status pa_generator_new(int deviceType, int deviceIndex, long seed, out nint generator);
    [LibraryImport(Library)] internal static partial void pa_generator_release(nint generator);
    [LibraryImport(Library)] internal static partial Status pa_generator_seed_set(GeneratorHandle generator, long seed);
    [LibraryImport(Library)] internal static partial Status pa_generator_seed_get(GeneratorHandle generator, out long seed);
    [LibraryImport(Library)] internal static partial Status pa_generator_state_get(GeneratorHandle generator, out nint tensor);
    [LibraryImport(Library)] internal static partial Status pa_generator_state_set(GeneratorHandle generator, TensorHandle tensor);
    [LibraryImport(Library)] internal static partial Status pa_manual_seed(long seed);

    [LibraryImport(Library)] internal static partial Status pa_cuda_count(out int count);
    [LibraryImport(Library)] internal static partial Status pa_cuda_synchronize(int device);
    [LibraryImport(Library)] internal static partial Status pa_cuda_stream(int device, out nint stream);
    [LibraryImport(Library)] internal static partial Status pa_cuda_stream_new(int device, out long id);
    [LibraryImport(Library)] internal static partial Status pa_cuda_stream_now(int device, out long id);
    [LibraryImport(Library)] internal static partial Status pa_cuda_stream_use(int device, long id);
    [LibraryImport(Library)] internal static partial Status pa_cuda_event_record(int device, long id, out nint handle);
    [LibraryImport(Library)] internal static partial Status pa_cuda_event_wait(nint handle, int device, long id);
    [LibraryImport(Library)] internal static partial void pa_cuda_event_release(nint handle);
    [LibraryImport(Library)] internal static partial Status pa_cuda_memory(int device, out long allocated, out long peak, out long reserved);
    [LibraryImport(Library)] internal static partial Status pa_cuda_memory_reset(int device, int peak, int emptyCache);
    [LibraryImport(Library)] internal static partial void pa_rehearsal_open();
    [LibraryImport(Library)] internal static partial void pa_rehearsal_memory(int reset, out long bytes, out long peak);
    [LibraryImport(Library)] internal static partial int pa_threads_get();
    [LibraryImport(Library)] internal static partial Status pa_threads_set(int threads);
    [LibraryImport(Library)] internal static partial Status pa_instructions(int most, out int set);
    [LibraryImport(Library)] private static partial Status pa_running(byte* text, int capacity);
    [LibraryImport(Library)] private static partial Status pa_blas(byte* text, int capacity);
    [LibraryImport(Library)] private static partial Status pa_describe(byte* text, int capacity);

    internal static string LastError => Text(pa_last_error());

    /// <summary>The libtorch version whose headers compiled the shim.</summary>
    internal static string BuiltFor => Text(pa_built_for());

    /// <summary>The version of the libtorch that is loaded; "" if it does not say.</summary>
    internal static string Running()
    {
        var text = stackalloc byte[64];
        Check(pa_running(text, 64));
        return Text(text);
    }

    /// <summary>The kernels that OpenBLAS chose; "" for another BLAS.</summary>
    internal static string BlasKernels()
    {
        var text = stackalloc byte[64];
        Check(pa_blas(text, 64));
        return Text(text);
    }

    internal static string SchemaOf(nint op) => Text(pa_op_schema(op));

    internal static string Describe()
    {
        var text = stackalloc byte[16384];
        Check(pa_describe(text, 16384));
        return Text(text);
    }

    /// <summary>Throws the exception that a status stands for, naming what was asked (<paramref name="what"/>).</summary>
    internal static void Check(Status status, [CallerMemberName] string what = "")
    {
        if (status != Status.Ok) throw Errors.Of(status, what, "");
    }

    internal static string Text(byte* utf8) => Marshal.PtrToStringUTF8((nint)utf8) ?? "";
}
