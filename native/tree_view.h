// What a block of rows of a packed tree sees: for each vector of 16 rows, each strip of 6 rows and all of them the columns that some
// row sees (at most two runs) and, for vectors, those that every row sees. So a tile of scores is left out, computed as it is, or
// computed and hidden in part.
#pragma once
#include <algorithm>
#include <limits>

#include "lanes.h"

namespace pa {
namespace tree {

constexpr int64_t kQueries = 48;                      // rows of a block
constexpr int64_t kVectors = kQueries / lanes::N;     // its vectors
constexpr int64_t kStrip = 6;                         // rows whose results stay in registers
constexpr int64_t kStrips = kQueries / kStrip;

// At most two runs of columns, in order and apart.
struct Runs {
    int64_t first[2], end[2];
    int count = 0;

    bool meet(int64_t from, int64_t to) const {
        for (int c = 0; c < count; c++)
            if (first[c] < to && from < end[c]) return true;
        return false;
    }

    void add(int64_t from, int64_t to) {
        if (from >= to) return;
        if (count > 0 && from <= end[count - 1]) end[count - 1] = std::max(end[count - 1], to);
        else first[count] = from, end[count++] = to;
    }
};

struct View {
    int32_t from[2][kQueries], to[2][kQueries];  // of each row; nothing behind the last
    Runs all, vectors[kVectors], strips[kStrips];
    int64_t every_from[kVectors][2], every_to[kVectors][2];

    View(const int32_t* spans, int64_t rows) {
        for (int64_t r = 0; r < kQueries; r++)
            for (int c = 0; c < 2; c++) from[c][r] = r < rows ? spans[4 * r + 2 * c] : 0, to[c][r] = r < rows ? spans[4 * r + 2 * c + 1] : 0;
        all = some(0, rows);
        for (int64_t s = 0; s < kStrips; s++) strips[s] = some(s * kStrip, std::min(rows, (s + 1) * kStrip));
        for (int64_t v = 0; v < kVectors; v++) {
            int64_t first = v * lanes::N, end = std::min(rows, first + lanes::N);
            vectors[v] = some(first, end);
            for (int c = 0; c < 2; c++) {
                every_from[v][c] = 0, every_to[v][c] = std::numeric_limits<int32_t>::max();
                for (int64_t r = first; r < end; r++) every_from[v][c] = std::max<int64_t>(every_from[v][c], from[c][r]), every_to[v][c] = std::min<int64_t>(every_to[v][c], to[c][r]);
            }
        }
    }

    // Behind the last column.
    int64_t end() const { return all.end[all.count - 1]; }

    // The rows, in whole vectors of 16, of which some see columns k to end.
    void rows_of(int64_t k, int64_t end, int64_t& first, int64_t& last) const {
        for (first = 0; first < kVectors && !vectors[first].meet(k, end);) first++;
        for (last = kVectors; last > first && !vectors[last - 1].meet(k, end);) last--;
        first *= lanes::N, last *= lanes::N;
    }

    // Whether all 16 rows around a row see all columns from k to end.
    bool whole(int64_t row, int64_t k, int64_t end) const {
        int64_t vector = row / lanes::N;
        return (every_from[vector][0] <= k && end <= every_to[vector][0]) || (every_from[vector][1] <= k && end <= every_to[vector][1]);
    }

private:
    Runs some(int64_t begin, int64_t last) const {
        constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
        int64_t low[2] = {kNone, kNone}, high[2] = {0, 0};
        for (int64_t r = begin; r < last; r++)
            for (int c = 0; c < 2; c++)
                if (from[c][r] < to[c][r]) low[c] = std::min<int64_t>(low[c], from[c][r]), high[c] = std::max<int64_t>(high[c], to[c][r]);
        int near = low[0] > low[1];
        Runs runs;
        runs.add(low[near], high[near]), runs.add(low[1 - near], high[1 - near]);
        return runs;
    }
};

// -inf where the rows from `row` on do not see column k.
template <typename V>
PA_INLINE void hide(V& v, int32_t k, const View& view, int64_t row) {
    typename lanes::Integers<sizeof(V)>::Signed from, to, more, until;
    std::memcpy(&from, view.from[0] + row, sizeof from), std::memcpy(&to, view.to[0] + row, sizeof to);
    std::memcpy(&more, view.from[1] + row, sizeof more), std::memcpy(&until, view.to[1] + row, sizeof until);
    // Below 0 outside both runs: a single comparison, since g++ turns a combination of several into scalar code.
    auto out = ((k - from) | (to - 1 - k)) & ((k - more) | (until - 1 - k));
    v = out < 0 ? V{} - std::numeric_limits<float>::infinity() : v;
}

}  // namespace tree
}  // namespace pa
