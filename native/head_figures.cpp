// peftalign::head_figures(hidden, head, targets, expect, bias): what target_log_probs says of the distributions of the rows hidden head' + bias, and
// with `expect` the mean of the head's rows under each. The (N, V) logits are never in memory: a block of the vocabulary is worked on while
// its logits lie in the second cache, relative to the largest so far; sums are scaled where a larger one comes. The vocabulary
// is cut into slices that follow from its size alone and are joined in order, so a row's figures depend neither on the other
// rows nor on threads. peftalign::logits_figures(logits, targets) gives the same figures, bit for bit, of logits that are in memory since
// something was added to them: a policy's changed head beside its reference's. float32 or bfloat16 on the processor, where products.cpp has kernels of its own; of a head in
// bfloat16 the logits are rounded to it, as wherever they are in memory, and so are a mean's weights, but for an odd vocabulary's last one; all else is float32.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <tuple>
#include <vector>

#include "pool.h"
#include "product_blocks.h"
#include "products.h"
#include "target_figures.h"

namespace pa {
namespace {

using at::Tensor;
using tiles::divided;
using tiles::kTogether;
using tiles::whole_tiles;

constexpr int64_t kMostSlices = 8;
constexpr int64_t kSlice = 1024;    // entries of the vocabulary that are worth a slice
// Bounds of a part's rows: a block of their logits fits the second-level cache (kMostRows), their sums of the head's rows fit the
// third (kRowBytes), and there are so many that packing the head for them costs little (kFewestRows). A round has at least a part for
// each thread; kSumBytes bounds its sums over all slices.
constexpr int64_t kMostRows = 504, kFewestRows = 96, kRowBytes = 1 << 22, kSumBytes = 1 << 27;
constexpr int64_t kStep = lanes::N;  // floats that are added up together, with every instruction set
constexpr float kNone = -std::numeric_limits<float>::infinity();

// What is known of a row after some blocks of a slice.
struct State {
    RowSums sums;
    float largest = kNone, own = 0;
    int64_t first = -1;  // of the largest entries; none yet

    // Makes the sums relative to a larger logit; returns the factor by which those of e^d shrink.
    double raise_to(float next) {
        if (next == largest) return 1;
        double less = static_cast<double>(largest) - next, factor = std::exp(less);
        sums.crossed = factor == 0 ? 0 : factor * (sums.crossed + less * sums.exponentials);
        sums.exponentials *= factor, sums.squares *= factor * factor;
        largest = next;
        return factor;
    }

