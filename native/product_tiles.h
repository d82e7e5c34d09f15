// Tiles of large float32 products: those of register_tile.h over one chunk of the depth. The right factor is packed into panels as wide
// as a tile; the left one is read where it stands. Every element is the sum of its chunks, in order, and a chunk is one chain of
// fused multiply-adds: a result depends neither on the other rows and columns nor on threads, tiles or the width of the vectors.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "register_tile.h"

namespace pa {
namespace tiles {

constexpr int64_t kRows = 6;     // of a tile
constexpr int64_t kDepth = 256;  // most steps of a chunk; part of what a result is

// The length of a product's chunks, which follows from its depth alone.
inline int64_t chunk_of(int64_t depth) {
    int64_t chunks = (depth + kDepth - 1) / kDepth;
    return chunks <= 1 ? depth : ((depth + chunks - 1) / chunks + 7) / 8 * 8;
}

// A matrix of which row m, column n is p[m * row + n * column].
struct Matrix {
    const float* p;
    int64_t row, column;
    const float* at(int64_t m, int64_t n) const { return p + m * row + n * column; }
};

// Of a set with fused multiply-adds: the columns of a tile, and of a panel.
template <class Set>
constexpr int64_t kColumns = Set::vectors * lanes::width<typename Set::V>();

// One chunk of one tile.
struct Work {
    Matrix a;            // its first row and step; a row's steps lie side by side
    int64_t rows;        // at most kRows
    const float* panel;  // (depth, columns of the tile)
    int64_t depth;
    float factor;
    bool add;            // to what is there
    float* to;
    int64_t to_row;
    const float* ahead;  // what the caches are asked for meanwhile, as long as a row
};

// to = factor * a * panel, or added to it. Rows from `rows` on repeat the last one and go nowhere.
template <typename V, int Count>
PA_INLINE void tile(const Work& w) {
    typedef float Loose __attribute__((vector_size(sizeof(V)), aligned(4), may_alias));
    constexpr int64_t kLanes = lanes::width<V>();
    const float* row[kRows];
    for (int64_t m = 0; m < kRows; m++) row[m] = w.a.at(std::min(m, w.rows - 1), 0);
    for (int64_t m = 0; m < w.rows; m++)
        for (int64_t j = 0; j < Count * kLanes; j += 16) __builtin_prefetch(w.to + m * w.to_row + j, 1);
    V sums[kRows][Count];
    for (int m = 0; m < kRows; m++)
        for (int j = 0; j < Count; j++) sums[m][j] = V{};
    auto step = [&](int64_t k) PA_INLINED { add_step(sums, w.panel + k * Count * kLanes, [&](int m) PA_INLINED { return row[m][k]; }); };
    int64_t k = 0;
    for (; k + 4 <= w.depth; k += 4) {
        step(k), step(k + 1), step(k + 2), step(k + 3);
        __builtin_prefetch(w.ahead + k);
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
            *p = w.add ? *p + own : own;
        }
    }
}

// The columns that fill no vector: computed aside, then taken over.
template <typename V, int Count>
PA_INLINE void part_tile(const Work& w, int64_t columns) {
    constexpr int64_t kLanes = lanes::width<V>();
    float aside[kRows * Count * kLanes];
    Work whole = w;
    whole.to = aside, whole.to_row = Count * kLanes, whole.add = false;
    tile<V, Count>(whole);
    for (int64_t m = 0; m < w.rows; m++)
        for (int64_t j = 0; j < columns; j++) {
            float own = aside[m * Count * kLanes + j], *p = w.to + m * w.to_row + j;
            *p = w.add ? *p + own : own;
        }
}

// The first `columns` columns of a tile's place.
template <class Set, int Count = Set::vectors>
PA_INLINE void any_tile(const Work& w, int64_t columns) {
    typedef typename Set::V V;
    constexpr int64_t kLanes = lanes::width<V>();
    if constexpr (Count > 1)
        if (columns <= (Count - 1) * kLanes) return any_tile<Set, Count - 1>(w, columns);
    if (columns == Count * kLanes) tile<V, Count>(w);
    else part_tile<V, Count>(w, columns);
}

// Puts rows whose steps lie apart aside, where every tile of these rows finds them side by side.
PA_INLINE void gather(Work& w, float* aside) {
    for (int64_t k = 0; k < w.depth; k++)
        for (int64_t m = 0; m < w.rows; m++) aside[m * w.depth + k] = *w.a.at(m, k);
    w.a = {aside, w.depth, 1};
}

// Columns that lie side by side.
PA_INLINE void copy(const Matrix& b, int64_t columns, int64_t depth, int64_t wide, float* to) {
    for (int64_t k = 0; k < depth; k++) {
        const float* from = b.at(k, 0);
        int64_t n = 0;
        for (lanes::V8 v; n + 8 <= columns; n += 8) lanes::load(v, from + n), lanes::store(v, to + k * wide + n);
        for (; n < wide; n++) to[k * wide + n] = n < columns ? from[n] : 0;
    }
}

// Columns whose steps lie side by side.
PA_INLINE void turn_all(const Matrix& b, int64_t columns, int64_t depth, int64_t wide, float* to) {
    int64_t whole = columns / 8 * 8, turned = depth / 8 * 8;
    for (int64_t n = 0; n < whole; n += 8)
        for (int64_t k = 0; k < turned; k += 8) transpose<lanes::V8>(b.at(k, n), b.column, to + k * wide + n, wide);
    for (int64_t n = 0; n < wide; n++)
        for (int64_t k = n < whole ? turned : 0; k < depth; k++) to[k * wide + n] = n < columns ? *b.at(k, n) : 0;
}

// A panel, step by step: `columns` columns of b, of which columns or steps lie side by side, and zeros up to `wide`.
PA_INLINE void pack(const Matrix& b, int64_t columns, int64_t depth, int64_t wide, float* to) {
    if (b.column == 1) copy(b, columns, depth, wide, to);
    else turn_all(b, columns, depth, wide, to);
}

}  // namespace tiles
}  // namespace pa
