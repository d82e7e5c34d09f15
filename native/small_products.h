// Products of small matrices that lie in the caches, where they are: tiles of register_tile.h over factors that are not packed, in
// one chain over the whole depth that may start at what the result holds. The caller's buffers reach to whole vectors of 16 floats,
// and to an even number of rows.
#pragma once
#include "register_tile.h"

namespace pa {
namespace small {

inline int64_t whole(int64_t n, int64_t tile) { return (n + tile - 1) / tile * tile; }

// A matrix of which row m, entry k is p[m * row + k * entry].
struct Left {
    const float* p;
    int64_t row, entry;
};

// c (rows, columns) = a (rows, depth) b (depth, columns), or added to it; of b and c the distance from row to row.
struct Task {
    Left a;
    const float* b;
    int64_t b_row, rows, columns, depth;
    bool add;
    float* c;
    int64_t c_row;
};

template <typename V, int Rows, int Vectors>
PA_INLINE void tile(const Task& t, int64_t row, int64_t column) {
    constexpr int64_t N = lanes::width<V>();
    const float *a = t.a.p + row * t.a.row, *b = t.b + column;
    float* c = t.c + row * t.c_row + column;
    V sums[Rows][Vectors];
#pragma GCC unroll 6
    for (int m = 0; m < Rows; m++)
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; j++) {
            if (t.add) lanes::load(sums[m][j], c + m * t.c_row + j * N);
            else sums[m][j] = V{};
        }
    int64_t a_row = t.a.row, a_entry = t.a.entry, b_row = t.b_row;
    for (int64_t k = 0; k < t.depth; k++, a += a_entry, b += b_row) add_step(sums, b, [=](int m) PA_INLINED { return a[m * a_row]; });
#pragma GCC unroll 6
    for (int m = 0; m < Rows; m++)
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; j++) lanes::store(sums[m][j], c + m * t.c_row + j * N);
}

template <int Rows, class Set>
PA_INLINE void strip(const Task& t, int64_t row, int64_t column, int64_t vectors) {
    typedef typename Set::V V;
    if constexpr (Set::vectors >= 4) {
        if (vectors == 4) return tile<V, Rows, 4>(t, row, column);
        if (vectors == 3) return tile<V, Rows, 3>(t, row, column);
    }
    if (vectors == 2) return tile<V, Rows, 2>(t, row, column);
    tile<V, Rows, 1>(t, row, column);
}

// Columns are a multiple of 16. An odd number of rows is rounded up.
template <class Set>
PA_INLINE void product(const Task& t) {
    constexpr int64_t N = lanes::width<typename Set::V>();
    int64_t vectors = t.columns / N, pieces = (vectors + Set::vectors - 1) / Set::vectors;
    for (int64_t j = 0; pieces > 0; pieces--) {
        int64_t take = (vectors - j + pieces - 1) / pieces, m = 0;
        for (; m + Set::rows <= t.rows; m += Set::rows) strip<Set::rows, Set>(t, m, j * N, take);
        if constexpr (Set::rows > 4) {
            if (t.rows - m > 4) strip<6, Set>(t, m, j * N, take);
            else if (t.rows - m > 2) strip<4, Set>(t, m, j * N, take);
            else if (t.rows > m) strip<2, Set>(t, m, j * N, take);
        } else if (t.rows > m) {
            strip<2, Set>(t, m, j * N, take);
        }
        j += take;
    }
}

}  // namespace small
}  // namespace pa