    // Joins the state of the next slice.
    void add(State next) {
        if (next.largest > largest) raise_to(next.largest), first = next.first;
        else next.raise_to(largest);
        sums.exponentials += next.sums.exponentials, sums.crossed += next.sums.crossed, sums.squares += next.sums.squares, sums.logits += next.sums.logits;
    }
};

// A round of rows.
struct Round {
    tiles::Matrix hidden, turned;  // (rows, width) and (width, entries)
    const float* bias;             // (entries), or null
    const int64_t* targets;
    bool twos;                     // they are bfloat16
    int64_t rows, width, entries, slices;
    float* expected;  // (slices, rows, width), relative to the slice's largest logit; or null
    State* states;    // (slices, rows)
};

// Rows of a slice.
struct Part {
    int64_t row, rows, slice;
};

// Rounds a row's logits to bfloat16, as they would be if they were stored.
template <typename L>
PA_INLINE void round_all(float* row, int64_t count) {
    L x;
    for (int64_t n = 0; n < count; n += kStep) {
        lanes::load(x, row + n);
        lanes::each([](auto& v) PA_INLINED { lanes::round_to(v, static_cast<const c10::BFloat16*>(nullptr)); }, x);
        lanes::store(x, row + n);
    }
}

// The largest of a row's logits, and their sum.
template <typename L>
PA_INLINE float largest_of(const float* row, int64_t count, double& total) {
    L best = {}, sums = {}, x;
    lanes::each([](auto& v) PA_INLINED { v += kNone; }, best);
    float top = kNone, rest = 0;
    int64_t n = 0;
    for (; n + kStep <= count; n += kStep) {
        lanes::load(x, row + n);
        lanes::each([](auto& most, auto& sum, const auto& v) PA_INLINED { most = v > most ? v : most, sum += v; }, best, sums, x);
    }
    for (; n < count; n++) top = row[n] > top ? row[n] : top, rest += row[n];
    float tops[kStep];
    lanes::store(best, tops);
    for (float one : tops) top = one > top ? one : top;
    total += static_cast<double>(lanes::sum(sums)) + rest;
    return top;
}

// Replaces a row's logits by e^(logit - largest), and fills up to a whole step with zeros.
template <typename L>
PA_INLINE void exponentials(float* row, int64_t count, float largest, RowSums& sums) {
    constexpr float kBehind = -1000;  // of which e^d is 0
    L total = {}, crossed = {}, squares = {}, x;
    for (int64_t n = 0; n < count; n += kStep) {
        float less = largest;
        if (n + kStep > count) {
            for (int64_t k = n; k < n + kStep; k++) row[k] = k < count ? row[k] - largest : kBehind;
            less = 0;
        }
        lanes::load(x, row + n);
        lanes::each(
            [less](auto& e, auto& one, auto& by, auto& square) PA_INLINED {
                auto d = e - less;
                e = d;
                lanes::exponential(e);
                one += e, by += e * d, square += e * e;
            },
            x, total, crossed, squares);
        lanes::store(x, row + n);
    }
    sums.exponentials += lanes::sum(total), sums.crossed += lanes::sum(crossed), sums.squares += lanes::sum(squares);
}

// Takes a block's logits of one row into its state, and leaves e^(logit - largest) in their place. `behind` is the row's sum of the
// head's rows so far, or null.
template <typename L>
PA_INLINE void take(float* row, int64_t first, int64_t count, int64_t target, State& state, float* behind, int64_t width) {
    if (target >= first && target < first + count) state.own = row[target - first];
    float top = largest_of<L>(row, count, state.sums.logits);
    if (top > state.largest) {
        float factor = static_cast<float>(state.raise_to(top));
        state.first = first + (std::find(row, row + count, top) - row);
        if (behind)
            for (int64_t k = 0; k < width; k++) behind[k] *= factor;
    }
    if (state.largest == kNone) {  // entries that are impossible, or no numbers at all
        for (int64_t k = 0; k < count; k++) row[k] = row[k] == kNone ? 0 : row[k], state.sums.exponentials += row[k];
        return;
    }
    exponentials<L>(row, count, state.largest, state.sums);
}

// This thread's buffers for a block's logits, and for the bfloat16 weights made of them.
float* own_logits() {
    static thread_local std::unique_ptr<tiles::Line[]> logits(new tiles::Line[kMostRows * kTogether / kStep]);
    return logits[0].values;
}

c10::BFloat16* own_weights() {
    static thread_local std::unique_ptr<tiles::Line[]> weights(new tiles::Line[kMostRows * kTogether / kStep / 2]);
    return reinterpret_cast<c10::BFloat16*>(weights[0].values);
}

// expected += weights times the head's rows from `own` on; in bfloat16 an odd last row is added by itself.
template <class Set>
PA_INLINE void add_expected(const Round& h, const Part& part, const tiles::Matrix& own, int64_t count, bool again, const float* logits, float* expected) {
    tiles::Sum back{{}, again, nullptr, part.rows, h.width};
    std::vector<float> last;
    if (!h.twos) {
        back.pairs = {{tiles::matrix(logits, kTogether, 1), {own.p, own.column, own.row}, count, 1}};
    } else {
        const c10::BFloat16* weights = own_weights();
        for (int64_t m = 0; m < part.rows; m++)
            for (int64_t n = 0; n < count; n += kStep) {
                typename Set::Lanes line;
                lanes::load(line, logits + m * kTogether + n), lanes::store(line, own_weights() + m * kTogether + n);
            }
        if (count > 1) back.pairs = {{{reinterpret_cast<const char*>(weights), 2 * kTogether, tiles::kUnit}, {own.p, 2 * own.column, tiles::kUnit / 2}, count / 2, 1, true}};
        if (count % 2) {
            auto* row = reinterpret_cast<const c10::BFloat16*>(own.at(0, count - 1));
            for (int64_t k = 0; k < h.width; k++) last.push_back(lanes::one(row + k));
            back.pairs.push_back({tiles::matrix(logits + count - 1, kTogether, 1), tiles::matrix(last.data(), h.width, 1), 1, 1});
        }
    }
    for (int64_t column = 0; column < h.width; column += kTogether) tiles::block_in<Set>(back, {0, part.rows, column, std::min(kTogether, h.width - column), expected + column, h.width});
}

template <class Set>
PA_INLINE void part_in(const Round& h, const Part& part) {
    int64_t blocks = (h.entries + kTogether - 1) / kTogether, end = (part.slice + 1) * blocks / h.slices, block = part.slice * blocks / h.slices;
    float *logits = own_logits(), *expected = h.expected ? h.expected + (part.slice * h.rows + part.row) * h.width : nullptr;
    State* states = h.states + part.slice * h.rows + part.row;
    for (bool again = false; block < end; block++, again = true) {
        int64_t first = block * kTogether, count = std::min(kTogether, h.entries - first);
        tiles::Matrix own{h.turned.at(0, first), h.turned.row, h.turned.column};
        tiles::Sum of{{{{h.hidden.at(part.row, 0), h.hidden.row, tiles::kUnit}, own, h.twos ? h.width / 2 : h.width, 1, h.twos}}, false, h.bias ? h.bias + first : nullptr, part.rows, count};
        tiles::block_in<Set>(of, {0, part.rows, 0, count, logits, kTogether});
        // Meanwhile the next block's rows of the head are prefetched.
        const char* next = h.turned.at(0, first + count);
        int64_t ahead = block + 1 < end ? std::min(kTogether, h.entries - first - count) * h.turned.column : 0;
        for (int64_t m = 0; m < part.rows; m++) {
            for (int64_t at = m * ahead / part.rows / 64 * 64; at < (m + 1) * ahead / part.rows; at += 64) __builtin_prefetch(next + at, 0, 1);
            if (h.twos) round_all<typename Set::Lanes>(logits + m * kTogether, count);
            take<typename Set::Lanes>(logits + m * kTogether, first, count, h.targets[part.row + m], states[m], again && expected ? expected + m * h.width : nullptr, h.width);
        }
        if (expected) add_expected<Set>(h, part, own, count, again, logits, expected);
    }
}

// Row m of all slices, joined: its figures, and its expected row of the head.
void join(const Round& h, int64_t m, float* figures, int64_t stride, float* expected) {
    State all = h.states[m];
    for (int64_t s = 1; s < h.slices; s++) all.add(h.states[s * h.rows + m]);
    int64_t slice = 0, blocks = (h.entries + kTogether - 1) / kTogether;
    while ((slice + 1) * blocks / h.slices * kTogether <= h.targets[m]) slice++;
    write_figures(all.sums, h.entries, h.states[slice * h.rows + m].own, all.largest, all.first == h.targets[m], figures, stride);
    if (!expected) return;
    for (int64_t s = 0; s < h.slices; s++) {
        const float* from = h.expected + (s * h.rows + m) * h.width;
        float factor = static_cast<float>(std::exp(static_cast<double>(h.states[s * h.rows + m].largest) - all.largest) / all.sums.exponentials);
        for (int64_t k = 0; k < h.width; k++) expected[k] = s == 0 ? factor * from[k] : expected[k] + factor * from[k];
    }
}

void check(const Tensor& targets, int64_t rows, int64_t entries, const char* name) {
    TORCH_CHECK(targets.dim() == 1 && targets.size(0) == rows && targets.scalar_type() == at::kLong && targets.is_contiguous() && targets.device().is_cpu(),
                name, ": targets are (N) int64 on the processor, not ", targets.sizes(), " on ", targets.device());
    for (int64_t row = 0; row < rows; row++) {
        int64_t target = targets.data_ptr<int64_t>()[row];
        TORCH_CHECK(target >= 0 && target < entries, name, ": target ", target, " of ", entries, " entries");
    }
}

// Returns the instruction set to compute with; throws where this cannot be computed here.
Instructions checked(const Tensor& hidden, const Tensor& head, const Tensor& targets) {
    bool twos = head.scalar_type() == at::kBFloat16;
    Instructions set = set_of_products(twos ? at::kBFloat16 : at::kFloat);
    auto ours = [&](const Tensor& t) { return t.device().is_cpu() && t.scalar_type() == (twos ? at::kBFloat16 : at::kFloat) && t.dim() == 2 && (t.stride(1) == 1 || t.size(1) == 1 || t.numel() == 0); };
    TORCH_CHECK(set && ours(hidden) && ours(head) && hidden.size(1) == head.size(1) && hidden.size(1) > 0 && head.size(0) > 0 && !(twos && (head.size(1) % 2 || head.stride(0) % 2)),
                "head_figures: (N, d) and (V, d) float32, or bfloat16 with an even d, with whole rows on a processor with products of our own, not ", hidden.sizes(), " ", hidden.scalar_type(), " and ", head.sizes(), " ", head.scalar_type());
    check(targets, hidden.size(0), head.size(0), "head_figures");
    return set;
}

int64_t slices_of(int64_t entries) { return std::max<int64_t>(1, std::min(kMostSlices, entries / kSlice)); }

std::tuple<Tensor, Tensor> head_figures(const Tensor& hidden, const Tensor& head, const Tensor& targets, bool expect, const c10::optional<Tensor>& bias) {
    Instructions set = checked(hidden, head, targets);
    TORCH_CHECK(!bias || (bias->device().is_cpu() && bias->dim() == 1 && bias->size(0) == head.size(0) && bias->scalar_type() == head.scalar_type()), "head_figures: a bias of (", head.size(0), ") as the head on the processor, not ",
                bias ? bias->sizes() : head.sizes(), " ", bias ? bias->scalar_type() : head.scalar_type());
    Tensor added = bias ? bias->to(at::kFloat).contiguous() : Tensor();
    int64_t rows = hidden.size(0), width = head.size(1), entries = head.size(0), slices = slices_of(entries);
    auto floats = hidden.options().dtype(at::kFloat);
    Tensor figures = at::empty({kFigures, rows}, floats), expected = at::empty({expect ? rows : 0, width}, floats), sums;
    std::vector<State> states;
    int64_t bytes = hidden.element_size();
    int64_t most = whole_tiles(std::clamp(expect ? kRowBytes / (4 * width) : kMostRows, kFewestRows, kMostRows)), wanted = divided(2 * at::get_num_threads(), slices);
    int64_t together = std::max(most, std::min(most * wanted, whole_tiles(kSumBytes / (4 * width * slices))));
    int64_t rounds = std::max<int64_t>(1, divided(rows, together)), round = std::max(tiles::kRows, whole_tiles(divided(rows, rounds)));
    int64_t each = whole_tiles(divided(round, std::max(divided(round, most), std::min(wanted, std::max<int64_t>(1, round / kFewestRows)))));
    for (int64_t first = 0; first < rows; first += round) {
        int64_t now = std::min(round, rows - first), parts = divided(now, each);
        if (expect && (!sums.defined() || sums.size(1) != now)) sums = at::empty({slices, now, width}, floats);
        states.assign(slices * now, {});
        Round h{{static_cast<const char*>(hidden.data_ptr()) + first * hidden.stride(0) * bytes, hidden.stride(0) * bytes, tiles::kUnit}, {static_cast<const char*>(head.data_ptr()), tiles::kUnit, head.stride(0) * bytes},
               bias ? added.data_ptr<float>() : nullptr, targets.data_ptr<int64_t>() + first, bytes == 2, now, width, entries, slices, expect ? sums.data_ptr<float>() : nullptr, states.data()};
        parallel(slices * parts, [&](int64_t task) {
            Part part{task % parts * each, 0, task / parts};
            part.rows = std::min(each, now - part.row);
            with_products_of(set, [&h, part](auto own) PA_INLINED { part_in<decltype(own)>(h, part); });
        });
        parallel_runs(now, 16, [&](int64_t begin, int64_t end) {
            for (int64_t m = begin; m < end; m++)
                join(h, m, figures.data_ptr<float>() + first + m, rows, expect ? expected.data_ptr<float>() + (first + m) * width : nullptr);
        });
    }
    return {figures, expected};
}

// In the blocks and slices of head_figures, of which each is copied, since its logits give way to their exponentials.
template <typename L, typename W>
PA_INLINE void logits_row(const Round& h, const W* logits, int64_t m) {
    float* own = own_logits();
    int64_t blocks = divided(h.entries, kTogether);
    for (int64_t slice = 0; slice < h.slices; slice++)
        for (int64_t block = slice * blocks / h.slices; block < (slice + 1) * blocks / h.slices; block++) {
            int64_t first = block * kTogether, count = std::min(kTogether, h.entries - first);
            for (int64_t k = 0; k < count; k++) own[k] = lanes::one(logits + first + k);
            take<L>(own, first, count, h.targets[m], h.states[slice * h.rows + m], nullptr, 0);
        }
}

Tensor logits_figures(const Tensor& logits, const Tensor& targets) {
    auto type = logits.scalar_type();
    TORCH_CHECK(logits.device().is_cpu() && logits.dim() == 2 && logits.size(1) > 0 && logits.is_contiguous() && (type == at::kFloat || type == at::kBFloat16), "logits_figures: contiguous (N, V) float32 or bfloat16 on the processor, not ",
                logits.sizes(), " ", type);
    Instructions set = set_of_products(type);
    TORCH_CHECK(set, "logits_figures: a processor with products of our own");
    int64_t rows = logits.size(0), entries = logits.size(1), slices = slices_of(entries);
    check(targets, rows, entries, "logits_figures");
    Tensor figures = at::empty({kFigures, rows}, logits.options().dtype(at::kFloat));
    std::vector<State> states(slices * rows);
    Round h{{}, {}, nullptr, targets.data_ptr<int64_t>(), false, rows, 0, entries, slices, nullptr, states.data()};
    parallel_runs(rows, std::max<int64_t>(1, (1 << 14) / entries), [&](int64_t begin, int64_t end) {
        for (int64_t m = begin; m < end; m++) {
            with_products_of(set, [&](auto own) PA_INLINED {
                using L = typename decltype(own)::Lanes;
                if (type == at::kFloat) logits_row<L>(h, logits.data_ptr<float>() + m * entries, m);
                else logits_row<L>(h, logits.data_ptr<c10::BFloat16>() + m * entries, m);
            });
            join(h, m, figures.data_ptr<float>() + m, rows, nullptr);
        }
    });
    return figures;
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) { m.def("head_figures(Tensor hidden, Tensor head, Tensor targets, bool expect, Tensor? bias=None) -> (Tensor, Tensor)"), m.def("logits_figures(Tensor logits, Tensor targets) -> Tensor"); }
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) { m.impl("head_figures", pa::head_figures), m.impl("logits_figures", pa::logits_figures); }
