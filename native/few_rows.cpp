// peftalign::few_rows_linear(x, weight, bias) = x weight^T + bias for a few rows of x, as in decoding, where reading the
// weight is the work: each weight row is read once for all rows of x, by all threads. libtorch's own product of one row runs on
// one thread in common builds. Sums are fp32; a result does not depend on the rows beside it or on the number of threads.
// Float and bfloat16 on the processor; anything else goes to aten::linear. No gradients.
#include "few_rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <vector>

#include "instructions.h"
#include "pool.h"

namespace pa {
namespace few_rows {
namespace {

constexpr int64_t kTogether = 16;  // rows of x for which a weight row is read once
constexpr int64_t kTile = 256;     // inputs for which rows and weights stay in the innermost cache

// Rows are packed in blocks of 4, then 2, then 1. Within a block the first 16 inputs of each row come first, then the next 16 of each,
// and so on; the inputs that do not fill a vector follow, row by row.
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

// What a pass works on: inputs `begin` to `end` of rows of k inputs.
struct Tile {
    int64_t k, begin, end;
};

// Adds the tile of R weight rows times M packed rows of a block of B to sums[m * stride + r], and prefetches F rows from `ahead` on.
template <class Set, int R, int M, int B, int F, typename W>
PA_INLINE void part(const float* x, const W* w, const W* ahead, const Tile& tile, typename Set::Lanes* sums, int64_t stride) {
    typedef typename Set::Lanes L;
    L own[R][M], wide[R], in;
    int64_t k = tile.k, end = tile.end;
    asm("" : "+r"(ahead));  // or the rows of the weight are found from it, by a subtraction each
    lanes::repeat<R * M>([&](auto n) PA_INLINED {
        if (tile.begin == 0) own[n / M][n % M] = L{};
        else own[n / M][n % M] = sums[n % M * stride + n / M];
    });
    for (int64_t i = tile.begin; i < end; i += lanes::N) {
        lanes::repeat<R>([&](auto r) PA_INLINED { lanes::load(wide[r], w + r * k + i); });
        lanes::repeat<F>([&](auto f) PA_INLINED { __builtin_prefetch(ahead + f * k + i, 0, 2); });
        lanes::repeat<M>([&](auto m) PA_INLINED {
            lanes::load(in, x + B * i + m * lanes::N);
            lanes::repeat<R>([&](auto r) PA_INLINED { lanes::each([](auto& sum, const auto& a, const auto& b) PA_INLINED { sum += a * b; }, own[r][m], wide[r], in); });
        });
    }
    lanes::repeat<R * M>([&](auto n) PA_INLINED { sums[n % M * stride + n / M] = own[n / M][n % M]; });
}

// How many rows a pass takes so that its sums fit into registers: side() rows of x (as a square, where that many rows are there), and
// weights() of the R weight rows beside M rows of x.
template <class Set>
constexpr int side() { return Set::sums >= 16 ? 4 : Set::sums >= 4 ? 2 : 1; }

template <class Set, int R, int M>
constexpr int weights() { return R * M <= Set::sums ? R : Set::sums / M; }

// Divides the prefetching of the R weight rows that follow those in use among the passes over a tile.
struct Share {
    int64_t left, passes;
    int64_t next() {
        int64_t own = (left + passes - 1) / passes;
        left -= own, passes--;
        return own;
    }
};

// The passes of R weight rows over M rows of a block of B.
template <class Set, int R, int M, int B, typename W>
PA_INLINE void passes(const float* x, const W* w, const Tile& tile, typename Set::Lanes* sums, Share& share) {
    constexpr int P = weights<Set, R, M>();
    lanes::repeat<R / P>([&](auto n) PA_INLINED {
        constexpr int r = n * P;
        const W* ahead = w + (2 * R - share.left) * tile.k;
        int64_t ask = share.next();
        if (ask >= 3) part<Set, P, M, B, 4>(x, w + r * tile.k, ahead, tile, sums + r, R);
        else if (ask == 2) part<Set, P, M, B, 2>(x, w + r * tile.k, ahead, tile, sums + r, R);
        else if (ask == 1) part<Set, P, M, B, 1>(x, w + r * tile.k, ahead, tile, sums + r, R);
        else part<Set, P, M, B, 0>(x, w + r * tile.k, ahead, tile, sums + r, R);
    });
}

// The number of passes over a block of B rows.
template <class Set, int R, int B>
constexpr int64_t passes_over() {
    constexpr int M = std::min(B, side<Set>());
    return B / M * (R / weights<Set, R, M>());
}

// Up to kTogether rows.
template <class Set, int R, typename W>
PA_INLINE void accumulate(const float* x, int64_t count, int64_t k, const W* w, typename Set::Lanes* sums) {
    int64_t whole = k / lanes::N * lanes::N, each = count <= side<Set>() ? whole : kTile;
    int64_t all = (count >> 2) * passes_over<Set, R, 4>() + ((count >> 1) & 1) * passes_over<Set, R, 2>() + (count & 1) * passes_over<Set, R, 1>();
    for (int64_t begin = 0; begin < whole; begin += each) {
        Tile tile{k, begin, std::min(whole, begin + each)};
        Share share{R == 1 ? 0 : R, all};
        for (int64_t m = 0, block; m < count; m += block) {
            block = block_rows(count - m);
            for (int64_t q = 0; q < block; q += side<Set>()) {
                const float* in = x + m * k + q * lanes::N;
                typename Set::Lanes* own = sums + (m + q) * R;
                if (block == 4) passes<Set, R, side<Set>(), 4>(in, w, tile, own, share);
                else if (block == 2) passes<Set, R, std::min(2, side<Set>()), 2>(in, w, tile, own, share);
                else passes<Set, R, 1, 1>(in, w, tile, own, share);
            }
        }
    }
}

// Adds the inputs that do not fill a vector, and sums the vectors.
template <class Set, int R, typename W>
PA_INLINE void finish(const float* x, int64_t count, int64_t k, const W* w, const typename Set::Lanes* sums, float* y, int64_t y_row) {
    int64_t whole = k / lanes::N * lanes::N, tail = k - whole;
    for (int64_t m = 0; m < count;) {
        int64_t block = block_rows(count - m);
        for (int64_t q = 0; q < block; q++, m++) {
            float total[R];
            const typename Set::Lanes* own = sums + m * R;
            if constexpr (R == 4) {
                lanes::sum4(own[0], own[1], own[2], own[3], total);
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

template <class Set, int R, typename W>
PA_INLINE void rows(const float* x, int64_t count, int64_t k, const W* w, float* y, int64_t y_row) {
    typename Set::Lanes sums[R * kTogether];
    if (k < lanes::N)
        for (int64_t j = 0; j < R * count; j++) sums[j] = typename Set::Lanes{};
    accumulate<Set, R>(x, count, k, w, sums);
    finish<Set, R>(x, count, k, w, sums, y, y_row);
}

template <typename W>
void outputs_of(const float* x, int64_t count, int64_t k, const W* w, int64_t first, int64_t end, float* y, int64_t y_row) {
    with_instructions([=](auto set) PA_INLINED {
        using Set = decltype(set);
        for (int64_t m = 0; m < count; m += kTogether) {
            int64_t some = std::min(kTogether, count - m), o = first;
            for (; o + kOuts <= end; o += kOuts) rows<Set, kOuts>(x + m * k, some, k, w + o * k, y + m * y_row + o, y_row);
            for (; o < end; o++) rows<Set, 1>(x + m * k, some, k, w + o * k, y + m * y_row + o, y_row);
        }
    });
}

}  // namespace

void pack(const float* x, int64_t count, int64_t k, float* out) { pack_rows(x, count, k, out); }
void pack(const c10::BFloat16* x, int64_t count, int64_t k, float* out) { pack_rows(x, count, k, out); }

void outputs(const float* packed, int64_t count, int64_t k, const float* w, int64_t first, int64_t end, float* y, int64_t y_row) {
    outputs_of(packed, count, k, w, first, end, y, y_row);
}

void outputs(const float* packed, int64_t count, int64_t k, const c10::BFloat16* w, int64_t first, int64_t end, float* y, int64_t y_row) {
    outputs_of(packed, count, k, w, first, end, y, y_row);
}

}  // namespace few_rows

namespace {

using at::Tensor;

template <typename W>
void multiply(const Tensor& x, const Tensor& weight, Tensor& y) {
    const W* pw = weight.data_ptr<W>();
    float* py = y.data_ptr<float>();
    int64_t count = x.size(0), k = x.size(1), outs = weight.size(0);
    std::vector<few_rows::Run> runs = few_rows::runs<W>(&outs, 1, k, at::get_num_threads());
    std::vector<float> packed(count * k);
    few_rows::pack(x.data_ptr<W>(), count, k, packed.data());
    parallel(static_cast<int64_t>(runs.size()), [&](int64_t task) { few_rows::outputs(packed.data(), count, k, pw, runs[task].first, runs[task].end, py, outs); });
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
