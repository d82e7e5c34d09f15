// peftalign::decode_blocks: all blocks of a decoder for one new token of each sequence, in one call. A block is query, key and value
// products, cached attention, output product, gated products (SwiGLU), output product, with a residual around each half. RMS norms stand
// where it has them: before and behind each half, over query and key heads or all queries and all keys of a row. Results are rounded to
// the dtype where the operators one by one would round. Sums are fp32; a row does not depend on the rows beside it or on the number of
// threads. No gradients.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <cmath>
#include <limits>
#include <vector>

#include "decode_attention.h"
#include "few_rows.h"
#include "instructions.h"
#include "pool.h"
#include "swiglu_rows.h"

namespace pa {
namespace {

using at::Tensor;

// A block's tensors in the order in which they are passed; what a block does not have is undefined.
enum Slot { kNorm, kQ, kQBias, kK, kKBias, kV, kVBias, kQNorm, kKNorm, kO, kOBias, kNorm2, kGate, kGateBias, kUp, kUpBias, kDown, kDownBias, kEndNorm, kEndNorm2, kSlots };

template <typename W>
struct Matrix {
    const W *weight, *bias;
    int64_t outs, ins;
};

// once: the weight multiplies before anything is rounded.
template <typename W>
void normalised(const W* x, const W* weight, float eps, bool once, int64_t n, W* out) {
    with_instructions([=](auto set) PA_INLINED {
        typename decltype(set)::Lanes squares = {}, line;
        for (int64_t i = 0; i < n; i += lanes::N) {
            lanes::load_part(line, x + i, n - i);
            lanes::each([](auto& sum, const auto& a) PA_INLINED { sum += a * a; }, squares, line);
        }
        float inverse = 1 / std::sqrt(lanes::sum(squares) / static_cast<float>(n) + eps);
        typename decltype(set)::V v, w;
        for (int64_t i = 0; i < n; i += lanes::width<decltype(v)>()) {
            lanes::load_part(v, x + i, n - i), lanes::load_part(w, weight + i, n - i);
            v *= inverse;
            if (!once) lanes::round_to(v, out);
            v *= w;
            lanes::store_part(v, out + i, n - i);
        }
    });
}

// out = round(y + bias); bias may be null.
template <typename W>
void rounded(const float* y, const W* bias, int64_t n, W* out) {
    with_instructions([=](auto set) PA_INLINED {
        typename decltype(set)::V v, b;
        for (int64_t i = 0; i < n; i += lanes::width<decltype(v)>()) {
            lanes::load_part(v, y + i, n - i);
            if (bias) lanes::load_part(b, bias + i, n - i), v += b;
            lanes::store_part(v, out + i, n - i);
        }
    });
}

// x = round(x + round(y + bias)).
template <typename W>
void add(const float* y, const W* bias, int64_t n, W* x) {
    with_instructions([=](auto set) PA_INLINED {
        typename decltype(set)::V v, b;
        for (int64_t i = 0; i < n; i += lanes::width<decltype(v)>()) {
            lanes::load_part(v, y + i, n - i);
            if (bias) lanes::load_part(b, bias + i, n - i), v += b;
            lanes::round_to(v, x);
            lanes::load_part(b, x + i, n - i);
            v += b;
            lanes::store_part(v, x + i, n - i);
        }
    });
}

// x = round(x + y).
template <typename W>
void add(const W* y, int64_t n, W* x) {
    with_instructions([=](auto set) PA_INLINED {
        typename decltype(set)::V v, b;
        for (int64_t i = 0; i < n; i += lanes::width<decltype(v)>()) {
            lanes::load_part(v, y + i, n - i), lanes::load_part(b, x + i, n - i);
            v += b;
            lanes::store_part(v, x + i, n - i);
        }
    });
}

// The norms' epsilon, and whether their weights multiply before anything is rounded.
struct Norms {
    float eps;
    bool once;
};

// One call's rows and buffers.
template <typename W>
class Decoder {
public:
    Decoder(AttentionStep step, Norms norms, int64_t hidden, int64_t inner)
        : step_(step), norms_(norms), rows_(step.rows), queries_(step.heads * step.width), keys_(step.groups * step.width) {
        int64_t widest = std::max({hidden, inner, queries_});
        normal_.resize(rows_ * widest), packed_.resize(rows_ * widest), sums_.resize(rows_ * std::max(2 * inner, std::max(hidden, queries_ + 2 * keys_)));
        q_.resize(rows_ * queries_), k_.resize(rows_ * keys_), v_.resize(rows_ * keys_), mixed_.resize(rows_ * widest), gate_.resize(rows_ * inner), up_.resize(rows_ * inner);
    }

