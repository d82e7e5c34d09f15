// What the library says of CUDA where it was built without nvcc.
#include "qlora.h"

namespace {
constexpr int32_t kNoCuda = 1;
}

int32_t pq_has_cuda(void) { return 0; }
const char* pq_error_text(int32_t) { return "the 4-bit library was built without nvcc; install the CUDA toolkit and build again (docs/qlora.md)"; }
int32_t pq_cuda_probe(int32_t, pq_device*) { return kNoCuda; }
int32_t pq_cuda_quantise(const void*, int32_t, int64_t, int32_t, const pq_levels*, uint8_t*, float*, int32_t, void*) { return kNoCuda; }
int32_t pq_cuda_decode(const pq_matrix*, void*, int32_t, int32_t, void*) { return kNoCuda; }
int32_t pq_cuda_product(const pq_matrix*, int64_t, int64_t, const void*, int64_t, void*, int32_t, int32_t, void*) { return kNoCuda; }
