// Blocks of sums of products, bias + sum of factor_i a_i b_i, or added to what is there, for kernels that are compiled once per instruction set: the right
// factors are packed chunk by chunk, and every tile of the block's rows passes over what is packed (product_tiles.h).
#pragma once
#include <memory>
#include <vector>

#include "product_panels.h"

namespace pa {
namespace tiles {

constexpr int64_t kTogether = 256;   // columns that are packed together, and stay in the second cache with a chunk's units
constexpr int64_t kStepsAhead = 20;  // the last rows of tiles of a chunk, during which the caches are asked for the next one

// Factors of floats, or with `twos` of pairs of bfloat16.
struct Pair {
    Matrix a, b;
    int64_t depth;  // units
    float factor;
    bool twos = false;
};

struct Sum {
    std::vector<Pair> pairs;  // none of which is without depth
    bool add;           // to what is there
    const float* bias;  // or null; not where it is added
    int64_t rows, columns;
};

// What is computed at once: rows and columns of the sum, and where its first one goes; in bfloat16 where `rounded` says so, and y is room for
// what comes before the last chunk.
struct Block {
    int64_t row, rows, column, columns;
    float* y;
    int64_t y_row;
    c10::BFloat16* rounded = nullptr;
    int64_t rounded_row = 0;
};

struct alignas(64) Line {
    float values[16];
};

// This thread's buffer for what is packed.
inline float* own_panels() {
    static thread_local std::unique_ptr<Line[]> panels(new Line[kTogether / 16 * kDepth]);
    return panels[0].values;
}

template <class Set, class Units>
PA_INLINE void chunk(const Block& block, const Pair& pair, int64_t first, int64_t depth, bool add, bool last, const Ahead& next) {
    constexpr int64_t kWide = kColumns<Set>, kLanes = lanes::width<typename Set::V>();
    float* panels = own_panels();
    for (int64_t n = 0; n < block.columns; n += kWide) {
        int64_t columns = std::min(kWide, block.columns - n), wide = (columns + kLanes - 1) / kLanes * kLanes;
        pack<typename Set::V>({pair.b.at(first, block.column + n), pair.b.row, pair.b.column}, columns, depth, wide, panels + n * depth);
    }
    float aside[kRows * kDepth];
    bool lies = pair.a.column == kUnit;
    int64_t steps = std::min(kStepsAhead, divided(block.rows, kRows));
    for (int64_t m = 0; m < block.rows; m += kRows) {
        Work work{{pair.a.at(block.row + m, first), pair.a.row, pair.a.column}, std::min(kRows, block.rows - m), panels, depth, pair.factor, add, nullptr, block.y_row, nullptr, block.rounded_row, nullptr};
        if (!lies) gather(work, aside);
        int64_t left = divided(block.rows - m, kRows);
        if (left <= steps) next.ask(steps - left, steps);
        for (int64_t n = 0, ahead = m + kRows; n < block.columns; n += kWide, ahead++) {
            work.panel = panels + n * depth, work.to = block.y + m * block.y_row + n;
            if (last && block.rounded) work.rounded = block.rounded + m * block.rounded_row + n;
            work.ahead = lies && ahead < block.rows ? pair.a.at(block.row + ahead, first) : reinterpret_cast<const char*>(work.panel);
            any_tile<Set, Units>(work, std::min(kWide, block.columns - n));
        }
    }
}

// At most kTogether columns.
template <class Set>
PA_INLINE void block_in(const Sum& s, const Block& block) {
    bool add = s.add || s.bias;
    if (s.bias)
        for (int64_t m = 0; m < block.rows; m++) std::memcpy(block.y + m * block.y_row, s.bias + block.column, block.columns * sizeof(float));
    for (const Pair& pair : s.pairs)
        for (int64_t first = 0, each = chunk_of(pair.depth); first < pair.depth; first += each, add = true) {
            int64_t depth = std::min(each, pair.depth - first), then = std::min(each, pair.depth - first - depth);
            bool last = &pair == &s.pairs.back() && first + depth == pair.depth;
            Ahead next = then > 0 ? Ahead({pair.b.at(first + depth, block.column), pair.b.row, pair.b.column}, block.columns, then) : Ahead();
            if (pair.twos) chunk<Set, Twos>(block, pair, first, depth, add, last, next);
            else chunk<Set, Singles>(block, pair, first, depth, add, last, next);
        }
}

}  // namespace tiles
}  // namespace pa
