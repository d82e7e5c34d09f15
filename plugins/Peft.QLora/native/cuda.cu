// The kernels on a CUDA device, on the caller's stream, without waiting for it. Compiled only where nvcc is; cuda_absent.cpp
// stands in its place elsewhere.
#include <cuda_runtime.h>

#include "kernels.h"

namespace pq {
namespace {

template <typename Arguments, void (*Body)(const DeviceBlock&, const Arguments&)>
__global__ void run(Arguments arguments) {
    extern __shared__ float shared[];
    Body(DeviceBlock{int64_t(blockIdx.x), int(blockDim.x), shared}, arguments);
}

// The caller's device stays the current one; to set one, even the same, would wake it.
struct OnDevice {
    int before = 0, device;
    cudaError_t error;
    explicit OnDevice(int wanted) : device(wanted) {
        error = cudaGetDevice(&before);
        if (error == cudaSuccess && device != before) error = cudaSetDevice(device);
    }
    ~OnDevice() {
        if (error == cudaSuccess && device != before) cudaSetDevice(before);
    }
};

template <typename Arguments, void (*Body)(const DeviceBlock&, const Arguments&)>
int32_t launch(int64_t blocks, int threads, int shared, const Arguments& arguments, int32_t device, void* stream) {
    if (blocks == 0) return 0;
    if (blocks > kMostBlocks) return int32_t(cudaErrorInvalidConfiguration);
    OnDevice on(device);
    if (on.error != cudaSuccess) return int32_t(on.error);
    run<Arguments, Body><<<unsigned(blocks), unsigned(threads), size_t(shared) * sizeof(float), static_cast<cudaStream_t>(stream)>>>(arguments);
    return int32_t(cudaGetLastError());
}

}  // namespace
}  // namespace pq

using namespace pq;

int32_t pq_has_cuda(void) { return 1; }

int32_t pq_cuda_probe(int32_t device, pq_device* about) {
    *about = pq_device{0, 0, CUDART_VERSION};
    cudaDriverGetVersion(&about->driver);
    OnDevice on(device);
    if (on.error != cudaSuccess) return int32_t(on.error);
    int major = 0, minor = 0;
    if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess && cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) == cudaSuccess)
        about->capability = 10 * major + minor;
    cudaFuncAttributes attributes;
    const cudaError_t error = cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(&run<DecodeArguments, decode_block<DeviceBlock>>));
    if (error != cudaSuccess) cudaGetLastError();  // else libtorch's next look would find it
    return int32_t(error);
}

const char* pq_error_text(int32_t error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

int32_t pq_cuda_quantise(const void* x, int32_t type, int64_t count, int32_t blocksize, const pq_levels* levels, uint8_t* packed, float* absmax, int32_t device, void* stream) {
    QuantiseArguments a = quantise_arguments(x, type, count, blocksize, *levels, packed, absmax);
    return launch<QuantiseArguments, quantise_block<DeviceBlock>>(quantise_grid(a), kQuantiseThreads, kQuantiseShared, a, device, stream);
}

int32_t pq_cuda_decode(const pq_matrix* matrix, void* out, int32_t type, int32_t device, void* stream) {
    DecodeArguments a = decode_arguments(*matrix, out, type);
    return launch<DecodeArguments, decode_block<DeviceBlock>>(decode_grid(a), kDecodeThreads, kDecodeShared, a, device, stream);
}

int32_t pq_cuda_product(const pq_matrix* matrix, int64_t outs, int64_t ins, const void* x, int64_t rows, void* y, int32_t type, int32_t device, void* stream) {
    return each_product(*matrix, outs, ins, x, rows, y, type, [&](const ProductArguments& a) {
        return launch<ProductArguments, product_block<DeviceBlock>>(product_grid(a), kProductThreads, kProductShared, a, device, stream);
    });
}
