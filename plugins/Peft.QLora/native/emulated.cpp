// The CUDA kernels' bodies on the processor, in the launch shapes of cuda.cu.
#include "kernels.h"

using namespace pq;

int32_t pq_emulated_quantise(const void* x, int32_t type, int64_t count, int32_t blocksize, const pq_levels* levels, uint8_t* packed, float* absmax) {
    QuantiseArguments a{x, type, blocksize, count, *levels, packed, absmax};
    emulate((count + blocksize - 1) / blocksize, kQuantiseThreads, kQuantiseThreads, [&](const HostBlock& block) { quantise_block(block, a); });
    return 0;
}

int32_t pq_emulated_decode(const pq_matrix* matrix, void* out, int32_t type) {
    DecodeArguments a{*matrix, out, type};
    int64_t each = kDecodeThreads * 8;
    emulate((matrix->count + each - 1) / each, kDecodeThreads, 16, [&](const HostBlock& block) { decode_block(block, a); });
    return 0;
}

int32_t pq_emulated_product(const pq_matrix* matrix, int64_t outs, int64_t ins, const void* x, int64_t rows, void* y, int32_t type) {
    int64_t size = type == PQ_F32 ? 4 : 2;
    for (int64_t r = 0; r < rows; r += kProductRows) {
        int64_t n = rows - r < kProductRows ? rows - r : kProductRows;
        ProductArguments a{*matrix, outs, ins, static_cast<const char*>(x) + r * ins * size, n, static_cast<char*>(y) + r * outs * size, type};
        emulate(outs, kProductThreads, 16 + kProductThreads * kProductRows, [&](const HostBlock& block) { product_block(block, a); });
    }
    return 0;
}
