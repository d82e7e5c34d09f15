// Devices and threads.

using PeftAlign.Torch.Native;

namespace PeftAlign.Torch;

public static partial class torch
{
    /// <summary>Threads that one operator uses on the processor.</summary>
    public static int get_num_threads()
    {
        Loader.Open();
        return Shim.pa_threads_get();
    }

    /// <summary>Sets the threads of libtorch's operators and of the BLAS under them.</summary>
    public static void set_num_threads(int num)
    {
        Loader.Open();
        Shim.Check(Shim.pa_threads_set(num), "set_num_threads");
    }

    /// <summary>The GPUs that libtorch sees.</summary>
    public static partial class cuda
    {
        /// <summary>Whether there is a GPU that this libtorch can use.</summary>
        public static bool is_available() => device_count() > 0;

        /// <summary>How many GPUs libtorch sees; 0 without CUDA.</summary>
        public static int device_count()
        {
            Shim.Check(Shim.pa_cuda_count(out var count), "cuda.device_count");
            return count;
        }

        /// <summary>Seeds the default generators of all GPUs; does nothing where there is none.</summary>
        public static void manual_seed_all(long seed)
        {
            for (var k = 0; k < device_count(); k++) Generator.Default(device(DeviceType.CUDA, k)).manual_seed(seed);
        }

        /// <summary>Waits until all work asked of a GPU (the first, without a device) is done.</summary>
        /// <exception cref="TorchException">The GPU is not there.</exception>
        public static void synchronize(Device? device = null) => Shim.Check(Shim.pa_cuda_synchronize(device?.index ?? 0), "cuda.synchronize");

        /// <summary>The runtime's handle (cudaStream_t) of the stream that libtorch works on now, for kernels of one's own; 0 is the default stream.</summary>
        public static nint current_stream(Device? device = null)
        {
            Shim.Check(Shim.pa_cuda_stream(device?.index ?? 0, out var stream), "cuda.current_stream");
            return stream;
        }

        /// <summary>Bytes that tensors occupy now.</summary>
        public static long memory_allocated(Device? device = null) => Memory(device).Allocated;

        /// <summary>Most bytes that tensors occupied since the last reset.</summary>
        public static long max_memory_allocated(Device? device = null) => Memory(device).Peak;

        /// <summary>Bytes that the caching allocator holds.</summary>
        public static long memory_reserved(Device? device = null) => Memory(device).Reserved;

        /// <summary>Lets <see cref="max_memory_allocated"/> count anew, from what tensors occupy now. Needs libtorch 2.9.</summary>
        /// <exception cref="TorchException">The GPU is not there.</exception>
        public static void reset_peak_memory_stats(Device? device = null) => Shim.Check(Shim.pa_cuda_memory_reset(device?.index ?? 0, 1, 0), "cuda.reset_peak_memory_stats");

        /// <summary>Gives memory that the caching allocator holds and no tensor occupies back to the device. Needs libtorch 2.9.</summary>
        /// <exception cref="TorchException">The GPU is not there.</exception>
        public static void empty_cache(Device? device = null) => Shim.Check(Shim.pa_cuda_memory_reset(device?.index ?? 0, 0, 1), "cuda.empty_cache");

        private static (long Allocated, long Peak, long Reserved) Memory(Device? device)
        {
            Shim.Check(Shim.pa_cuda_memory(device?.index ?? 0, out var allocated, out var peak, out var reserved), "cuda.memory");
            return (allocated, peak, reserved);
        }
    }
}
