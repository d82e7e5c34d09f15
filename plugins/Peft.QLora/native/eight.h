// Eight neighbouring values at once, for the CUDA kernels: a device reads and writes 4 or 16 bytes in one operation where the address
// is a multiple of that, and faults where it is not. On the processor, where the kernels are tested, such an address ends the program.
#pragma once
#include <cstdio>
#include <cstdlib>

#include "values.h"

namespace pq {

struct alignas(16) Sixteen {
    uint32_t words[4];
};

inline void require(bool holds, const char* otherwise) {
    if (holds) return;
    std::fprintf(stderr, "a kernel %s\n", otherwise);
    std::abort();
}

PQ_BOTH bool is_aligned(const void* at, uintptr_t to) { return reinterpret_cast<uintptr_t>(at) % to == 0; }

PQ_BOTH void require_aligned(const void* at, uintptr_t to) {
#ifndef __CUDA_ARCH__
    require(is_aligned(at, to), "reads or writes several bytes at once at an address that is no multiple of their number");
#else
    (void)at, (void)to;
#endif
}

// The codes of values 8 g to 8 g + 7; eight_pattern picks one.
PQ_BOTH uint32_t eight_codes(const uint8_t* packed, int64_t group) {
    const uint32_t* at = reinterpret_cast<const uint32_t*>(packed) + group;
    require_aligned(at, sizeof(uint32_t));
    return *at;
}

PQ_BOTH int eight_pattern(uint32_t codes, int k) { return int(codes >> (8 * (k / 2) + (k % 2 ? 0 : 4))) & 15; }

PQ_BOTH void load_eight(const void* x, int32_t type, int64_t first, float* values) {
    const Sixteen* at = reinterpret_cast<const Sixteen*>(static_cast<const char*>(x) + first * (type == PQ_F32 ? 4 : 2));
    require_aligned(at, sizeof(Sixteen));
    if (type == PQ_F32) {
        Sixteen low = at[0], high = at[1];
        PQ_UNROLL
        for (int k = 0; k < 4; k++) values[k] = from_bits(low.words[k]), values[4 + k] = from_bits(high.words[k]);
        return;
    }
    Sixteen all = *at;
    PQ_UNROLL
    for (int k = 0; k < 8; k++) {
        uint16_t h = uint16_t(all.words[k / 2] >> (k % 2 * 16));
        values[k] = type == PQ_BF16 ? of_bf16(h) : of_f16(h);
    }
}

// One operation whatever the compiler thinks of the four words.
PQ_BOTH void store_sixteen(void* at, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    require_aligned(at, sizeof(Sixteen));
#ifdef __CUDA_ARCH__
    asm volatile("st.v4.u32 [%0], {%1, %2, %3, %4};" : : "l"(at), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
#else
    *static_cast<Sixteen*>(at) = {{a, b, c, d}};
#endif
}

PQ_BOTH uint32_t two_bf16(const float* values) { return to_bf16(values[0]) | uint32_t(to_bf16(values[1])) << 16; }
PQ_BOTH uint32_t two_f16(const float* values) { return to_f16(values[0]) | uint32_t(to_f16(values[1])) << 16; }

PQ_BOTH void store_eight(void* out, int32_t type, int64_t first, const float* values) {
    char* at = static_cast<char*>(out) + first * (type == PQ_F32 ? 4 : 2);
    if (type == PQ_F32) {
        store_sixteen(at, bits(values[0]), bits(values[1]), bits(values[2]), bits(values[3]));
        store_sixteen(at + sizeof(Sixteen), bits(values[4]), bits(values[5]), bits(values[6]), bits(values[7]));
    } else if (type == PQ_BF16) {
        store_sixteen(at, two_bf16(values), two_bf16(values + 2), two_bf16(values + 4), two_bf16(values + 6));
    } else {
        store_sixteen(at, two_f16(values), two_f16(values + 2), two_f16(values + 4), two_f16(values + 6));
    }
}

}  // namespace pq
