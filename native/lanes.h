// Vectors of 16 floats in g++'s own vector types, for kernels that are compiled once per instruction set.
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>
#include <cstring>

#define PA_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#define PA_INLINE inline __attribute__((always_inline))

namespace pa {
namespace lanes {

constexpr int64_t N = 16;
typedef float V __attribute__((vector_size(64)));

// By reference: a vector that is passed by value has another calling convention in each clone.
PA_INLINE void load(V& v, const float* p) { std::memcpy(&v, p, sizeof v); }

PA_INLINE void load(V& v, const c10::BFloat16* p) {
    typedef uint16_t Narrow __attribute__((vector_size(32)));
    typedef uint32_t Wide __attribute__((vector_size(64)));
    Narrow bits;
    std::memcpy(&bits, p, sizeof bits);
    Wide wide = __builtin_convertvector(bits, Wide) << 16;
    std::memcpy(&v, &wide, sizeof v);
}

PA_INLINE void store(const V& v, float* p) { std::memcpy(p, &v, sizeof v); }

PA_INLINE float sum(const V& v) {
    float total = 0;
    for (int64_t k = 0; k < N; k++) total += v[k];
    return total;
}

PA_INLINE float one(const float* p) { return *p; }

PA_INLINE float one(const c10::BFloat16* p) {
    uint32_t bits = static_cast<uint32_t>(p->x) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace lanes
}  // namespace pa
