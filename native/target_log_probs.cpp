// peftalign::target_log_probs(logits, targets, keep): of each row of logits the target's log-prob and what else is asked of its
// distribution, in two passes over the row, of which the second finds it in the cache. With keep the logits are overwritten by
// e^(logit - largest), which the gradient needs; divided by their sum (the last figure) they are the probabilities. fp32 inside, sums
// of 512 entries joined in double; float32 and bfloat16 on the processor.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "instructions.h"
#include "pool.h"
#include "target_figures.h"

namespace pa {
namespace {

using at::Tensor;
constexpr int64_t kBlock = 512;  // entries that are summed in fp32
constexpr int64_t kGrain = 1 << 14;  // entries that are worth a thread

// A line less a number; what lies behind the row's end is `fill`.
template <typename L, typename W>
PA_INLINE void load_less(L& v, const W* p, int64_t n, float less, float fill) {
    if (n >= lanes::N) {
        lanes::load(v, p);
        return lanes::each([less](auto& x) PA_INLINED { x -= less; }, v);
    }
    float padded[lanes::N];
    for (int64_t k = 0; k < lanes::N; k++) padded[k] = k < n ? lanes::one(p + k) - less : fill;
    lanes::load(v, padded);
}

// The largest entry; total takes the sum of all.
template <typename L, typename W>
PA_INLINE float largest(const W* row, int64_t n, double& total) {
    constexpr float kNone = -std::numeric_limits<float>::infinity();
    auto larger = [](auto& best, const auto& x) PA_INLINED { best = x > best ? x : best; };
    auto add = [](auto& sum, const auto& x) PA_INLINED { sum += x; };
    L best = {}, sum, v;
    lanes::each([](auto& x) PA_INLINED { x += kNone; }, best);
    total = 0;
    for (int64_t first = 0; first < n; first += kBlock) {
        int64_t end = std::min(n, first + kBlock), i = first;
        sum = L{};
        for (; i + lanes::N <= end; i += lanes::N) {
            lanes::load(v, row + i);
            lanes::each(larger, best, v), lanes::each(add, sum, v);
        }
        if (i < end) {
            load_less(v, row + i, end - i, 0, kNone);
            lanes::each(larger, best, v);
            lanes::load_part(v, row + i, end - i);
            lanes::each(add, sum, v);
        }
        total += lanes::sum(sum);
    }
    float tops[lanes::N];
    lanes::store(best, tops);
    float top = tops[0];
    for (int64_t k = 1; k < lanes::N; k++) top = tops[k] > top ? tops[k] : top;
    return top;
}

template <typename L, bool Keep, typename W>
PA_INLINE void sums_of(W* row, int64_t n, float top, RowSums& sums) {
    L d, e;
    for (int64_t first = 0; first < n; first += kBlock) {
        int64_t end = std::min(n, first + kBlock);
        L total = {}, crossed = {}, squares = {};
        for (int64_t i = first; i < end; i += lanes::N) {
            load_less(d, row + i, end - i, top, -1000.0f);
            lanes::each(
                [](auto& out, const auto& x, auto& one, auto& by, auto& square) PA_INLINED {
                    out = x;
                    lanes::exponential(out);
                    one += out, by += out * x, square += out * out;
                },
                e, d, total, crossed, squares);
            if constexpr (Keep) lanes::store_part(e, row + i, end - i);
        }
        sums.exponentials += lanes::sum(total), sums.crossed += lanes::sum(crossed), sums.squares += lanes::sum(squares);
    }
}

// The first of the largest entries is the one that counts as most probable.
template <typename W>
PA_INLINE bool leads(const W* row, int64_t target, float top) {
    if (lanes::one(row + target) != top) return false;
    for (int64_t k = 0; k < target; k++)
        if (lanes::one(row + k) == top) return false;
    return true;
}

template <typename L, typename W>
PA_INLINE void figures_of(W* row, int64_t n, int64_t target, bool keep, float* to, int64_t stride) {
    RowSums sums;
    float top = largest<L>(row, n, sums.logits), own = lanes::one(row + target);
    bool hit = leads(row, target, top);
    if (keep) sums_of<L, true>(row, n, top, sums);
    else sums_of<L, false>(row, n, top, sums);
    write_figures(sums, n, own, top, hit, to, stride);
}

template <typename W>
void all_rows(Tensor& logits, const Tensor& targets, bool keep, Tensor& figures) {
    auto* p = logits.data_ptr<W>();
    auto* y = targets.data_ptr<int64_t>();
    auto* to = figures.data_ptr<float>();
    int64_t rows = logits.size(0), n = logits.size(1);
    parallel_runs(rows, std::max<int64_t>(1, kGrain / n), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++)
            with_instructions([=](auto set) PA_INLINED { figures_of<typename decltype(set)::Lanes>(p + row * n, n, y[row], keep, to + row, rows); });
    });
}

Tensor target_log_probs(Tensor& logits, const Tensor& targets, bool keep) {
    auto type = logits.scalar_type();
    TORCH_CHECK(logits.device().is_cpu() && logits.dim() == 2 && logits.size(1) > 0 && logits.is_contiguous() && (type == at::kFloat || type == at::kBFloat16), "target_log_probs: contiguous (C, V) float32 or bfloat16 on the processor, not ",
                logits.sizes(), " ", type);
    TORCH_CHECK(targets.dim() == 1 && targets.size(0) == logits.size(0) && targets.scalar_type() == at::kLong && targets.device().is_cpu(), "target_log_probs: targets are (C) int64 on the processor, not ", targets.sizes(), " on ", targets.device());
    Tensor y = targets.contiguous(), figures = at::empty({kFigures, logits.size(0)}, logits.options().dtype(at::kFloat));
    for (int64_t row = 0; row < y.size(0); row++) {
        int64_t target = y.data_ptr<int64_t>()[row];
        TORCH_CHECK(target >= 0 && target < logits.size(1), "target_log_probs: target ", target, " of ", logits.size(1), " entries");
    }
    if (type == at::kFloat) all_rows<float>(logits, y, keep, figures);
    else all_rows<c10::BFloat16>(logits, y, keep, figures);
    return figures;
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) { m.def("target_log_probs(Tensor(a!) logits, Tensor targets, bool keep) -> Tensor"); }
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) { m.impl("target_log_probs", pa::target_log_probs); }
