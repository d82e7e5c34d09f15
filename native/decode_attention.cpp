// peftalign::decode_attention: one new token per sequence attends to the sequence's cached keys and values. Turns query and key
// (rotary positions, half-split layout), stores key and value in the cache, and mixes the values that the token sees. A
// sequence is a list of cache places, so sequences that share a past share its places. Softmax in fp32; float and bfloat16 on
// the processor. No gradients.
#include "decode_attention.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <cmath>
#include <limits>
#include <vector>

#include "instructions.h"
#include "pool.h"

namespace pa {
namespace {

using at::Tensor;

using Step = AttentionStep;
constexpr int64_t kKeys = 4;  // keys that are scored together

// The products of a with `Count` vectors; each is summed in one order, alone or with others.
template <class Set, int Count, typename W>
PA_INLINE void dots(const float* a, const W* const* b, int64_t n, float* out) {
    typename Set::Lanes sums[Count] = {}, va, vb;
    int64_t i = 0;
    for (; i + lanes::N <= n; i += lanes::N) {
        lanes::load(va, a + i);
        for (int c = 0; c < Count; c++) {
            lanes::load(vb, b[c] + i);
            lanes::each([](auto& sum, const auto& x, const auto& y) PA_INLINED { sum += x * y; }, sums[c], va, vb);
        }
    }
    if constexpr (Count == kKeys) {
        lanes::sum4(sums[0], sums[1], sums[2], sums[3], out);
    } else {
        for (int c = 0; c < Count; c++) out[c] = lanes::sum(sums[c]);
    }
    for (; i < n; i++)
        for (int c = 0; c < Count; c++) out[c] += a[i] * lanes::one(b[c] + i);
}

// In place; the buffer reaches to a whole line behind the last score.
template <class Set>
PA_INLINE void softmax(float* scores, int64_t n) {
    float best = -std::numeric_limits<float>::infinity();
    for (int64_t t = 0; t < n; t++) best = std::max(best, scores[t]);
    for (int64_t t = n; t % lanes::N != 0; t++) scores[t] = -std::numeric_limits<float>::infinity();
    typename Set::Lanes total = {}, v;
    for (int64_t t = 0; t < n; t += lanes::N) {
        lanes::load(v, scores + t);
        lanes::each(
            [best](auto& x, auto& sum) PA_INLINED {
                x -= best;
                lanes::exponential(x);
                sum += x;
            },
            v, total);
        lanes::store(v, scores + t);
    }
    float inverse = 1 / lanes::sum(total);
    for (int64_t t = 0; t < n; t++) scores[t] *= inverse;
}

// Sequences' cached vectors of one key head.
template <typename W>
struct Past {
    const Step& s;
    int64_t row, group, first;
    const W* base;
    PA_INLINE const W* at(int64_t t) const { return base + (s.place(row, first + t) * s.groups + group) * s.width; }
};

template <class Set, typename W>
PA_INLINE void score(const Past<W>& keys, int64_t n, const float* q, int64_t share, int64_t stride, float* scores) {
    const Step& s = keys.s;
    int64_t t = 0;
    for (; t + kKeys <= n; t += kKeys) {
        const W* four[kKeys] = {keys.at(t), keys.at(t + 1), keys.at(t + 2), keys.at(t + 3)};
        for (int64_t h = 0; h < share; h++) dots<Set, kKeys>(q + h * s.width, four, s.width, scores + h * stride + t);
    }
    for (; t < n; t++) {
        const W* key = keys.at(t);
        for (int64_t h = 0; h < share; h++) dots<Set, 1>(q + h * s.width, &key, s.width, scores + h * stride + t);
    }
    for (int64_t h = 0; h < share; h++)
        for (t = 0; t < n; t++) scores[h * stride + t] *= s.scale;
}

// The values' dimensions from d on, Count vectors of them, weighed by the scores.
template <typename V, int Count, typename W>
PA_INLINE void mix(const Past<W>& values, int64_t n, const float* scores, int64_t d, float* out) {
    constexpr int64_t N = lanes::width<V>();
    V sums[Count] = {}, v;
    for (int64_t t = 0; t < n; t++) {
        const W* value = values.at(t) + d;
        for (int c = 0; c < Count; c++) lanes::load(v, value + c * N), sums[c] += v * scores[t];
    }
    for (int c = 0; c < Count; c++) lanes::store(sums[c], out + d + c * N);
}

// The attention of query heads q (r, D) of one sequence that share one key head.
template <class Set, typename W>
PA_INLINE void attend(const Step& s, int64_t row, int64_t group, const float* q, const W* keys, const W* values, float* scores, float* out) {
    int64_t share = s.heads / s.groups, first = s.first(row), n = s.lengths[row] - first, stride = (n + lanes::N) / lanes::N * lanes::N;
    typedef typename Set::V V;
    constexpr int64_t N = lanes::width<V>();
    constexpr int kMixed = N == 16 ? 4 : 8;  // vectors whose sums fit into registers
    score<Set>(Past<W>{s, row, group, first, keys}, n, q, share, stride, scores);
    Past<W> past{s, row, group, first, values};
    for (int64_t h = 0; h < share; h++) {
        float *own = scores + h * stride, *to = out + h * s.width;
        if (s.cap > 0)
            for (int64_t t = 0; t < n; t++) own[t] = s.cap * std::tanh(own[t] / s.cap);
        softmax<Set>(own, n);
        int64_t d = 0;
        for (; d + kMixed * N <= s.width; d += kMixed * N) mix<V, kMixed>(past, n, own, d, to);
        for (; d + N <= s.width; d += N) mix<V, 1>(past, n, own, d, to);
        for (; d < s.width; d++) {
            to[d] = 0;
            for (int64_t t = 0; t < n; t++) to[d] += own[t] * lanes::one(past.at(t) + d);
        }
    }
}

// x (D) turned by the row's angles, rounded to the dtype as the composed form is.
template <typename W>
void turn(const Step& s, int64_t row, const W* x, W* out) {
    int64_t half = s.cos ? s.turned / 2 : 0;
    for (int64_t j = 0; j < half; j++) {
        float c = s.cos[row * s.turned + j], z = s.sin[row * half + j], a = x[j], b = x[j + half];
        out[j] = static_cast<W>(a * c - b * z);
        out[j + half] = static_cast<W>(b * c + a * z);
    }
    for (int64_t j = 2 * half; j < s.width; j++) out[j] = x[j];
}

template <typename W>
void run(const Step& s, const W* pq, const W* pk, const W* pv, W* pkeys, W* pvalues, W* pout) {
    int64_t share = s.heads / s.groups;
    // Before any row attends: a row may see another that is new in this call.
    for (int64_t task = 0; task < s.rows * s.groups; task++) {
        int64_t row = task / s.groups, own = (s.place(row, s.lengths[row] - 1) * s.groups + task % s.groups) * s.width;
        turn(s, row, pk + task * s.width, pkeys + own);
        std::memcpy(pvalues + own, pv + task * s.width, sizeof(W) * s.width);
    }
    parallel(s.rows * s.groups, [&](int64_t task) {
        int64_t row = task / s.groups, group = task % s.groups, head = row * s.heads + group * share;
        static thread_local std::vector<float> buffer;
        int64_t query = share * s.width, stride = (s.lengths[row] + lanes::N) / lanes::N * lanes::N;
        buffer.resize(std::max<size_t>(buffer.size(), 2 * query + share * stride + s.width));
        float *wide = buffer.data(), *mixed = wide + query, *scores = mixed + query;
        std::vector<W> turned(s.width);
        for (int64_t h = 0; h < share; h++) {
            turn(s, row, pq + (head + h) * s.width, turned.data());
            for (int64_t j = 0; j < s.width; j++) wide[h * s.width + j] = turned[j];
        }
        with_instructions([=, &s](auto set) PA_INLINED { attend<decltype(set)>(s, row, group, wide, pkeys, pvalues, scores, mixed); });
        for (int64_t j = 0; j < query; j++) pout[head * s.width + j] = static_cast<W>(mixed[j]);
    });
}

void check(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& keys, const Tensor& values, const Tensor& places, const Tensor& lengths) {
    auto type = q.scalar_type();
    TORCH_CHECK(type == at::kFloat || type == at::kBFloat16, "decode_attention: float32 or bfloat16, not ", type);
    for (const Tensor* t : {&q, &k, &v, &keys, &values}) {
        TORCH_CHECK(t->device().is_cpu() && t->dim() == 3 && t->scalar_type() == type, "decode_attention: all parts are (_, heads, D) of one dtype on the processor");
        TORCH_CHECK(t->size(2) == q.size(2), "decode_attention: heads of widths ", t->size(2), " and ", q.size(2));
    }
    TORCH_CHECK(keys.is_contiguous() && values.is_contiguous() && keys.sizes() == values.sizes(), "decode_attention: the cache's two parts are contiguous and of one shape");
    TORCH_CHECK(k.sizes() == v.sizes() && k.size(0) == q.size(0) && k.size(1) == keys.size(1) && k.size(1) > 0 && q.size(1) % k.size(1) == 0, "decode_attention: q ", q.sizes(), " does not fit k ", k.sizes(), ", v ", v.sizes(), " and cache ", keys.sizes());
    TORCH_CHECK(places.dim() == 2 && places.size(0) == q.size(0) && places.scalar_type() == at::kInt && places.is_contiguous(), "decode_attention: places are (rows, L) int32");
    TORCH_CHECK(lengths.dim() == 1 && lengths.size(0) == q.size(0) && lengths.scalar_type() == at::kLong && lengths.is_contiguous(), "decode_attention: lengths are (rows) int64");
    for (int64_t row = 0; row < q.size(0); row++) {
        int64_t n = lengths.data_ptr<int64_t>()[row];
        TORCH_CHECK(n >= 1 && n <= places.size(1), "decode_attention: a length of ", n, " in ", places.size(1), " places");
        for (int64_t t = 0; t < n; t++) {
            int32_t place = places.data_ptr<int32_t>()[row * places.size(1) + t];
            TORCH_CHECK(place >= 0 && place < keys.size(0), "decode_attention: place ", place, " of a cache of ", keys.size(0));
        }
    }
}

Tensor decode_attention(const Tensor& q, const Tensor& k, const Tensor& v, Tensor keys, Tensor values, const Tensor& places, const Tensor& lengths,
                        const c10::optional<Tensor>& cos, const c10::optional<Tensor>& sin, double scale, double cap, int64_t window) {
    check(q, k, v, keys, values, places, lengths);
    Tensor c, z, out = at::empty(q.sizes(), q.options());
    Step s{q.size(0), q.size(1), k.size(1), q.size(2), 0, places.size(1), window, static_cast<float>(scale), static_cast<float>(cap), nullptr, nullptr,
           places.data_ptr<int32_t>(), lengths.data_ptr<int64_t>()};
    if (cos.has_value() && cos->defined()) {
        TORCH_CHECK(sin.has_value() && sin->defined(), "decode_attention: cosines without sines");
        c = cos->to(at::kFloat).contiguous(), z = sin->to(at::kFloat).contiguous();
        s.turned = c.size(-1), s.cos = c.data_ptr<float>(), s.sin = z.data_ptr<float>();
        TORCH_CHECK(c.numel() == s.rows * s.turned && z.numel() * 2 == c.numel() && s.turned <= s.width, "decode_attention: cosines ", c.sizes(), " and sines ", z.sizes(), " for ", s.rows, " rows of width ", s.width);
    }
    Tensor cq = q.contiguous(), ck = k.contiguous(), cv = v.contiguous();
    auto with = [&](auto one) {
        using W = decltype(one);
        run(s, cq.data_ptr<W>(), ck.data_ptr<W>(), cv.data_ptr<W>(), keys.data_ptr<W>(), values.data_ptr<W>(), out.data_ptr<W>());
    };
    if (q.scalar_type() == at::kFloat) with(float());
    else with(c10::BFloat16());
    return out;
}

}  // namespace

void attend_step(const AttentionStep& s, const float* q, const float* k, const float* v, float* keys, float* values, float* out) { run(s, q, k, v, keys, values, out); }

void attend_step(const AttentionStep& s, const c10::BFloat16* q, const c10::BFloat16* k, const c10::BFloat16* v, c10::BFloat16* keys, c10::BFloat16* values, c10::BFloat16* out) {
    run(s, q, k, v, keys, values, out);
}

}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) {
    m.def("decode_attention(Tensor q, Tensor k, Tensor v, Tensor(a!) keys, Tensor(b!) values, Tensor places, Tensor lengths, Tensor? cos, Tensor? sin, float scale, float cap, int window) -> Tensor");
}
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) { m.impl("decode_attention", pa::decode_attention); }
