// Single values, for processor and device alike: 16-bit floats as bits, a block's factor, one code.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "qlora.h"

#ifdef __CUDACC__
#define PQ_BOTH __host__ __device__ __forceinline__
#define PQ_UNROLL _Pragma("unroll")
#else
#define PQ_BOTH inline
#define PQ_UNROLL
#endif

namespace pq {

PQ_BOTH uint32_t bits(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

PQ_BOTH float from_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, 4);
    return x;
}

PQ_BOTH float of_bf16(uint16_t h) { return from_bits(uint32_t(h) << 16); }

// To nearest, ties to even; NaN stays NaN.
PQ_BOTH uint16_t to_bf16(float x) {
    uint32_t u = bits(x);
    if ((u & 0x7fffffff) > 0x7f800000) return uint16_t((u >> 16) | 0x40);
    return uint16_t((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

PQ_BOTH float of_f16(uint16_t h) {
    uint32_t sign = uint32_t(h & 0x8000) << 16, rest = h & 0x7fff;
    if (rest >= 0x7c00) return from_bits(sign | 0x7f800000 | (rest & 0x3ff) << 13);
    // Times 2^112 moves the exponent from one bias to the other, subnormal numbers included.
    return from_bits(sign | bits(from_bits(rest << 13) * from_bits(0x77800000)));
}

PQ_BOTH uint16_t to_f16(float x) {
    uint32_t u = bits(x), sign = (u >> 16) & 0x8000;
    u &= 0x7fffffff;
    if (u > 0x7f800000) return uint16_t(sign | 0x7e00);
    if (u >= 0x477ff000) return uint16_t(sign | 0x7c00);
    if (u < 0x38800000) {  // below 2^-14: adding 1/2 rounds at the last place of a subnormal half
        return uint16_t(sign | (bits(from_bits(u) + 0.5f) - 0x3f000000));
    }
    return uint16_t(sign | ((u + 0xfff + ((u >> 13) & 1) - 0x38000000) >> 13));
}

PQ_BOTH float load(const void* x, int32_t type, int64_t k) {
    if (type == PQ_F32) return static_cast<const float*>(x)[k];
    uint16_t h = static_cast<const uint16_t*>(x)[k];
    return type == PQ_BF16 ? of_bf16(h) : of_f16(h);
}

PQ_BOTH void store(void* out, int32_t type, int64_t k, float value) {
    if (type == PQ_F32) static_cast<float*>(out)[k] = value;
    else static_cast<uint16_t*>(out)[k] = type == PQ_BF16 ? to_bf16(value) : to_f16(value);
}

// Product and sum are rounded apart, as two operators would.
PQ_BOTH float factor(const pq_matrix& m, int64_t block) {
    if (m.absmax) return m.absmax[block];
    // Devices divide by 64 bits with a hundred instructions.
    int64_t above = block <= 0xffffffff ? int64_t(uint32_t(block) / uint32_t(m.nested_blocksize)) : block / m.nested_blocksize;
#ifdef __CUDA_ARCH__
    return __fadd_rn(__fmul_rn(m.nested_map[m.nested[block]], m.nested_absmax[above]), m.nested_offset);
#else
    float scaled = m.nested_map[m.nested[block]] * m.nested_absmax[above];
    return scaled + m.nested_offset;
#endif
}

PQ_BOTH int pattern(const pq_matrix& m, int64_t k) { return (m.packed[k >> 1] >> ((k & 1) ? 0 : 4)) & 15; }

PQ_BOTH int place_of(const pq_levels& levels, float x) {
    int place = 0;
    PQ_UNROLL
    for (int k = 0; k < 15; k++) place += x > levels.thresholds[k];
    return place;
}

PQ_BOTH uint8_t encode(const pq_levels& levels, float x) { return levels.patterns[place_of(levels, x)]; }

// bitsandbytes multiplies by the reciprocal in whole blocks and divides in a last, shorter one.
PQ_BOTH float scaled(float x, float absmax, bool whole) {
    float y = whole ? x * (1.0f / (absmax > 1e-38f ? absmax : 1e-38f)) : x / absmax;
    return y < -1.0f ? -1.0f : y > 1.0f ? 1.0f : y;
}

PQ_BOTH float kept_absmax(float absmax, bool whole) { return whole || absmax > 1e-38f ? absmax : 1e-38f; }

}  // namespace pq
