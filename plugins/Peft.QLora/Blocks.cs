// The kernels over tensors: where they lie decides which kernel runs. Everything is contiguous.

using PeftAlign.Abstractions;
using PeftAlign.Torch;

namespace PeftAlign.Peft.QLora;

/// <summary>Which of the three ways a kernel runs.</summary>
internal enum KernelPlace
{
    /// <summary>The processor's own kernels.</summary>
    Processor,

    /// <summary>The CUDA kernels on a device.</summary>
    Cuda,

    /// <summary>The CUDA kernels' bodies on the processor; for tests.</summary>
    Emulated,
}

internal static unsafe class Blocks
{
    // On the device to rehearse on, whose memory is the processor's, the CUDA kernels' bodies run.
    internal static KernelPlace PlaceOf(torch.Device device) => device.type switch
    {
        DeviceType.CUDA => CudaDevices.Refusal(device) is { } refusal ? throw new UserErrorException(refusal) : KernelPlace.Cuda,
        DeviceType.PrivateUse1 => KernelPlace.Emulated,
        _ => KernelPlace.Processor,
    };

    /// <summary>Codes and factors of a matrix taken as one row of values.</summary>
    /// <param name="values">Contiguous; float32, bfloat16 or float16.</param>
    /// <param name="code">The type.</param>
    /// <param name="blocksize">Values that share a factor.</param>
    /// <param name="place">Where to compute.</param>
    /// <returns>The codes, two per byte, (ceil(n / 2), 1) uint8; and each block's largest magnitude, (blocks) float32.</returns>
    internal static (Tensor Packed, Tensor Absmax) Quantize(Tensor values, FourBitCode code, int blocksize, KernelPlace place)
    {
        var count = values.numel();
        var packed = torch.empty([(count + 1) / 2, 1], torch.uint8, values.device);
        var absmax = torch.empty([(count + blocksize - 1) / blocksize], torch.float32, values.device);
        var (type, levels) = ((int)values.dtype, code.Levels);
        var x = (void*)values.data_ptr();
        var q = (byte*)packed.data_ptr();
        var scales = (float*)absmax.data_ptr();
        Native.Check(place switch
        {
            KernelPlace.Cuda => Native.pq_cuda_quantise(x, type, count, blocksize, levels, q, scales, values.device.index, torch.cuda.current_stream(values.device)),
            KernelPlace.Emulated => Native.pq_emulated_quantise(x, type, count, blocksize, levels, q, scales, 0, long.MaxValue),
            _ => Native.pq_quantise(x, type, count, blocksize, levels, q, scales, torch.get_num_threads()),
        }, "quantise");
        GC.KeepAlive(values);
        return (packed, absmax);
    }

    /// <summary>Writes the whole matrix.</summary>
    /// <param name="matrix">The codes and factors.</param>
    /// <param name="target">(out, in), contiguous; float32, bfloat16 or float16, on the matrix's device.</param>
    /// <param name="place">Where to compute.</param>
    internal static void Decode(FourBitMatrix matrix, Tensor target, KernelPlace place)
    {
        var (native, type) = (matrix.Native(), (int)target.dtype);
        var into = (void*)target.data_ptr();
        Native.Check(place switch
        {
            KernelPlace.Cuda => Native.pq_cuda_decode(native, into, type, target.device.index, torch.cuda.current_stream(target.device)),
            KernelPlace.Emulated => Native.pq_emulated_decode(native, into, type, 0, long.MaxValue),
            _ => Native.pq_decode(native, into, type, torch.get_num_threads()),
        }, "decode");
        GC.KeepAlive(matrix);
        GC.KeepAlive(target);
    }

    /// <summary>(R, out): x (R, in) times the transposed matrix, straight from the codes.</summary>
    internal static Tensor Product(FourBitMatrix matrix, Tensor x, KernelPlace place)
    {
        using var scope = torch.NewDisposeScope();
        var (rows, type, native) = (x.size(0), (int)x.dtype, matrix.Native());
        if (place == KernelPlace.Processor) x = x.to(torch.float32);
        x = x.contiguous();
        var y = torch.empty([rows, matrix.Outputs], x.dtype, x.device);
        var from = (void*)x.data_ptr();
        var into = (void*)y.data_ptr();
        Native.Check(place switch
        {
            KernelPlace.Cuda => Native.pq_cuda_product(native, matrix.Outputs, matrix.Inputs, from, rows, into, type, x.device.index, torch.cuda.current_stream(x.device)),
            KernelPlace.Emulated => Native.pq_emulated_product(native, matrix.Outputs, matrix.Inputs, from, rows, into, type, 0, long.MaxValue),
            _ => Native.pq_product(native, matrix.Outputs, matrix.Inputs, (float*)from, rows, (float*)into, type, torch.get_num_threads()),
        }, "product");
        GC.KeepAlive(matrix);
        GC.KeepAlive(x);
        return y.to((torch.ScalarType)type).MoveToOuterDisposeScope();
    }

    /// <summary>Quantises factors to 8 bits, the nearest entries of the dynamic map. Runs on the processor, since factors are few.</summary>
    /// <param name="factors">(n) float32, less their mean.</param>
    /// <param name="blocksize">How many factors share a second-level factor.</param>
    /// <returns>(n) uint8, and (ceil(n / blocksize)) float32.</returns>
    internal static (Tensor Codes, Tensor Absmax) QuantizeFactors(Tensor factors, int blocksize)
    {
        var count = factors.numel();
        var (codes, absmax) = (torch.empty([count], torch.uint8), torch.empty([(count + blocksize - 1) / blocksize], torch.float32));
        fixed (float* map = FourBitCode.Dynamic)
            Native.Check(Native.pq_quantise8((float*)factors.data_ptr(), count, blocksize, map, (byte*)codes.data_ptr(), (float*)absmax.data_ptr()), "quantise factors");
        GC.KeepAlive(factors);
        return (codes, absmax);
    }
}