    // turned: of how many numbers of a head the cosines are; 0 = the block has no positions.
    void block(const at::ArrayRef<c10::optional<Tensor>>& own, W* keys, W* values, int64_t window, int64_t turned, const float* cos, const float* sin, W* x, int64_t hidden) {
        auto vector = [&](Slot slot) { return own[slot].has_value() && own[slot]->defined() ? own[slot]->template data_ptr<W>() : nullptr; };
        auto matrix = [&](Slot slot) { return Matrix<W>{vector(slot), vector(static_cast<Slot>(slot + 1)), own[slot]->size(0), own[slot]->size(1)}; };
        normalise(x, vector(kNorm), hidden);
        W* parts[] = {q_.data(), k_.data(), v_.data()};
        Matrix<W> inputs[] = {matrix(kQ), matrix(kK), matrix(kV)};
        products(inputs, 3, [&](int which, int64_t row, int64_t first, int64_t n, const float* y) {
            const W* bias = inputs[which].bias;
            rounded(y, bias ? bias + first : nullptr, n, parts[which] + row * inputs[which].outs + first);
        });
        norm_heads(q_.data(), own[kQNorm], queries_), norm_heads(k_.data(), own[kKNorm], keys_);
        step_.window = window, step_.turned = turned, step_.cos = cos, step_.sin = sin;
        attend_step(step_, q_.data(), k_.data(), v_.data(), keys, values, mixed_.data());
        residual(matrix(kO), vector(kEndNorm), x);
        normalise(x, vector(kNorm2), hidden);
        feed_forward(matrix(kGate), matrix(kUp));
        residual(matrix(kDown), vector(kEndNorm2), x);
    }

private:
    void normalise(const W* x, const W* weight, int64_t n) {
        if (weight) rows_normalised(x, weight, rows_, n, normal_.data());
        few_rows::pack(weight ? normal_.data() : x, rows_, n, packed_.data());
    }

    void rows_normalised(const W* x, const W* weight, int64_t count, int64_t n, W* out) {
        for (int64_t row = 0; row < count; row++) normalised(x + row * n, weight, norms_.eps, norms_.once, n, out + row * n);
    }

    // Over as many numbers at once as the norm has weights.
    void norm_heads(W* x, const c10::optional<Tensor>& norm, int64_t each) {
        if (!norm.has_value() || !norm->defined()) return;
        int64_t n = norm->numel();
        rows_normalised(x, norm->template data_ptr<W>(), rows_ * each / n, n, x);
    }

    // Products of the packed rows with up to three matrices of one width; `done` gets each finished run of outputs of a row.
    template <typename F>
    void products(const Matrix<W>* matrices, int count, F&& done) {
        int64_t ins = matrices[0].ins, wide = 0, outs[3], before[3];
        for (int m = 0; m < count; m++) outs[m] = matrices[m].outs, before[m] = wide, wide += outs[m];
        std::vector<few_rows::Run> runs = few_rows::runs<W>(outs, count, ins, at::get_num_threads());
        parallel(static_cast<int64_t>(runs.size()), [&](int64_t task) {
            auto [which, first, end] = runs[task];
            float* y = sums_.data() + before[which];
            few_rows::outputs(packed_.data(), rows_, ins, matrices[which].weight, first, end, y, wide);
            for (int64_t row = 0; row < rows_; row++) done(which, row, first, end - first, y + row * wide + first);
        });
    }

    // x += mixed_ m', or its norm.
    void residual(const Matrix<W>& m, const W* norm, W* x) {
        few_rows::pack(mixed_.data(), rows_, m.ins, packed_.data());
        if (norm) {
            W* y = normal_.data();
            products(&m, 1, [&](int, int64_t row, int64_t first, int64_t n, const float* sums) { rounded(sums, m.bias ? m.bias + first : nullptr, n, y + row * m.outs + first); });
            rows_normalised(y, norm, rows_, m.outs, y);
            return add(y, rows_ * m.outs, x);
        }
        products(&m, 1, [&](int, int64_t row, int64_t first, int64_t n, const float* y) { add(y, m.bias ? m.bias + first : nullptr, n, x + row * m.outs + first); });
    }

