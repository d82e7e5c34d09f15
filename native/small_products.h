// Products of small matrices that lie in the caches, for kernels that are compiled once per instruction set. A tile of the result
// stays in registers: as many rows and vectors of 16 floats as an instruction set has room for. The caller's buffers reach to whole
// vectors, and to an even number of rows.
#pragma once
#include "lanes.h"

namespace pa {
namespace small {

inline int64_t whole(int64_t n, int64_t tile) { return (n + tile - 1) / tile * tile; }

// The instruction sets, and the tile that fills their registers: 32 of 16 floats, 16 of 8, 16 of 4.
struct Avx512 {
    static constexpr int rows = 6, vectors = 4;
};
struct Avx2 {
    static constexpr int rows = 6, vectors = 1;
};
struct Portable {
    static constexpr int rows = 2, vectors = 1;
};

#define PA_AVX512 __attribute__((target("avx512f")))
#define PA_AVX2 __attribute__((target("avx2,fma")))

// The best that this processor has: 2, 1 or 0 in the order above.
inline int instruction_set() {
#if defined(__x86_64__)
    static const int best = __builtin_cpu_supports("avx512f") ? 2 : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1 : 0;
    return best;
#else
    return 0;
#endif
}

// A matrix of which row m, entry k is p[m * row + k * entry].
struct Left {
    const float* p;
    int64_t row, entry;
};

// Of b and c the distance from row to row; c is overwritten or added to.
struct Task {
    Left a;
    const float* b;
    int64_t b_row, rows, vectors, depth;
    bool add;
    float* c;
    int64_t c_row;
};

template <int Rows, int Vectors>
PA_INLINE void tile(const Task& t, int64_t row, int64_t column) {
    const float *a = t.a.p + row * t.a.row, *b = t.b + column;
    float* c = t.c + row * t.c_row + column;
    lanes::V sums[Rows][Vectors], v[Vectors];
#pragma GCC unroll 6
    for (int m = 0; m < Rows; m++)
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; j++) {
            if (t.add) lanes::load(sums[m][j], c + m * t.c_row + j * lanes::N);
            else sums[m][j] = lanes::V{};
        }
    int64_t a_row = t.a.row, a_entry = t.a.entry, b_row = t.b_row;
    for (int64_t k = 0; k < t.depth; k++) {
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; j++) lanes::load(v[j], b + j * lanes::N);
#pragma GCC unroll 6
        for (int m = 0; m < Rows; m++) {
            float own = a[m * a_row];
#pragma GCC unroll 4
            for (int j = 0; j < Vectors; j++) sums[m][j] += v[j] * own;
        }
        a += a_entry, b += b_row;
    }
#pragma GCC unroll 6
    for (int m = 0; m < Rows; m++)
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; j++) lanes::store(sums[m][j], c + m * t.c_row + j * lanes::N);
}

template <int Rows, class Isa>
PA_INLINE void strip(const Task& t, int64_t row, int64_t column, int64_t vectors) {
    if constexpr (Isa::vectors >= 4)
        if (vectors == 4) return tile<Rows, 4>(t, row, column);
    if constexpr (Isa::vectors >= 3)
        if (vectors == 3) return tile<Rows, 3>(t, row, column);
    if constexpr (Isa::vectors >= 2)
        if (vectors == 2) return tile<Rows, 2>(t, row, column);
    tile<Rows, 1>(t, row, column);
}

// c (rows, vectors of 16) = a (rows, depth) b (depth, vectors of 16), or added to it. An odd number of rows is rounded up.
template <class Isa>
PA_INLINE void product(const Task& t) {
    int64_t pieces = (t.vectors + Isa::vectors - 1) / Isa::vectors;
    for (int64_t j = 0; pieces > 0; pieces--) {
        int64_t take = (t.vectors - j + pieces - 1) / pieces;
        int64_t m = 0;
        for (; m + Isa::rows <= t.rows; m += Isa::rows) strip<Isa::rows, Isa>(t, m, j * lanes::N, take);
        if constexpr (Isa::rows > 2) {
            if (t.rows - m > 4) strip<6, Isa>(t, m, j * lanes::N, take);
            else if (t.rows - m > 2) strip<4, Isa>(t, m, j * lanes::N, take);
            else if (t.rows > m) strip<2, Isa>(t, m, j * lanes::N, take);
        } else if (t.rows > m) {
            strip<2, Isa>(t, m, j * lanes::N, take);
        }
        j += take;
    }
}

// 16 by 16 floats, turned over the diagonal: four rounds that swap blocks of 8, 4, 2 and 1.
PA_INLINE void transpose16(const float* from, int64_t from_row, float* to, int64_t to_row) {
    lanes::V a[16], b[16];
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) lanes::load(a[k], from + k * from_row);
#pragma GCC unroll 8
    for (int k = 0; k < 8; k++) {
        b[k] = __builtin_shufflevector(a[k], a[k + 8], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
        b[k + 8] = __builtin_shufflevector(a[k], a[k + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    }
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++)
        if ((k & 4) == 0) {
            a[k] = __builtin_shufflevector(b[k], b[k + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27);
            a[k + 4] = __builtin_shufflevector(b[k], b[k + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
        }
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++)
        if ((k & 2) == 0) {
            b[k] = __builtin_shufflevector(a[k], a[k + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
            b[k + 2] = __builtin_shufflevector(a[k], a[k + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
        }
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++)
        if ((k & 1) == 0) {
            a[k] = __builtin_shufflevector(b[k], b[k + 1], 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
            a[k + 1] = __builtin_shufflevector(b[k], b[k + 1], 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
        }
#pragma GCC unroll 16
    for (int k = 0; k < 16; k++) lanes::store(a[k], to + k * to_row);
}

}  // namespace small
}  // namespace pa
