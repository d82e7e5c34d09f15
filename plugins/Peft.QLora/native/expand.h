// From codes to values: code[pattern] * factor for a run of one block. All sixteen values lie in one register (AVX-512) or two
// (AVX2), and one permutation looks up a whole register of patterns. The levels give the same bits.
#pragma once
#include "level.h"
#include "values.h"

namespace pq {

// n values from value number `first` on (of one block), as float32.
inline void expand_portable(const pq_matrix& m, int64_t first, int64_t n, float by, float* out) {
    for (int64_t k = 0; k < n; k++) out[k] = m.code[pattern(m, first + k)] * by;
}

// As 16 bits: the code's sixteen products are rounded once for the block, and what is looked up are the rounded ones.
inline void round_code(const pq_matrix& m, float by, int32_t type, uint32_t* rounded) {
    for (int k = 0; k < 16; k++) rounded[k] = type == PQ_BF16 ? to_bf16(m.code[k] * by) : to_f16(m.code[k] * by);
}

inline void expand_portable(const pq_matrix& m, int64_t first, int64_t n, const uint32_t* rounded, uint16_t* out) {
    for (int64_t k = 0; k < n; k++) out[k] = uint16_t(rounded[pattern(m, first + k)]);
}

#if PQ_X86

PQ_AVX512 inline __m512 sixteen(const uint8_t* packed, __m512 table) {
    // Eight bytes, each in the low half and, shifted, in the high half of 64 bits; a permutation reads the lowest 4 bits only.
    __m512i q = _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(packed)));
    __m512i both = _mm512_or_si512(_mm512_srli_epi64(q, 4), _mm512_slli_epi64(q, 32));
    return _mm512_permutexvar_ps(both, table);
}

PQ_AVX512 inline void expand_avx512(const pq_matrix& m, int64_t first, int64_t n, float by, float* out) {
    if (first & 1) return expand_portable(m, first, n, by, out);
    __m512 table = _mm512_mul_ps(_mm512_loadu_ps(m.code), _mm512_set1_ps(by));
    const uint8_t* packed = m.packed + first / 2;
    int64_t k = 0;
    for (; k + 16 <= n; k += 16) _mm512_storeu_ps(out + k, sixteen(packed + k / 2, table));
    expand_portable(m, first + k, n - k, by, out + k);
}

PQ_AVX512 inline void expand_avx512(const pq_matrix& m, int64_t first, int64_t n, const uint32_t* rounded, uint16_t* out) {
    __m512 halves = _mm512_castsi512_ps(_mm512_loadu_si512(rounded));
    const uint8_t* packed = m.packed + first / 2;
    int64_t k = 0;
    for (; k + 16 <= n; k += 16)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + k), _mm512_cvtepi32_epi16(_mm512_castps_si512(sixteen(packed + k / 2, halves))));
    expand_portable(m, first + k, n - k, rounded, out + k);
}

PQ_AVX2 inline __m256 eight(const uint8_t* packed, __m256 low, __m256 high) {
    int32_t four;
    memcpy(&four, packed, 4);
    __m256i q = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(four));
    __m256i both = _mm256_or_si256(_mm256_srli_epi64(q, 4), _mm256_slli_epi64(q, 32));
    // The permutation reads 3 bits; the fourth chooses between the halves of the table, from the sign's place.
    __m256 choice = _mm256_castsi256_ps(_mm256_slli_epi32(both, 28));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, both), _mm256_permutevar8x32_ps(high, both), choice);
}

PQ_AVX2 inline void expand_avx2(const pq_matrix& m, int64_t first, int64_t n, float by, float* out) {
    if (first & 1) return expand_portable(m, first, n, by, out);
    __m256 scale = _mm256_set1_ps(by);
    __m256 low = _mm256_mul_ps(_mm256_loadu_ps(m.code), scale), high = _mm256_mul_ps(_mm256_loadu_ps(m.code + 8), scale);
    const uint8_t* packed = m.packed + first / 2;
    int64_t k = 0;
    for (; k + 8 <= n; k += 8) _mm256_storeu_ps(out + k, eight(packed + k / 2, low, high));
    expand_portable(m, first + k, n - k, by, out + k);
}

PQ_AVX2 inline void expand_avx2(const pq_matrix& m, int64_t first, int64_t n, const uint32_t* rounded, uint16_t* out) {
    __m256 low = _mm256_loadu_ps(reinterpret_cast<const float*>(rounded)), high = _mm256_loadu_ps(reinterpret_cast<const float*>(rounded + 8));
    const uint8_t* packed = m.packed + first / 2;
    int64_t k = 0;
    for (; k + 16 <= n; k += 16) {
        // Packing takes 128 bits of each of the two in turn; 0 2 1 3 puts them back in order.
        __m256i both = _mm256_packus_epi32(_mm256_castps_si256(eight(packed + k / 2, low, high)), _mm256_castps_si256(eight(packed + k / 2 + 4, low, high)));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + k), _mm256_permute4x64_epi64(both, 0xd8));
    }
    expand_portable(m, first + k, n - k, rounded, out + k);
}

#endif

inline void expand(const pq_matrix& m, int64_t first, int64_t n, float by, float* out, Level level) {
#if PQ_X86
    if (level == kAvx512) return expand_avx512(m, first, n, by, out);
    if (level == kAvx2) return expand_avx2(m, first, n, by, out);
#endif
    (void)level;
    expand_portable(m, first, n, by, out);
}

}  // namespace pq