    // Gate and values of the same outputs in one task, and their product into mixed_.
    void feed_forward(const Matrix<W>& gate, const Matrix<W>& up) {
        int64_t inner = gate.outs;
        std::vector<few_rows::Run> runs = few_rows::runs<W>(&inner, 1, gate.ins, at::get_num_threads(), 2);
        parallel(static_cast<int64_t>(runs.size()), [&](int64_t task) {
            int64_t first = runs[task].first, end = runs[task].end, n = end - first;
            for (const Matrix<W>* m : {&gate, &up}) {
                float* y = sums_.data() + (m == &up ? rows_ * inner : 0);
                W* out = m == &up ? up_.data() : gate_.data();
                few_rows::outputs(packed_.data(), rows_, m->ins, m->weight, first, end, y, inner);
                for (int64_t row = 0; row < rows_; row++) rounded(y + row * inner + first, m->bias ? m->bias + first : nullptr, n, out + row * inner + first);
            }
            for (int64_t row = 0; row < rows_; row++) {
                int64_t at = row * inner + first;
                const W *pg = gate_.data() + at, *pu = up_.data() + at;
                W* to = mixed_.data() + at;
                with_instructions([=](auto set) PA_INLINED { swiglu::forward<typename decltype(set)::V>(pg, pu, n, to); });
            }
        });
    }

