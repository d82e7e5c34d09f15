// Blocks of sums of products, bias + sum of factor_i a_i b_i, or added to what is there, for kernels that are compiled once per instruction set: the right
// factors are packed chunk by chunk, and every tile of the block's rows passes over what is packed (product_tiles.h).
#pragma once
#include <memory>
#include <vector>

#include "product_tiles.h"

namespace pa {
namespace tiles {

constexpr int64_t kTogether = 256;  // columns that are packed together, and stay in the second cache with a chunk's steps

struct Pair {
    Matrix a, b;
    int64_t depth;
    float factor;
};

struct Sum {
    std::vector<Pair> pairs;
    bool add;           // to what is in y
    const float* bias;  // or null; not where it is added
    float* y;
    int64_t rows, columns, y_row;
};

// What is computed at once: rows and columns of y.
struct Block {
    int64_t row, rows, column, columns;
};

struct alignas(64) Line {
    float values[16];
};

// This thread's room for what is packed.
inline float* own_panels() {
    static thread_local std::unique_ptr<Line[]> panels(new Line[kTogether / 16 * kDepth]);
    return panels[0].values;
}

template <class Set>
PA_INLINE void chunk(const Sum& s, const Block& block, const Pair& pair, int64_t first, int64_t depth, bool add) {
    constexpr int64_t kWide = kColumns<Set>, kLanes = lanes::width<typename Set::V>();
    float* panels = own_panels();
    for (int64_t n = 0; n < block.columns; n += kWide) {
        int64_t columns = std::min(kWide, block.columns - n), wide = (columns + kLanes - 1) / kLanes * kLanes;
        pack({pair.b.at(first, block.column + n), pair.b.row, pair.b.column}, columns, depth, wide, panels + n * depth);
    }
    float aside[kRows * kDepth];
    for (int64_t m = block.row, end = m + block.rows; m < end; m += kRows) {
        Work work{{pair.a.at(m, first), pair.a.row, pair.a.column}, std::min(kRows, end - m), panels, depth, pair.factor, add, nullptr, s.y_row, nullptr};
        if (pair.a.column != 1) gather(work, aside);
        for (int64_t n = 0, ahead = m + kRows; n < block.columns; n += kWide, ahead++) {
            work.panel = panels + n * depth, work.to = s.y + m * s.y_row + block.column + n;
            work.ahead = pair.a.column == 1 && ahead < end ? pair.a.at(ahead, first) : work.panel;
            any_tile<Set>(work, std::min(kWide, block.columns - n));
        }
    }
}

// At most kTogether columns.
template <class Set>
PA_INLINE void block_in(const Sum& s, const Block& block) {
    bool add = s.add || s.bias;
    if (s.bias)
        for (int64_t m = block.row; m < block.row + block.rows; m++) std::memcpy(s.y + m * s.y_row + block.column, s.bias + block.column, block.columns * sizeof(float));
    for (const Pair& pair : s.pairs)
        for (int64_t first = 0, each = chunk_of(pair.depth); first < pair.depth; first += each, add = true)
            chunk<Set>(s, block, pair, first, std::min(each, pair.depth - first), add);
}

}  // namespace tiles
}  // namespace pa
