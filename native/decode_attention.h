// Attention of one new token per sequence to the cached past, as the operator and whole decoding steps share it.
#pragma once
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cstdint>

namespace pa {

// The shapes of one call: R sequences, H query heads over G key heads of width D, places (R, L).
struct AttentionStep {
    int64_t rows, heads, groups, width, turned, longest, window;
    float scale, cap;
    const float *cos, *sin;  // (R, turned), (R, turned / 2); null without rotary positions
    const int32_t* places;
    const int64_t* lengths;
    int64_t first(int64_t row) const { return window > 0 ? std::max<int64_t>(0, lengths[row] - window) : 0; }
    int64_t place(int64_t row, int64_t at) const { return places[row * longest + at]; }
};

// q, out (R, H, D); k, v (R, G, D); keys, values (places, G, D): the new tokens' are stored there first.
void attend_step(const AttentionStep& s, const float* q, const float* k, const float* v, float* keys, float* values, float* out);
void attend_step(const AttentionStep& s, const c10::BFloat16* q, const c10::BFloat16* k, const c10::BFloat16* v, c10::BFloat16* keys, c10::BFloat16* values, c10::BFloat16* out);

}  // namespace pa