    AttentionStep step_;
    Norms norms_;
    int64_t rows_, queries_, keys_;
    std::vector<W> normal_, q_, k_, v_, mixed_, gate_, up_;
    std::vector<float> packed_, sums_;
};

void check_tensor(const Tensor& t, const Tensor& x, at::IntArrayRef shape, int64_t at) {
    TORCH_CHECK(t.device().is_cpu() && t.scalar_type() == x.scalar_type() && t.is_contiguous() && t.sizes() == shape,
                "decode_blocks: tensor ", at, " is ", t.scalar_type(), " ", t.sizes(), "; a contiguous ", x.scalar_type(), " of ", shape, " on the processor belongs there");
}

// Shapes of all weights; `inner` is the feed-forward width.
void check(const Tensor& x, const c10::List<c10::optional<Tensor>>& weights, const c10::List<Tensor>& caches, int64_t blocks, int64_t heads, int64_t groups, int64_t width, int64_t inner) {
    TORCH_CHECK(x.dim() == 2 && x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16), "decode_blocks: x is (rows, d), float32 or bfloat16, on the processor");
    TORCH_CHECK(heads > 0 && groups > 0 && heads % groups == 0 && width > 0 && inner > 0, "decode_blocks: ", heads, " query heads over ", groups, " of width ", width, ", inner width ", inner);
    TORCH_CHECK(static_cast<int64_t>(weights.size()) == blocks * kSlots && static_cast<int64_t>(caches.size()) == blocks * 2, "decode_blocks: ", weights.size(), " weights and ", caches.size(), " caches for ", blocks, " blocks");
    int64_t d = x.size(1), q = heads * width, k = groups * width;
    std::vector<std::vector<int64_t>> shapes(kSlots);
    shapes[kNorm] = shapes[kNorm2] = shapes[kEndNorm] = shapes[kEndNorm2] = shapes[kOBias] = shapes[kDownBias] = {d};
    shapes[kQ] = {q, d}, shapes[kQBias] = {q}, shapes[kK] = shapes[kV] = {k, d}, shapes[kKBias] = shapes[kVBias] = {k}, shapes[kQNorm] = shapes[kKNorm] = {width};
    shapes[kO] = {d, q}, shapes[kGate] = shapes[kUp] = {inner, d}, shapes[kGateBias] = shapes[kUpBias] = {inner}, shapes[kDown] = {d, inner};
    for (int64_t at = 0; at < blocks * kSlots; at++) {
        c10::optional<Tensor> t = weights.get(at);
        Slot slot = static_cast<Slot>(at % kSlots);
        bool needed = slot == kQ || slot == kK || slot == kV || slot == kO || slot == kGate || slot == kUp || slot == kDown;
        bool there = t.has_value() && t->defined();
        TORCH_CHECK(there || !needed, "decode_blocks: weight ", at, " is missing");
        bool wide = there && (slot == kQNorm || slot == kKNorm) && t->dim() == 1 && t->size(0) != width;
        if (there) check_tensor(*t, x, wide ? shapes[slot == kQNorm ? kQBias : kKBias] : shapes[slot], at);
    }
    for (const Tensor& cache : caches) check_tensor(cache, x, {cache.size(0), groups, width}, -1);
}

void check_past(const Tensor& places, const Tensor& lengths, int64_t rows, const c10::List<Tensor>& caches) {
    TORCH_CHECK(places.dim() == 2 && places.size(0) == rows && places.scalar_type() == at::kInt && places.is_contiguous(), "decode_blocks: places are (rows, L) int32");
    TORCH_CHECK(lengths.dim() == 1 && lengths.size(0) == rows && lengths.scalar_type() == at::kLong && lengths.is_contiguous(), "decode_blocks: lengths are (rows) int64");
    int64_t end = std::numeric_limits<int64_t>::max();
    for (const Tensor& cache : caches) end = std::min(end, cache.size(0));
    for (int64_t row = 0; row < rows; row++) {
        int64_t n = lengths.data_ptr<int64_t>()[row];
        TORCH_CHECK(n >= 1 && n <= places.size(1), "decode_blocks: a length of ", n, " in ", places.size(1), " places");
        const int32_t* own = places.data_ptr<int32_t>() + row * places.size(1);
        for (int64_t t = 0; t < n; t++) TORCH_CHECK(own[t] >= 0 && own[t] < end, "decode_blocks: place ", own[t], " of a cache of ", end);
    }
}

// Cosines and sines in fp32.
struct Turn {
    Tensor cos, sin;
};

std::vector<Turn> turns_of(const c10::List<Tensor>& cos, const c10::List<Tensor>& sin, int64_t rows, int64_t width) {
    TORCH_CHECK(cos.size() == sin.size(), "decode_blocks: ", cos.size(), " cosines and ", sin.size(), " sines");
    std::vector<Turn> all;
    for (size_t k = 0; k < cos.size(); k++) {
        Turn turn{cos.get(k).to(at::kFloat).contiguous(), sin.get(k).to(at::kFloat).contiguous()};
        int64_t turned = turn.cos.size(-1);
        TORCH_CHECK(turn.cos.numel() == rows * turned && turn.sin.numel() * 2 == turn.cos.numel() && turned <= width, "decode_blocks: cosines ", turn.cos.sizes(), " and sines ", turn.sin.sizes(), " for ", rows,
                    " rows of width ", width);
        all.push_back(turn);
    }
    return all;
}

// shape: heads, key heads, head width, inner width. scales: score factor, score cap or 0, epsilon of the norms, and 1 where their weights
// multiply before anything is rounded. windows: per block, 0 = all. turns: per block, which of the cosines are its own, -1 = none.
Tensor decode_blocks(const Tensor& x, const c10::List<c10::optional<Tensor>>& weights, const c10::List<Tensor>& caches, const Tensor& places, const Tensor& lengths,
                     const c10::List<Tensor>& cos, const c10::List<Tensor>& sin, at::IntArrayRef shape, at::ArrayRef<double> scales, at::IntArrayRef windows, at::IntArrayRef turns) {
    TORCH_CHECK(shape.size() == 4 && scales.size() == 4, "decode_blocks: 4 sizes and 4 factors, not ", shape.size(), " and ", scales.size());
    int64_t blocks = static_cast<int64_t>(windows.size());
    TORCH_CHECK(turns.size() == windows.size(), "decode_blocks: ", turns.size(), " turns for ", blocks, " blocks");
    for (int64_t turn : turns) TORCH_CHECK(turn >= -1 && turn < static_cast<int64_t>(cos.size()), "decode_blocks: turn ", turn, " of ", cos.size());
    check(x, weights, caches, blocks, shape[0], shape[1], shape[2], shape[3]);
    check_past(places, lengths, x.size(0), caches);
    std::vector<Turn> turned = turns_of(cos, sin, x.size(0), shape[2]);
    Tensor out = x.clone(at::MemoryFormat::Contiguous);
    AttentionStep s{x.size(0), shape[0], shape[1], shape[2], 0, places.size(1), 0, static_cast<float>(scales[0]), static_cast<float>(scales[1]), nullptr, nullptr,
                    places.data_ptr<int32_t>(), lengths.data_ptr<int64_t>()};
    std::vector<c10::optional<Tensor>> all = weights.vec();
    auto with = [&](auto one) {
        using W = decltype(one);
        Decoder<W> decoder(s, {static_cast<float>(scales[2]), scales[3] != 0}, x.size(1), shape[3]);
        for (int64_t b = 0; b < blocks; b++) {
            const Turn* turn = turns[b] < 0 ? nullptr : &turned[turns[b]];
            decoder.block({all.data() + b * kSlots, kSlots}, caches.get(2 * b).template data_ptr<W>(), caches.get(2 * b + 1).template data_ptr<W>(), windows[b], turn ? turn->cos.size(-1) : 0,
                          turn ? turn->cos.data_ptr<float>() : nullptr, turn ? turn->sin.data_ptr<float>() : nullptr, out.data_ptr<W>(), x.size(1));
        }
    };
    if (x.scalar_type() == at::kFloat) with(float());
    else with(c10::BFloat16());
    return out;
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) {
    m.def("decode_blocks(Tensor x, Tensor?[] weights, Tensor[] caches, Tensor places, Tensor lengths, Tensor[] cos, Tensor[] sin, int[] shape, float[] scales, int[] windows, int[] turns) -> Tensor");
}
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) { m.impl("decode_blocks", pa::decode_blocks); }
