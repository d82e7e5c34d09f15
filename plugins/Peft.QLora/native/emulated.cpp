// The CUDA kernels' bodies on the processor, in the launch shapes of cuda.cu.
#include <algorithm>

#include "kernels.h"

using namespace pq;

int32_t pq_emulated_quantise(const void* x, int32_t type, int64_t count, int32_t blocksize, const pq_levels* levels, uint8_t* packed, float* absmax, int64_t first, int64_t end) {
    QuantiseArguments a = quantise_arguments(x, type, count, blocksize, *levels, packed, absmax);
    emulate(first, std::min(end, quantise_grid(a)), kQuantiseThreads, kQuantiseShared, [&](const HostBlock& block) { quantise_block(block, a); });
    return 0;
}

int32_t pq_emulated_decode(const pq_matrix* matrix, void* out, int32_t type, int64_t first, int64_t end) {
    DecodeArguments a = decode_arguments(*matrix, out, type);
    emulate(first, std::min(end, decode_grid(a)), kDecodeThreads, kDecodeShared, [&](const HostBlock& block) { decode_block(block, a); });
    return 0;
}

int32_t pq_emulated_product(const pq_matrix* matrix, int64_t outs, int64_t ins, const void* x, int64_t rows, void* y, int32_t type, int64_t first, int64_t end) {
    return each_product(*matrix, outs, ins, x, rows, y, type, [&](const ProductArguments& a) {
        emulate(first, std::min(end, product_grid(a)), kProductThreads, kProductShared, [&](const HostBlock& block) { product_block(block, a); });
        return 0;
    });
}
