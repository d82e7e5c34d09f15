// Products of a few rows with weights that are read once, as kernels of decoding share them. Reading the weight is the work:
// the next weight rows are asked for ahead, spread evenly over the passes that use the present ones.
#pragma once
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cstdint>

namespace pa {
namespace few_rows {

constexpr int64_t kOuts = 4;             // weight rows that are read together
constexpr int64_t kTaskBytes = 1 << 16;  // of the weight, for one task

// Outputs of one task of a product over k inputs.
template <typename W>
int64_t task_outputs(int64_t k) {
    return std::max<int64_t>(kOuts, kTaskBytes / std::max<int64_t>(1, k * static_cast<int64_t>(sizeof(W))) / kOuts * kOuts);
}

// Rows (count, k) in the order in which products take them; `out` holds count * k floats.
void pack(const float* x, int64_t count, int64_t k, float* out);
void pack(const c10::BFloat16* x, int64_t count, int64_t k, float* out);

// y[m * y_row + o] = row m times weight row o, for o from first to end. A row's sums do not depend on the other rows.
void outputs(const float* packed, int64_t count, int64_t k, const float* w, int64_t first, int64_t end, float* y, int64_t y_row);
void outputs(const float* packed, int64_t count, int64_t k, const c10::BFloat16* w, int64_t first, int64_t end, float* y, int64_t y_row);

}  // namespace few_rows
}  // namespace pa
