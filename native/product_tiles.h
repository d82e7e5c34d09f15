// Tiles of large products, of float32 and of bfloat16 factors with float32 sums: those of register_tile.h over one chunk of the depth.
// A unit is 32 bits of a factor, a float or two bfloat16 of neighbouring steps. The right factor is packed into panels as wide as a
// tile; the left one is read where it stands. Every element is the sum of its chunks, in order, and a chunk is one chain of fused
// multiply-adds: a result depends neither on the other rows and columns nor on threads, tiles or the width of the vectors.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "register_tile.h"

namespace pa {
namespace tiles {

constexpr int64_t kRows = 6;     // of a tile
constexpr int64_t kDepth = 256;  // most units of a chunk; part of what a result is
constexpr int64_t kUnit = 4;     // bytes

inline int64_t divided(int64_t n, int64_t parts) { return (n + parts - 1) / parts; }

inline int64_t whole_tiles(int64_t rows) { return divided(rows, kRows) * kRows; }

// The length of a product's chunks, which follows from its depth alone; in units.
inline int64_t chunk_of(int64_t depth) {
    int64_t chunks = divided(depth, kDepth);
    return chunks <= 1 ? depth : divided(divided(depth, chunks), 8) * 8;
}

// A matrix whose entry (m, n) begins at p + m * row + n * column bytes. In a right factor of bfloat16 a row is two steps: they form one
// unit where they are side by side; where the columns are, a column begins 2 bytes after the one before.
struct Matrix {
    const char* p;
    int64_t row, column;
    const char* at(int64_t m, int64_t n) const { return p + m * row + n * column; }
};

inline Matrix matrix(const float* p, int64_t row, int64_t column) { return {reinterpret_cast<const char*>(p), row * kUnit, column * kUnit}; }

// The columns of a tile, and of a panel, for a set with fused multiply-adds.
template <class Set>
constexpr int64_t kColumns = Set::vectors * lanes::width<typename Set::V>();

// How units are multiplied.
struct Singles {
    template <class Set, typename V, int Rows, int Vectors, typename Left>
    static PA_INLINE void step(V (&sums)[Rows][Vectors], const float* right, Left&& left) {
        add_step(sums, right, [&](int m) PA_INLINED { return *reinterpret_cast<const float*>(left(m)); });
    }
};
struct Twos {
    template <class Set, typename V, int Rows, int Vectors, typename Left>
    static PA_INLINE void step(V (&sums)[Rows][Vectors], const float* right, Left&& left) {
        add_two_steps<Set::dots>(sums, right, [&](int m) PA_INLINED { return reinterpret_cast<const lanes::Loose<uint32_t>*>(left(m))->v; });
    }
};

// One chunk of one tile.
struct Work {
    Matrix a;            // its first row and unit; a row's units lie side by side
    int64_t rows;        // at most kRows
    const float* panel;  // (depth, columns of the tile) units
    int64_t depth;
    float factor;
    bool add;            // to what is there
    float* to;
    int64_t to_row;
    c10::BFloat16* rounded;  // where the sum goes in the place of `to`, or null
    int64_t rounded_row;
    const char* ahead;   // what the caches are asked for meanwhile, as long as a row
};

// to = factor * a * panel, or added to it. Rows from `rows` on repeat the last one and go nowhere.
template <class Set, class Units, int Count>
PA_INLINE void tile(const Work& w) {
    typedef typename Set::V V;
    typedef float Loose __attribute__((vector_size(sizeof(V)), aligned(4), may_alias));
    constexpr int64_t kLanes = lanes::width<V>();
    const char* row[kRows];
    for (int64_t m = 0; m < kRows; m++) row[m] = w.a.at(std::min(m, w.rows - 1), 0);
    for (int64_t m = 0; m < w.rows; m++)
        for (int64_t j = 0; j < Count * kLanes; j += 16) __builtin_prefetch(w.to + m * w.to_row + j, 1);
    V sums[kRows][Count];
    for (int m = 0; m < kRows; m++)
        for (int j = 0; j < Count; j++) sums[m][j] = V{};
    auto step = [&](int64_t k) PA_INLINED { Units::template step<Set>(sums, w.panel + k * Count * kLanes, [&](int m) PA_INLINED { return row[m] + k * kUnit; }); };
    int64_t k = 0;
    for (; k + 4 <= w.depth; k += 4) {
        step(k), step(k + 1), step(k + 2), step(k + 3);
        __builtin_prefetch(w.ahead + k * kUnit);
    }
    for (; k < w.depth; k++) step(k);
#pragma GCC unroll 6
    for (int m = 0; m < kRows; m++) {
        if (m >= w.rows) break;
#pragma GCC unroll 4
        for (int j = 0; j < Count; j++) {
            Loose* p = reinterpret_cast<Loose*>(w.to + m * w.to_row + j * kLanes);
            V own = sums[m][j] * w.factor;
            asm("" : "+v"(own));  // never one operation with the addition: every place of a tile rounds alike
            V all = w.add ? *p + own : own;
            if (w.rounded) lanes::store(all, w.rounded + m * w.rounded_row + j * kLanes);
            else *p = all;
        }
    }
}

// The columns that do not fill a vector: computed in a buffer, then copied.
template <class Set, class Units, int Count>
PA_INLINE void part_tile(const Work& w, int64_t columns) {
    constexpr int64_t kLanes = lanes::width<typename Set::V>();
    float aside[kRows * Count * kLanes];
    Work whole = w;
    whole.to = aside, whole.to_row = Count * kLanes, whole.add = false, whole.rounded = nullptr;
    tile<Set, Units, Count>(whole);
    for (int64_t m = 0; m < w.rows; m++)
        for (int64_t j = 0; j < columns; j++) {
            float own = aside[m * Count * kLanes + j], *p = w.to + m * w.to_row + j, all = w.add ? *p + own : own;
            if (w.rounded) lanes::round(all, w.rounded + m * w.rounded_row + j);
            else *p = all;
        }
}

// Computes the first `columns` columns of a tile.
template <class Set, class Units, int Count = Set::vectors>
PA_INLINE void any_tile(const Work& w, int64_t columns) {
    constexpr int64_t kLanes = lanes::width<typename Set::V>();
    if constexpr (Count > 1)
        if (columns <= (Count - 1) * kLanes) return any_tile<Set, Units, Count - 1>(w, columns);
    if (columns == Count * kLanes) tile<Set, Units, Count>(w);
    else part_tile<Set, Units, Count>(w, columns);
}

// Copies rows of floats whose steps are not contiguous to a buffer, where every tile of these rows finds them side by side.
PA_INLINE void gather(Work& w, float* aside) {
    for (int64_t k = 0; k < w.depth; k++)
        for (int64_t m = 0; m < w.rows; m++) aside[m * w.depth + k] = *reinterpret_cast<const float*>(w.a.at(m, k));
    w.a = matrix(aside, w.depth, 1);
}

}  // namespace tiles
}  // namespace pa
