// peftalign::decode_attention: one new token per sequence attends to the sequence's cached keys and values. Turns query and key
// (rotary positions, half-split layout), stores key and value in the cache, and mixes the values that the token sees. A
// sequence is a list of cache places, so sequences that share a past share its places. Softmax in fp32; float and bfloat16 on
// the processor. No gradients.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <cmath>
#include <limits>
#include <vector>

#include "lanes.h"
#include "pool.h"

namespace pa {
namespace {

using at::Tensor;

// The shapes of one call: R sequences, H query heads over G key heads of width D, places (R, L).
struct Step {
    int64_t rows, heads, groups, width, turned, longest, window;
    float scale, cap;
    const float *cos, *sin;  // (R, turned), (R, turned / 2); null without rotary positions
    const int32_t* places;
    const int64_t* lengths;
    int64_t first(int64_t row) const { return window > 0 ? std::max<int64_t>(0, lengths[row] - window) : 0; }
    int64_t place(int64_t row, int64_t at) const { return places[row * longest + at]; }
};

template <typename W>
PA_INLINE float dot(const float* a, const W* b, int64_t n) {
    lanes::V sum = {}, va, vb;
    int64_t i = 0;
    for (; i + lanes::N <= n; i += lanes::N) {
        lanes::load(va, a + i), lanes::load(vb, b + i);
        sum += va * vb;
    }
    float total = lanes::sum(sum);
    for (; i < n; i++) total += a[i] * lanes::one(b + i);
    return total;
}

template <typename W>
PA_INLINE void add_scaled(float* out, const W* v, float factor, int64_t n) {
    lanes::V vo, vv;
    int64_t i = 0;
    for (; i + lanes::N <= n; i += lanes::N) {
        lanes::load(vo, out + i), lanes::load(vv, v + i);
        vo += vv * factor;
        lanes::store(vo, out + i);
    }
    for (; i < n; i++) out[i] += lanes::one(v + i) * factor;
}

// exp on a whole vector, for arguments of at most 0: 2^n times a polynomial of degree 6 on [-ln 2 / 2, ln 2 / 2], 2 ulp.
PA_INLINE void exponential(lanes::V& x) {
    typedef int32_t I __attribute__((vector_size(64)));
    lanes::V low = x < -87.0f ? lanes::V{} - 87.0f : x;
    I n = __builtin_convertvector(low * 1.44269504f - 0.5f, I);  // towards 0, so to the nearest for arguments below 0
    lanes::V whole = __builtin_convertvector(n, lanes::V);
    lanes::V r = low - whole * 0.693359375f + whole * 2.12194440e-4f;
    lanes::V p = r * 1.98756915e-4f + 1.39819994e-3f;
    p = p * r + 8.33345191e-3f;
    p = p * r + 4.16657962e-2f;
    p = p * r + 1.66666655e-1f;
    p = p * r + 5.00000012e-1f;
    p = p * r * r + r + 1.0f;
    I bits = (n + 127) << 23;
    lanes::V power;
    std::memcpy(&power, &bits, sizeof power);
    x = x < -87.0f ? lanes::V{} : p * power;
}

// In place; the buffer reaches to a whole vector behind the last score.
PA_INLINE void softmax(float* scores, int64_t n) {
    float best = -std::numeric_limits<float>::infinity();
    for (int64_t t = 0; t < n; t++) best = std::max(best, scores[t]);
    for (int64_t t = n; t % lanes::N != 0; t++) scores[t] = -std::numeric_limits<float>::infinity();
    lanes::V total = {}, v;
    for (int64_t t = 0; t < n; t += lanes::N) {
        lanes::load(v, scores + t);
        v -= best;
        exponential(v);
        total += v;
        lanes::store(v, scores + t);
    }
    float inverse = 1 / lanes::sum(total);
    for (int64_t t = 0; t < n; t++) scores[t] *= inverse;
}

// The attention of query heads q (r, D) of one sequence that share one key head.
template <typename W>
PA_INLINE void attend(const Step& s, int64_t row, int64_t group, const float* q, const W* keys, const W* values, float* scores, float* out) {
    int64_t share = s.heads / s.groups, first = s.first(row), n = s.lengths[row] - first, stride = (n + lanes::N) / lanes::N * lanes::N;
    for (int64_t t = 0; t < n; t++) {
        const W* key = keys + (s.place(row, first + t) * s.groups + group) * s.width;
        for (int64_t h = 0; h < share; h++) scores[h * stride + t] = dot(q + h * s.width, key, s.width) * s.scale;
    }
    for (int64_t h = 0; h < share; h++) {
        float* own = scores + h * stride;
        if (s.cap > 0)
            for (int64_t t = 0; t < n; t++) own[t] = s.cap * std::tanh(own[t] / s.cap);
        softmax(own, n);
    }
    std::memset(out, 0, sizeof(float) * share * s.width);
    for (int64_t t = 0; t < n; t++) {
        const W* value = values + (s.place(row, first + t) * s.groups + group) * s.width;
        for (int64_t h = 0; h < share; h++) add_scaled(out + h * s.width, value, scores[h * stride + t], s.width);
    }
}

PA_CLONES void attend_of(const Step& s, int64_t row, int64_t group, const float* q, const float* keys, const float* values, float* scores, float* out) {
    attend(s, row, group, q, keys, values, scores, out);
}

PA_CLONES void attend_of(const Step& s, int64_t row, int64_t group, const float* q, const c10::BFloat16* keys, const c10::BFloat16* values, float* scores, float* out) {
    attend(s, row, group, q, keys, values, scores, out);
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
void run(const Step& s, const Tensor& q, const Tensor& k, const Tensor& v, Tensor& keys, Tensor& values, Tensor& out) {
    const W *pq = q.data_ptr<W>(), *pk = k.data_ptr<W>(), *pv = v.data_ptr<W>();
    W *pkeys = keys.data_ptr<W>(), *pvalues = values.data_ptr<W>(), *pout = out.data_ptr<W>();
    int64_t share = s.heads / s.groups;
    parallel(s.rows * s.groups, [&](int64_t task) {
        int64_t row = task / s.groups, group = task % s.groups;
        int64_t own = (s.place(row, s.lengths[row] - 1) * s.groups + group) * s.width, head = row * s.heads + group * share;
        turn(s, row, pk + task * s.width, pkeys + own);
        std::memcpy(pvalues + own, pv + task * s.width, sizeof(W) * s.width);
        static thread_local std::vector<float> buffer;
        int64_t query = share * s.width, stride = (s.lengths[row] + lanes::N) / lanes::N * lanes::N;
        buffer.resize(std::max<size_t>(buffer.size(), 2 * query + share * stride + s.width));
        float *wide = buffer.data(), *mixed = wide + query, *scores = mixed + query;
        std::vector<W> turned(s.width);
        for (int64_t h = 0; h < share; h++) {
            turn(s, row, pq + (head + h) * s.width, turned.data());
            for (int64_t j = 0; j < s.width; j++) wide[h * s.width + j] = turned[j];
        }
        attend_of(s, row, group, wide, pkeys, pvalues, scores, mixed);
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
    TORCH_CHECK(k.sizes() == v.sizes() && k.size(0) == q.size(0) && k.size(1) == keys.size(1) && q.size(1) % k.size(1) == 0, "decode_attention: q ", q.sizes(), " does not fit k ", k.sizes(), ", v ", v.sizes(), " and cache ", keys.sizes());
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
        c = cos->to(at::kFloat).contiguous(), z = sin->to(at::kFloat).contiguous();
        s.turned = c.size(-1), s.cos = c.data_ptr<float>(), s.sin = z.data_ptr<float>();
        TORCH_CHECK(c.numel() == s.rows * s.turned && z.numel() * 2 == c.numel() && s.turned <= s.width, "decode_attention: cosines ", c.sizes(), " and sines ", z.sizes(), " for ", s.rows, " rows of width ", s.width);
    }
    Tensor cq = q.contiguous(), ck = k.contiguous(), cv = v.contiguous();
    if (q.scalar_type() == at::kFloat) run<float>(s, cq, ck, cv, keys, values, out);
    else run<c10::BFloat16>(s, cq, ck, cv, keys, values, out);
    return out;
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) {
    m.def("decode_attention(Tensor q, Tensor k, Tensor v, Tensor(a!) keys, Tensor(b!) values, Tensor places, Tensor lengths, Tensor? cos, Tensor? sin, float scale, float cap, int window) -> Tensor");
}
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) { m.impl("decode_attention", pa::decode_attention); }
