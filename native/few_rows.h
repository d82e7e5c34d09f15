// Products of a few rows with weights that are read once, as kernels of decoding share them. Reading the weight is the work:
// the next weight rows are asked for ahead, spread evenly over the passes that use the present ones.
#pragma once
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace pa {
namespace few_rows {

constexpr int64_t kOuts = 4;             // weight rows that are read together
constexpr int64_t kTaskBytes = 1 << 16;  // of the weights, for the shortest task

// Outputs of a matrix that one task computes.
struct Run {
    int64_t matrix, first, end;
};

// The tasks of products with `count` matrices of k inputs, `outs` outputs each: long ones first and ever shorter ones, so that the threads end together.
// What a task begins with nobody has asked for, and what it asks for last may be another thread's: with short tasks alone a fifth of the reading was lost.
// `together`: matrices of which a task reads the same outputs.
template <typename W>
std::vector<Run> runs(const int64_t* outs, int64_t count, int64_t k, int64_t threads, int64_t together = 1) {
    std::vector<Run> all;
    int64_t left = 0, least = std::max<int64_t>(kOuts, kTaskBytes / std::max<int64_t>(1, together * k * static_cast<int64_t>(sizeof(W))) / kOuts * kOuts);
    for (int64_t m = 0; m < count; m++) left += outs[m];
    for (int64_t m = 0; m < count; m++)
        for (int64_t first = 0, end; first < outs[m]; left -= end - first, first = end) {
            end = std::min(outs[m], first + std::max(least, left / (4 * threads) / kOuts * kOuts));
            all.push_back({m, first, end});
        }
    return all;
}

// Rows (count, k) in the order in which products take them; `out` holds count * k floats.
void pack(const float* x, int64_t count, int64_t k, float* out);
void pack(const c10::BFloat16* x, int64_t count, int64_t k, float* out);

// y[m * y_row + o] = row m times weight row o, for o from first to end. A row's sums do not depend on the other rows.
void outputs(const float* packed, int64_t count, int64_t k, const float* w, int64_t first, int64_t end, float* y, int64_t y_row);
void outputs(const float* packed, int64_t count, int64_t k, const c10::BFloat16* w, int64_t first, int64_t end, float* y, int64_t y_row);

}  // namespace few_rows
}  // namespace pa
