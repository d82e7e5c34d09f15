// peftalign::few_rows_linear(x, weight, bias) = x weight^T + bias for a few rows of x, as in decoding, where reading the
// weight is the work: each weight row is read once for all rows of x, by all threads. libtorch's own product of one row runs on
// one thread in common builds. Sums are fp32; a result does not depend on the rows beside it or on the number of threads.
// Float and bfloat16 on the processor; anything else goes to aten::linear. No gradients.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <vector>

#include "lanes.h"
#include "pool.h"

namespace pa {
namespace {

using at::Tensor;
constexpr int64_t kTaskBytes = 1 << 16;  // of the weight, for one task
constexpr int64_t kOuts = 4;             // weight rows that are read together

// R weight rows times M rows of x.
template <int R, int M, typename W>
PA_INLINE void block(const float* x, int64_t k, const W* w, float* y, int64_t y_row) {
    lanes::V sums[R][M] = {};
    int64_t i = 0;
    for (; i + lanes::N <= k; i += lanes::N) {
        lanes::V wide[R];
        for (int r = 0; r < R; r++) lanes::load(wide[r], w + r * k + i);
        for (int m = 0; m < M; m++) {
            lanes::V in;
            lanes::load(in, x + m * k + i);
            for (int r = 0; r < R; r++) sums[r][m] += wide[r] * in;
        }
    }
    for (int r = 0; r < R; r++)
        for (int m = 0; m < M; m++) {
            float total = lanes::sum(sums[r][m]);
            for (int64_t j = i; j < k; j++) total += lanes::one(w + r * k + j) * x[m * k + j];
            y[m * y_row + r] = total;
        }
}

// R weight rows times all rows of x. Each row of x is summed in the same order whatever the other rows are.
template <int R, typename W>
PA_INLINE void rows(const float* x, int64_t count, int64_t k, const W* w, float* y, int64_t y_row) {
    int64_t m = 0;
    for (; m + 4 <= count; m += 4) block<R, 4>(x + m * k, k, w, y + m * y_row, y_row);
    for (; m < count; m++) block<R, 1>(x + m * k, k, w, y + m * y_row, y_row);
}

template <typename W>
PA_INLINE void outputs(const float* x, int64_t count, int64_t k, const W* w, int64_t first, int64_t end, float* y, int64_t y_row) {
    int64_t o = first;
    for (; o + kOuts <= end; o += kOuts) rows<kOuts>(x, count, k, w + o * k, y + o, y_row);
    for (; o < end; o++) rows<1>(x, count, k, w + o * k, y + o, y_row);
}

PA_CLONES void outputs_of(const float* x, int64_t count, int64_t k, const float* w, int64_t first, int64_t end, float* y, int64_t y_row) {
    outputs(x, count, k, w, first, end, y, y_row);
}

PA_CLONES void outputs_of(const float* x, int64_t count, int64_t k, const c10::BFloat16* w, int64_t first, int64_t end, float* y, int64_t y_row) {
    outputs(x, count, k, w, first, end, y, y_row);
}

template <typename W>
void multiply(const Tensor& x, const Tensor& weight, Tensor& y) {
    const float* px = x.data_ptr<float>();
    const W* pw = weight.data_ptr<W>();
    float* py = y.data_ptr<float>();
    int64_t count = x.size(0), k = x.size(1), outs = weight.size(0);
    int64_t each = std::max<int64_t>(kOuts, kTaskBytes / std::max<int64_t>(1, k * static_cast<int64_t>(sizeof(W))) / kOuts * kOuts);
    parallel((outs + each - 1) / each, [&](int64_t task) { outputs_of(px, count, k, pw, task * each, std::min(outs, (task + 1) * each), py, outs); });
}

Tensor few_rows_linear(const Tensor& x, const Tensor& weight, const c10::optional<Tensor>& bias) {
    auto type = x.scalar_type();
    bool known = x.device().is_cpu() && weight.device().is_cpu() && x.dim() == 2 && weight.dim() == 2 && weight.scalar_type() == type &&
                 weight.is_contiguous() && x.size(1) == weight.size(1) && (type == at::kFloat || type == at::kBFloat16);
    if (!known) return at::linear(x, weight, bias);
    Tensor wide = x.to(at::kFloat).contiguous();
    Tensor y = at::empty({x.size(0), weight.size(0)}, wide.options());
    if (type == at::kFloat) multiply<float>(wide, weight, y);
    else multiply<c10::BFloat16>(wide, weight, y);
    if (bias.has_value() && bias->defined()) y.add_(*bias);
    return y.to(type);
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) { m.def("few_rows_linear(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor"); }
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) { m.impl("few_rows_linear", pa::few_rows_linear); }
