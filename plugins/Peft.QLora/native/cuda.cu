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

// The caller's device stays the current one.
struct OnDevice {
    int before = 0;
    explicit OnDevice(int device) {
        cudaGetDevice(&before);
        if (device != before) cudaSetDevice(device);
    }
    ~OnDevice() { cudaSetDevice(before); }
};

template <typename Arguments, void (*Body)(const DeviceBlock&, const Arguments&)>
int32_t launch(int64_t blocks, int threads, size_t shared, const Arguments& arguments, int32_t device, void* stream) {
    if (blocks == 0) return 0;
    if (blocks > 0x7fffffff) return int32_t(cudaErrorInvalidConfiguration);
    OnDevice on(device);
    run<Arguments, Body><<<unsigned(blocks), threads, shared * sizeof(float), static_cast<cudaStream_t>(stream)>>>(arguments);
    return int32_t(cudaGetLastError());
}

}  // namespace
}  // namespace pq

using namespace pq;

int32_t pq_has_cuda(void) { return 1; }

const char* pq_error_text(int32_t error) { return cudaGetErrorString(static_cast<cudaError_t>(error)); }

int32_t pq_cuda_quantise(const void* x, int32_t type, int64_t count, int32_t blocksize, const pq_levels* levels, uint8_t* packed, float* absmax, int32_t device, void* stream) {
    QuantiseArguments a{x, type, blocksize, count, *levels, packed, absmax};
    return launch<QuantiseArguments, quantise_block<DeviceBlock>>((count + blocksize - 1) / blocksize, kQuantiseThreads, kQuantiseThreads, a, device, stream);
}

int32_t pq_cuda_decode(const pq_matrix* matrix, void* out, int32_t type, int32_t device, void* stream) {
    int64_t each = kDecodeThreads * 8;
    return launch<DecodeArguments, decode_block<DeviceBlock>>((matrix->count + each - 1) / each, kDecodeThreads, 16, DecodeArguments{*matrix, out, type}, device, stream);
}

int32_t pq_cuda_product(const pq_matrix* matrix, int64_t outs, int64_t ins, const void* x, int64_t rows, void* y, int32_t type, int32_t device, void* stream) {
    int64_t size = type == PQ_F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r += kProductRows) {
        int64_t n = rows - r < kProductRows ? rows - r : kProductRows;
        ProductArguments a{*matrix, outs, ins, static_cast<const char*>(x) + r * ins * size, n, static_cast<char*>(y) + r * outs * size, type};
        int32_t error = launch<ProductArguments, product_block<DeviceBlock>>(outs, kProductThreads, 16 + kProductThreads * kProductRows, a, device, stream);
        if (error) return error;
    }
    return 0;
}
