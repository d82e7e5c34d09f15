// peftalign::few_rows_linear(x, weight, bias) = x weight^T + bias for a few rows of x, as in decoding, where reading the
// weight is the work: each weight row is read once for all rows of x, by all threads. libtorch's own product of one row runs on
// one thread in common builds. Sums are fp32; a result does not depend on the rows beside it or on the number of threads.
// Float and bfloat16 on the processor; anything else goes to aten::linear. No gradients.
#include "few_rows.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <vector>

#include "pool.h"

namespace pa {
namespace few_rows {
namespace {

constexpr int64_t kTogether = 16;  // rows of x for which a weight row is read once
constexpr int64_t kTile = 256;     // inputs for which rows and weights stay in the innermost cache

// Rows stand in blocks of 4, then 2, then 1: 16 inputs of each row of the block after another; behind them the inputs that fill
// no vector, row by row.
int64_t block_rows(int64_t left) { return left >= 4 ? 4 : left >= 2 ? 2 : 1; }

template <typename W>
void pack_rows(const W* x, int64_t count, int64_t k, float* out) {
    int64_t whole = k / lanes::N * lanes::N;
    for (int64_t m = 0; m < count;) {
        int64_t block = block_rows(count - m);
        for (int64_t q = 0; q < block; q++) {
            const W* row = x + (m + q) * k;
            for (int64_t i = 0; i < whole; i += lanes::N)
                for (int64_t j = 0; j < lanes::N; j++) out[m * k + block * i + q * lanes::N + j] = row[i + j];
            for (int64_t i = whole; i < k; i++) out[m * k + block * whole + q * (k - whole) + i - whole] = row[i];
        }
        m += block;
    }
}

// Adds the inputs from `begin` to `end` of R weight rows times M rows to `sums`, and asks for F rows of what is `ahead`.
template <int R, int M, int F, typename W>
PA_INLINE void part(const float* x, const W* w, int64_t k, int64_t begin, int64_t end, const W* ahead, lanes::V* sums) {
    lanes::V own[R][M];
    for (int r = 0; r < R; r++)
        for (int m = 0; m < M; m++) own[r][m] = begin == 0 ? lanes::V{} : sums[m * R + r];
    for (int64_t i = begin; i < end; i += lanes::N) {
        lanes::V wide[R];
        for (int r = 0; r < R; r++) lanes::load(wide[r], w + r * k + i);
        for (int f = 0; f < F; f++) __builtin_prefetch(ahead + f * k + i, 0, 2);
        for (int m = 0; m < M; m++) {
            lanes::V in;
            lanes::load(in, x + M * i + m * lanes::N);
            for (int r = 0; r < R; r++) own[r][m] += wide[r] * in;
        }
    }
    for (int r = 0; r < R; r++)
        for (int m = 0; m < M; m++) sums[m * R + r] = own[r][m];
}

template <int R, int F, typename W>
PA_INLINE void part_of(int64_t block, const float* x, const W* w, int64_t k, int64_t begin, int64_t end, const W* ahead, lanes::V* sums) {
    if (block == 4) part<R, 4, F>(x, w, k, begin, end, ahead, sums);
    else if (block == 2) part<R, 2, F>(x, w, k, begin, end, ahead, sums);
    else part<R, 1, F>(x, w, k, begin, end, ahead, sums);
}

// Up to kTogether rows. The weight rows ahead are shared out among the passes over blocks of rows, some to each.
template <int R, typename W>
PA_INLINE void accumulate(const float* x, int64_t count, int64_t k, const W* w, lanes::V* sums) {
    int64_t whole = k / lanes::N * lanes::N, tile = count <= 4 ? whole : kTile;
    int64_t passes = (count >> 2) + ((count >> 1) & 1) + (count & 1);
    for (int64_t begin = 0; begin < whole; begin += tile) {
        int64_t end = std::min(whole, begin + tile), asked = 0;
        for (int64_t m = 0, pass = 0; m < count; pass++) {
            int64_t block = block_rows(count - m), share = R == 1 ? 0 : (R - asked + passes - pass - 1) / (passes - pass);
            const W* ahead = w + (R + asked) * k;
            lanes::V* own = sums + m * R;
            if (share >= 3) part_of<R, 4>(block, x + m * k, w, k, begin, end, ahead, own);
            else if (share == 2) part_of<R, 2>(block, x + m * k, w, k, begin, end, ahead, own);
            else if (share == 1) part_of<R, 1>(block, x + m * k, w, k, begin, end, ahead, own);
            else part_of<R, 0>(block, x + m * k, w, k, begin, end, ahead, own);
            asked += share, m += block;
        }
    }
}

// What fills no vector, and the sums over vectors.
template <int R, typename W>
PA_INLINE void finish(const float* x, int64_t count, int64_t k, const W* w, const lanes::V* sums, float* y, int64_t y_row) {
    int64_t whole = k / lanes::N * lanes::N, tail = k - whole;
    for (int64_t m = 0; m < count;) {
        int64_t block = block_rows(count - m);
        for (int64_t q = 0; q < block; q++, m++) {
            float total[R];
            const lanes::V* own = sums + m * R;
            if constexpr (R == 4) {
                lanes::V4 all;
                lanes::sum4(own[0], own[1], own[2], own[3], all);
                std::memcpy(total, &all, sizeof all);
            } else {
                for (int r = 0; r < R; r++) total[r] = lanes::sum(own[r]);
            }
            const float* rest = x + (m - q) * k + block * whole + q * tail;
            for (int r = 0; r < R; r++) {
                for (int64_t j = 0; j < tail; j++) total[r] += lanes::one(w + r * k + whole + j) * rest[j];
                y[m * y_row + r] = total[r];
            }
        }
    }
}

template <int R, typename W>
PA_INLINE void rows(const float* x, int64_t count, int64_t k, const W* w, float* y, int64_t y_row) {
    lanes::V sums[R * kTogether];
    if (k < lanes::N)
        for (int64_t j = 0; j < R * count; j++) sums[j] = lanes::V{};
    accumulate<R>(x, count, k, w, sums);
    finish<R>(x, count, k, w, sums, y, y_row);
}

template <typename W>
PA_INLINE void outputs_in(const float* x, int64_t count, int64_t k, const W* w, int64_t first, int64_t end, float* y, int64_t y_row) {
    for (int64_t m = 0; m < count; m += kTogether) {
        int64_t some = std::min(kTogether, count - m), o = first;
        for (; o + kOuts <= end; o += kOuts) rows<kOuts>(x + m * k, some, k, w + o * k, y + m * y_row + o, y_row);
        for (; o < end; o++) rows<1>(x + m * k, some, k, w + o * k, y + m * y_row + o, y_row);
    }
}

}  // namespace

void pack(const float* x, int64_t count, int64_t k, float* out) { pack_rows(x, count, k, out); }
void pack(const c10::BFloat16* x, int64_t count, int64_t k, float* out) { pack_rows(x, count, k, out); }

PA_CLONES void outputs(const float* packed, int64_t count, int64_t k, const float* w, int64_t first, int64_t end, float* y, int64_t y_row) {
    outputs_in(packed, count, k, w, first, end, y, y_row);
}

PA_CLONES void outputs(const float* packed, int64_t count, int64_t k, const c10::BFloat16* w, int64_t first, int64_t end, float* y, int64_t y_row) {
    outputs_in(packed, count, k, w, first, end, y, y_row);
}

}  // namespace few_rows

namespace {

using at::Tensor;

template <typename W>
void multiply(const Tensor& x, const Tensor& weight, Tensor& y) {
    const W* pw = weight.data_ptr<W>();
    float* py = y.data_ptr<float>();
    int64_t count = x.size(0), k = x.size(1), outs = weight.size(0), each = few_rows::task_outputs<W>(k);
    std::vector<float> packed(count * k);
    few_rows::pack(x.data_ptr<W>(), count, k, packed.data());
    parallel((outs + each - 1) / each, [&](int64_t task) { few_rows::outputs(packed.data(), count, k, pw, task * each, std::min(outs, (task + 1) * each), py, outs); });
}

Tensor few_rows_linear(const Tensor& x, const Tensor& weight, const c10::optional<Tensor>& bias) {
    auto type = x.scalar_type();
    bool known = x.device().is_cpu() && weight.device().is_cpu() && x.dim() == 2 && weight.dim() == 2 && weight.scalar_type() == type &&
                 weight.is_contiguous() && x.size(1) == weight.size(1) && (type == at::kFloat || type == at::kBFloat16);
    if (!known) return at::linear(x, weight, bias);
    Tensor y = at::empty({x.size(0), weight.size(0)}, x.options().dtype(at::kFloat));
    if (type == at::kFloat) multiply<float>(x.contiguous(), weight, y);
    else multiply<c10::BFloat16>(x.contiguous(), weight, y);
    if (bias.has_value() && bias->defined()) y.add_(*bias);
    return y.to(type);
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) { m.def("few_rows_linear(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor"); }
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) { m.impl("few_rows_linear", pa::few_rows_linear); }
