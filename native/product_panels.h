// Panels of a product's right factor, unit by unit (product_tiles.h): `columns` columns, and zeros up to `wide`.
#pragma once
#include "product_tiles.h"

namespace pa {
namespace tiles {

// Columns of floats that lie side by side.
PA_INLINE void copy(const Matrix& b, int64_t columns, int64_t depth, int64_t wide, float* to) {
    for (int64_t k = 0; k < depth; k++) {
        const float* from = reinterpret_cast<const float*>(b.at(k, 0));
        int64_t n = 0;
        for (lanes::V8 v; n + 8 <= columns; n += 8) lanes::load(v, from + n), lanes::store(v, to + k * wide + n);
        for (; n < wide; n++) to[k * wide + n] = n < columns ? from[n] : 0;
    }
}

// Columns of bfloat16 that lie side by side: each is joined with the one of the next step, which stands half a row behind.
PA_INLINE void zip(const Matrix& b, int64_t columns, int64_t depth, int64_t wide, float* to) {
    typedef lanes::Integers<32>::Narrow Narrow;
    typedef lanes::Integers<32>::Wide Wide;
    for (int64_t k = 0; k < depth; k++) {
        auto* first = reinterpret_cast<const uint16_t*>(b.at(k, 0));
        auto* second = reinterpret_cast<const uint16_t*>(b.at(k, 0) + b.row / 2);
        int64_t n = 0;
        for (; n + 8 <= columns; n += 8) {
            Wide low = __builtin_convertvector(reinterpret_cast<const lanes::Loose<Narrow>*>(first + n)->v, Wide);
            Wide high = __builtin_convertvector(reinterpret_cast<const lanes::Loose<Narrow>*>(second + n)->v, Wide);
            reinterpret_cast<lanes::Loose<Wide>*>(to + k * wide + n)->v = low | (high << 16);
        }
        for (; n < wide; n++) {
            uint32_t both = n < columns ? first[n] | static_cast<uint32_t>(second[n]) << 16 : 0;
            std::memcpy(to + k * wide + n, &both, sizeof both);
        }
    }
}

// Columns whose units lie side by side.
template <typename V>
PA_INLINE void turn_all(const Matrix& b, int64_t columns, int64_t depth, int64_t wide, float* to) {
    constexpr int64_t N = lanes::width<V>();
    int64_t whole = columns / N * N, turned = depth / N * N;
    auto at = [&](int64_t k, int64_t n) { return reinterpret_cast<const float*>(b.at(k, n)); };
    for (int64_t n = 0; n < whole; n += N)
        for (int64_t k = 0; k < turned; k += N) transpose<V>(at(k, n), b.column / kUnit, to + k * wide + n, wide);
    for (int64_t n = 0; n < wide; n++)
        for (int64_t k = n < whole ? turned : 0; k < depth; k++) to[k * wide + n] = n < columns ? *at(k, n) : 0;
}

template <typename V>
PA_INLINE void pack(const Matrix& b, int64_t columns, int64_t depth, int64_t wide, float* to) {
    if (b.column == kUnit) copy(b, columns, depth, wide, to);
    else if (b.column == kUnit / 2) zip(b, columns, depth, wide, to);
    else turn_all<V>(b, columns, depth, wide, to);
}

// What is packed next, as the runs of bytes in which it lies: the caches are asked for it while the last rows are computed.
struct Ahead {
    const char* p = nullptr;
    int64_t runs = 0, apart = 0, bytes = 0;

    Ahead() = default;
    Ahead(const Matrix& b, int64_t columns, int64_t depth) : p(b.p) {
        if (b.column == kUnit) runs = depth, apart = b.row, bytes = columns * kUnit;
        else if (b.column == kUnit / 2) runs = 2 * depth, apart = b.row / 2, bytes = columns * kUnit / 2;
        else runs = columns, apart = b.column, bytes = depth * kUnit;
    }

    // Prefetches part number `part` of `parts`.
    void ask(int64_t part, int64_t parts) const {
        for (int64_t run = part * runs / parts; run < (part + 1) * runs / parts; run++)
            for (int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(p + run * apart + at, 0, 2);
    }
};

}  // namespace tiles
}  // namespace pa
