// Products of small matrices that lie in the caches, for kernels that are compiled once per instruction set: tiles of 6 rows and up
// to 4 vectors stay in registers. The caller's buffers reach to whole tiles.
#pragma once
#include "lanes.h"

namespace pa {
namespace small {

constexpr int64_t kRows = 6;  // rows of a tile
constexpr int kVectors = 4;   // its vectors

inline int64_t whole(int64_t n, int64_t tile) { return (n + tile - 1) / tile * tile; }

// A matrix of which row m, entry k is p[m * row + k * entry].
struct Left {
    const float* p;
    int64_t row, entry;
};

template <int Vectors>
PA_INLINE void tile(const Left& a, const float* b, int64_t b_row, int64_t depth, bool add, float* c, int64_t c_row) {
    lanes::V sums[kRows][Vectors], v[Vectors];
    for (int m = 0; m < kRows; m++)
        for (int j = 0; j < Vectors; j++) {
            if (add) lanes::load(sums[m][j], c + m * c_row + j * lanes::N);
            else sums[m][j] = lanes::V{};
        }
    for (int64_t k = 0; k < depth; k++) {
        for (int j = 0; j < Vectors; j++) lanes::load(v[j], b + k * b_row + j * lanes::N);
#pragma GCC unroll 6
        for (int m = 0; m < kRows; m++) {
            float own = a.p[m * a.row + k * a.entry];
#pragma GCC unroll 4
            for (int j = 0; j < Vectors; j++) sums[m][j] += v[j] * own;
        }
    }
    for (int m = 0; m < kRows; m++)
        for (int j = 0; j < Vectors; j++) lanes::store(sums[m][j], c + m * c_row + j * lanes::N);
}

// c (rows, columns) = a (rows, depth) b (depth, columns), or added to it. Rows are rounded up to whole tiles, columns to whole
// vectors; what lies there is written too.
PA_INLINE void product(const Left& a, const float* b, int64_t b_row, int64_t rows, int64_t columns, int64_t depth, bool add, float* c, int64_t c_row) {
    for (int64_t j = 0; j < columns;) {
        int64_t left = (columns - j + lanes::N - 1) / lanes::N, take = left < kVectors ? left : kVectors;
        for (int64_t m = 0; m < rows; m += kRows) {
            Left part{a.p + m * a.row, a.row, a.entry};
            float* to = c + m * c_row + j;
            switch (take) {
                case 1: tile<1>(part, b + j, b_row, depth, add, to, c_row); break;
                case 2: tile<2>(part, b + j, b_row, depth, add, to, c_row); break;
                case 3: tile<3>(part, b + j, b_row, depth, add, to, c_row); break;
                default: tile<4>(part, b + j, b_row, depth, add, to, c_row); break;
            }
        }
        j += take * lanes::N;
    }
}

}  // namespace small
}  // namespace pa
