// peftalign::target_log_probs_(logits, targets, probabilities): of each row (V) the log of softmax at its target, in float32; where asked
// for, the logits become their softmax, rounded to their dtype. One read, one exponential and one product an entry, in place,
// where log_softmax and exp take a second matrix. A row's numbers depend on nothing beside it. No gradients.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <cmath>
#include <limits>

#include "lanes.h"
#include "pool.h"

namespace pa {
namespace {

using at::Tensor;
constexpr int64_t kPartial = 64;  // vectors that are added before their sum joins the row's

template <typename W>
PA_INLINE float largest(const W* x, int64_t n) {
    lanes::V best = lanes::V{} - std::numeric_limits<float>::infinity(), v;
    int64_t i = 0;
    for (; i + lanes::N <= n; i += lanes::N) lanes::load(v, x + i), best = v > best ? v : best;
    float top = best[0];
    for (int64_t k = 1; k < lanes::N; k++) top = best[k] > top ? best[k] : top;
    for (; i < n; i++) top = lanes::one(x + i) > top ? lanes::one(x + i) : top;
    return top;
}

// e^(x - top) of up to a vector; entries behind the end are 0.
template <typename W>
PA_INLINE void raised(const W* x, float top, int64_t n, lanes::V& v) {
    lanes::load_part(v, x, n);
    v -= top;
    for (int64_t k = n; k < lanes::N; k++) v[k] = -std::numeric_limits<float>::infinity();
    lanes::exponential(v);
}

template <typename W>
PA_INLINE float log_prob_in(W* x, int64_t n, int64_t target, bool probabilities) {
    float top = largest(x, n), chosen = lanes::one(x + target) - top;
    double total = 0;
    lanes::V v;
    for (int64_t i = 0; i < n;) {
        lanes::V partial = {};
        for (int64_t stop = std::min(n, i + kPartial * lanes::N); i < stop; i += lanes::N) raised(x + i, top, n - i, v), partial += v;
        total += lanes::sum(partial);
    }
    float log_total = static_cast<float>(std::log(total));
    if (probabilities) {
        float inverse = static_cast<float>(1 / total);
        for (int64_t i = 0; i < n; i += lanes::N) {
            raised(x + i, top, n - i, v);
            v *= inverse;
            lanes::store_part(v, x + i, n - i);
        }
    }
    return chosen - log_total;
}

PA_CLONES float log_prob_of(float* x, int64_t n, int64_t target, bool probabilities) { return log_prob_in(x, n, target, probabilities); }

PA_CLONES float log_prob_of(c10::BFloat16* x, int64_t n, int64_t target, bool probabilities) { return log_prob_in(x, n, target, probabilities); }

template <typename W>
void rows_of(Tensor& logits, const int64_t* targets, bool probabilities, float* out) {
    W* x = logits.data_ptr<W>();
    int64_t n = logits.size(1);
    parallel(logits.size(0), [&](int64_t row) { out[row] = log_prob_of(x + row * n, n, targets[row], probabilities); });
}

Tensor target_log_probs_(Tensor logits, const Tensor& targets, bool probabilities) {
    auto type = logits.scalar_type();
    TORCH_CHECK(logits.dim() == 2 && logits.device().is_cpu() && logits.is_contiguous() && (type == at::kFloat || type == at::kBFloat16),
                "target_log_probs_: logits are a contiguous (rows, V), float32 or bfloat16, on the processor, not ", type, " ", logits.sizes());
    TORCH_CHECK(targets.dim() == 1 && targets.size(0) == logits.size(0) && targets.scalar_type() == at::kLong && targets.device().is_cpu(),
                "target_log_probs_: targets are (rows) int64, not ", targets.scalar_type(), " ", targets.sizes());
    Tensor own = targets.contiguous(), out = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
    for (int64_t row = 0; row < own.size(0); row++) {
        int64_t target = own.data_ptr<int64_t>()[row];
        TORCH_CHECK_INDEX(target >= 0 && target < logits.size(1), "target_log_probs_: target ", target, " of ", logits.size(1), " entries");
    }
    if (type == at::kFloat) rows_of<float>(logits, own.data_ptr<int64_t>(), probabilities, out.data_ptr<float>());
    else rows_of<c10::BFloat16>(logits, own.data_ptr<int64_t>(), probabilities, out.data_ptr<float>());
    return out;
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) { m.def("target_log_probs_(Tensor(a!) logits, Tensor targets, bool probabilities) -> Tensor"); }
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) { m.impl("target_log_probs_", pa::target_log_probs_); }
