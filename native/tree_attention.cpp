// peftalign::tree_attention(q, k, v, cos, sin, spans, segments, scale) and its gradient: attention of packed groups in which a row sees
// two runs of its group's rows (its prompt's, its own branch's). Rotary positions are turned on the way in and back on the way
// out; scores that no row of a block sees are not computed, and the backward pass computes those it needs again from the
// rows' logarithms of sums, so nothing as large as the scores is kept. fp32 inside; float32 and bfloat16 on the processor.
// A task is one group of rows and one key head, so that results depend neither on other groups nor on the number of threads.
// Source: Dao et al. 2022 (FlashAttention) for the recomputation.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "pool.h"
#include "small_products.h"

namespace pa {
namespace {

using at::Tensor;
using small::Left;
constexpr int64_t kBlock = 48;  // query rows that are computed together

struct Shape {
    int64_t heads, groups, width, turned;  // turned: dimensions that turn
    const float *cos, *sin;                // (R, turned), (R, turned / 2)
    const int32_t* spans;                  // (R, 4) first and end of two runs, counted from the group's first row
    float scale;
    int64_t wide() const { return small::whole(width, lanes::N); }
};

template <typename W>
struct Tensors {
    const W *q, *k, *v, *out, *grad;  // (R, heads or groups, D)
    W *to, *dq, *dk, *dv;
    float* sums;  // (R, heads) log of the sum of exponentials
};

// One row's D numbers as fp32, turned by its angles and rounded to the dtype as the composed form is; direction -1 turns back.
template <typename W>
PA_INLINE void turn(const Shape& s, int64_t row, const W* x, float direction, float factor, float* out) {
    int64_t half = s.turned / 2;
    for (int64_t j = 0; j < half; j++) {
        float c = s.cos[row * s.turned + j], z = s.sin[row * half + j] * direction, a = lanes::one(x + j), b = lanes::one(x + j + half);
        out[j] = a * c - b * z, out[j + half] = b * c + a * z;
    }
    for (int64_t j = s.turned; j < s.width; j++) out[j] = lanes::one(x + j);
    for (int64_t j = s.width; j < s.wide(); j++) out[j] = 0;
    lanes::V v;
    for (int64_t j = 0; j < s.wide(); j += lanes::N) {
        lanes::load(v, out + j);
        lanes::round_to(v, x);
        v *= factor;
        lanes::store(v, out + j);
    }
}

template <typename W>
PA_INLINE void plain(const Shape& s, const W* x, float* out) {
    for (int64_t j = 0; j < s.width; j++) out[j] = lanes::one(x + j);
    for (int64_t j = s.width; j < s.wide(); j++) out[j] = 0;
}

// As turn, from fp32 back to the dtype.
template <typename W>
PA_INLINE void store_turned(const Shape& s, int64_t row, const float* x, float* scratch, W* out) {
    turn(s, row, x, -1, 1, scratch);
    for (int64_t j = 0; j < s.width; j++) out[j] = static_cast<W>(scratch[j]);
}

// Columns that some row of a block sees: at most two runs of whole vectors, in order.
struct Columns {
    int64_t first[2], end[2];
    int count = 0;
    void add(int64_t from, int64_t to) {
        if (from >= to) return;
        from = from / lanes::N * lanes::N, to = small::whole(to, lanes::N);
        if (count > 0 && from <= end[count - 1]) end[count - 1] = std::max(end[count - 1], to), first[count - 1] = std::min(first[count - 1], from);
        else first[count] = from, end[count++] = to;
    }
};

Columns columns_of(const int32_t* spans, int64_t rows) {
    constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
    int64_t from[2] = {kNone, kNone}, to[2] = {0, 0};
    for (int64_t r = 0; r < rows; r++)
        for (int c = 0; c < 2; c++)
            if (spans[4 * r + 2 * c] < spans[4 * r + 2 * c + 1]) from[c] = std::min<int64_t>(from[c], spans[4 * r + 2 * c]), to[c] = std::max<int64_t>(to[c], spans[4 * r + 2 * c + 1]);
    Columns all;
    if (from[0] > from[1]) std::swap(from[0], from[1]), std::swap(to[0], to[1]);
    for (int c = 0; c < 2; c++) all.add(from[c], to[c]);
    return all;
}

// -inf where a row does not see the columns from c on.
PA_INLINE void hide(lanes::V& v, int64_t c, const int32_t* span) {
    typedef int32_t I __attribute__((vector_size(64)));
    constexpr I kIota = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    I at = kIota + static_cast<int32_t>(c);
    I seen = ((at >= span[0]) & (at < span[1])) | ((at >= span[2]) & (at < span[3]));
    v = seen ? v : lanes::V{} - std::numeric_limits<float>::infinity();
}

// Scores to e^(score - largest), with what they sum to and the logarithm of the sum of e^score.
PA_INLINE float exponentials(float* scores, const Columns& columns, const int32_t* span, float& log_sum) {
    lanes::V best = lanes::V{} - std::numeric_limits<float>::infinity(), total = {}, v;
    for (int r = 0; r < columns.count; r++)
        for (int64_t c = columns.first[r]; c < columns.end[r]; c += lanes::N) {
            lanes::load(v, scores + c);
            hide(v, c, span);
            best = v > best ? v : best;
            lanes::store(v, scores + c);
        }
    float top = best[0];
    for (int64_t k = 1; k < lanes::N; k++) top = best[k] > top ? best[k] : top;
    for (int r = 0; r < columns.count; r++)
        for (int64_t c = columns.first[r]; c < columns.end[r]; c += lanes::N) {
            lanes::load(v, scores + c);
            v -= top;
            lanes::exponential(v);
            total += v;
            lanes::store(v, scores + c);
        }
    float sum = lanes::sum(total);
    log_sum = top + std::log(sum);
    return sum;
}

// Scores to probabilities, and their gradients to those of the scores: p (dp - shared). Behind each run a vector of zeros, which
// whole tiles of 6 columns reach into.
PA_INLINE void slopes(float* scores, float* grads, const Columns& columns, const int32_t* span, float log_sum, float shared) {
    lanes::V v, d;
    for (int r = 0; r < columns.count; r++)
        for (int64_t c = columns.first[r]; c < columns.end[r]; c += lanes::N) {
            lanes::load(v, scores + c), lanes::load(d, grads + c);
            hide(v, c, span);
            v -= log_sum;
            lanes::exponential(v);
            d = (d - shared) * v;
            lanes::store(v, scores + c), lanes::store(d, grads + c);
        }
    v = lanes::V{};
    for (int r = 0; r < columns.count; r++) lanes::store(v, scores + columns.end[r]), lanes::store(v, grads + columns.end[r]);
}

// Rows (n, wide) to columns (wide, stride).
PA_INLINE void transpose(const float* rows, int64_t n, int64_t wide, int64_t stride, float* columns) {
    for (int64_t t = 0; t < n; t++)
        for (int64_t d = 0; d < wide; d++) columns[d * stride + t] = rows[t * wide + d];
}

// One thread's buffers: zeros when they grow, and what lies behind a row's end stays finite.
struct Space {
    std::vector<float> memory;
    size_t used = 0;
    float* take(int64_t n) {
        float* p = memory.data() + used;
        used += n;
        return p;
    }
    void begin(int64_t n) {
        if (memory.size() < static_cast<size_t>(n)) memory.assign(n, 0);
        used = 0;
    }
};

struct Sizes {
    int64_t wide, stride, tall;  // padded width, score columns, padded rows of a group
    Sizes(const Shape& s, int64_t n) : wide(s.wide()), stride(small::whole(n, lanes::N) + lanes::N), tall(small::whole(n, lanes::N) + small::kRows + lanes::N) {}
};

// A group's keys, turned, and values, (tall, wide) each; rows behind the last that whole vectors of columns reach are 0.
template <typename W>
PA_INLINE void gather(const Shape& s, const Tensors<W>& t, int64_t start, int64_t n, int64_t group, const Sizes& z, float* keys, float* values) {
    for (int64_t r = 0; r < n; r++) {
        int64_t at = ((start + r) * s.groups + group) * s.width;
        turn(s, start + r, t.k + at, 1, 1, keys + r * z.wide);
        plain(s, t.v + at, values + r * z.wide);
    }
    int64_t rest = (small::whole(n, lanes::N) - n) * z.wide;
    std::fill_n(keys + n * z.wide, rest, 0.0f), std::fill_n(values + n * z.wide, rest, 0.0f);
}

template <typename W>
PA_INLINE void forward_in(const Shape& s, const Tensors<W>& t, int64_t start, int64_t n, int64_t group, Space& space) {
    Sizes z(s, n);
    int64_t share = s.heads / s.groups;
    space.begin((2 * z.tall + 2 * kBlock) * z.wide + (z.wide + kBlock) * z.stride);
    float *keys = space.take(z.tall * z.wide), *values = space.take(z.tall * z.wide), *turned = space.take(z.wide * z.stride);
    float *queries = space.take(kBlock * z.wide), *mixed = space.take(kBlock * z.wide), *scores = space.take(kBlock * z.stride);
    gather(s, t, start, n, group, z, keys, values);
    transpose(keys, small::whole(n, lanes::N), z.wide, z.stride, turned);
    for (int64_t head = group * share; head < (group + 1) * share; head++)
        for (int64_t first = 0; first < n; first += kBlock) {
            int64_t rows = std::min(kBlock, n - first);
            const int32_t* spans = s.spans + (start + first) * 4;
            Columns columns = columns_of(spans, rows);
            for (int64_t r = 0; r < rows; r++) turn(s, start + first + r, t.q + ((start + first + r) * s.heads + head) * s.width, 1, s.scale, queries + r * z.wide);
            for (int c = 0; c < columns.count; c++)
                small::product(Left{queries, z.wide, 1}, turned + columns.first[c], z.stride, rows, columns.end[c] - columns.first[c], z.wide, false, scores + columns.first[c], z.stride);
            float inverse[kBlock];
            for (int64_t r = 0; r < rows; r++)
                inverse[r] = 1 / exponentials(scores + r * z.stride, columns, spans + 4 * r, t.sums[(start + first + r) * s.heads + head]);
            for (int c = 0; c < columns.count; c++)
                small::product(Left{scores + columns.first[c], z.stride, 1}, values + columns.first[c] * z.wide, z.wide, rows, z.wide, columns.end[c] - columns.first[c], c > 0, mixed, z.wide);
            for (int64_t r = 0; r < rows; r++)
                for (int64_t d = 0; d < s.width; d++) t.to[((start + first + r) * s.heads + head) * s.width + d] = static_cast<W>(mixed[r * z.wide + d] * inverse[r]);
        }
}

template <typename W>
PA_INLINE void backward_in(const Shape& s, const Tensors<W>& t, int64_t start, int64_t n, int64_t group, Space& space) {
    Sizes z(s, n);
    int64_t share = s.heads / s.groups;
    space.begin((4 * z.tall + 4 * kBlock) * z.wide + (2 * z.wide + 2 * kBlock) * z.stride);
    float *keys = space.take(z.tall * z.wide), *values = space.take(z.tall * z.wide), *dkeys = space.take(z.tall * z.wide), *dvalues = space.take(z.tall * z.wide);
    float *keys_turned = space.take(z.wide * z.stride), *values_turned = space.take(z.wide * z.stride);
    float *queries = space.take(kBlock * z.wide), *grads = space.take(kBlock * z.wide), *dqueries = space.take(kBlock * z.wide), *scratch = space.take(kBlock * z.wide);
    float *scores = space.take(kBlock * z.stride), *dscores = space.take(kBlock * z.stride);
    gather(s, t, start, n, group, z, keys, values);
    transpose(keys, small::whole(n, lanes::N), z.wide, z.stride, keys_turned), transpose(values, small::whole(n, lanes::N), z.wide, z.stride, values_turned);
    std::fill_n(dkeys, z.tall * z.wide, 0.0f), std::fill_n(dvalues, z.tall * z.wide, 0.0f);
    for (int64_t head = group * share; head < (group + 1) * share; head++)
        for (int64_t first = 0; first < n; first += kBlock) {
            int64_t rows = std::min(kBlock, n - first);
            const int32_t* spans = s.spans + (start + first) * 4;
            Columns columns = columns_of(spans, rows);
            float shared[kBlock];
            for (int64_t r = 0; r < rows; r++) {
                int64_t row = start + first + r, at = (row * s.heads + head) * s.width;
                turn(s, row, t.q + at, 1, s.scale, queries + r * z.wide);
                plain(s, t.grad + at, grads + r * z.wide);
                shared[r] = 0;
                for (int64_t d = 0; d < s.width; d++) shared[r] += grads[r * z.wide + d] * lanes::one(t.out + at + d);
            }
            for (int c = 0; c < columns.count; c++) {
                int64_t from = columns.first[c], count = columns.end[c] - from;
                small::product(Left{queries, z.wide, 1}, keys_turned + from, z.stride, rows, count, z.wide, false, scores + from, z.stride);
                small::product(Left{grads, z.wide, 1}, values_turned + from, z.stride, rows, count, z.wide, false, dscores + from, z.stride);
            }
            for (int64_t r = 0; r < rows; r++)
                slopes(scores + r * z.stride, dscores + r * z.stride, columns, spans + 4 * r, t.sums[(start + first + r) * s.heads + head], shared[r]);
            for (int c = 0; c < columns.count; c++) {
                int64_t from = columns.first[c], count = columns.end[c] - from;
                small::product(Left{dscores + from, z.stride, 1}, keys + from * z.wide, z.wide, rows, z.wide, count, c > 0, dqueries, z.wide);
                small::product(Left{dscores + from, 1, z.stride}, queries, z.wide, count, z.wide, rows, true, dkeys + from * z.wide, z.wide);
                small::product(Left{scores + from, 1, z.stride}, grads, z.wide, count, z.wide, rows, true, dvalues + from * z.wide, z.wide);
            }
            for (int64_t r = 0; r < rows; r++) {
                for (int64_t d = 0; d < z.wide; d++) dqueries[r * z.wide + d] *= s.scale;
                store_turned(s, start + first + r, dqueries + r * z.wide, scratch, t.dq + ((start + first + r) * s.heads + head) * s.width);
            }
        }
    for (int64_t r = 0; r < n; r++) {
        int64_t at = ((start + r) * s.groups + group) * s.width;
        store_turned(s, start + r, dkeys + r * z.wide, scratch, t.dk + at);
        for (int64_t d = 0; d < s.width; d++) t.dv[at + d] = static_cast<W>(dvalues[r * z.wide + d]);
    }
}

#define PA_TREE_KERNELS(W)                                                                                                                                                   \
    PA_CLONES void forward_of(const Shape& s, const Tensors<W>& t, int64_t start, int64_t n, int64_t group, Space& space) { forward_in(s, t, start, n, group, space); }      \
    PA_CLONES void backward_of(const Shape& s, const Tensors<W>& t, int64_t start, int64_t n, int64_t group, Space& space) { backward_in(s, t, start, n, group, space); }
PA_TREE_KERNELS(float)
PA_TREE_KERNELS(c10::BFloat16)

// The buffers that a row's padding needs to be finite are the thread's own and begin as zeros.
Space& space_of_thread() {
    static thread_local Space space;
    return space;
}

void check(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& spans, at::IntArrayRef segments) {
    auto type = q.scalar_type();
    TORCH_CHECK(type == at::kFloat || type == at::kBFloat16, "tree_attention: float32 or bfloat16, not ", type);
    for (const Tensor* t : {&q, &k, &v})
        TORCH_CHECK(t->device().is_cpu() && t->dim() == 3 && t->scalar_type() == type && t->size(0) == q.size(0) && t->size(2) == q.size(2),
                    "tree_attention: q, k and v are (R, heads, D) of one dtype on the processor, not ", q.sizes(), ", ", k.sizes(), ", ", v.sizes());
    TORCH_CHECK(k.sizes() == v.sizes() && k.size(1) > 0 && q.size(1) % k.size(1) == 0, "tree_attention: ", q.size(1), " query heads over ", k.size(1), " key heads");
    TORCH_CHECK(spans.dim() == 2 && spans.size(0) == q.size(0) && spans.size(1) == 4 && spans.scalar_type() == at::kInt && spans.is_contiguous(), "tree_attention: spans are (R, 4) int32, not ", spans.sizes());
    TORCH_CHECK(segments.size() % 2 == 0, "tree_attention: segments are pairs of first row and length");
    int64_t next = 0;
    for (size_t g = 0; g < segments.size(); g += 2) {
        TORCH_CHECK(segments[g] == next && segments[g + 1] > 0, "tree_attention: a group at row ", segments[g], " of ", segments[g + 1], " rows, where row ", next, " is the next");
        next += segments[g + 1];
        for (int64_t r = segments[g]; r < next; r++) {
            const int32_t* own = spans.data_ptr<int32_t>() + 4 * r;
            TORCH_CHECK(own[0] >= 0 && own[2] >= 0 && own[1] <= segments[g + 1] && own[3] <= segments[g + 1] && (own[0] < own[1] || own[2] < own[3]), "tree_attention: row ", r, " sees ", own[0], " to ", own[1],
                        " and ", own[2], " to ", own[3], " of ", segments[g + 1]);
        }
    }
    TORCH_CHECK(next == q.size(0), "tree_attention: groups of ", next, " rows over ", q.size(0));
}

// cos and sin in fp32, held by the caller.
Shape shape_of(const Tensor& q, const Tensor& k, const Tensor& spans, const c10::optional<Tensor>& cos, const c10::optional<Tensor>& sin, double scale, Tensor& c, Tensor& z) {
    Shape s{q.size(1), k.size(1), q.size(2), 0, nullptr, nullptr, spans.data_ptr<int32_t>(), static_cast<float>(scale)};
    if (!cos.has_value() || !cos->defined()) return s;
    c = cos->to(at::kFloat).contiguous(), z = sin->to(at::kFloat).contiguous();
    s.turned = c.size(-1), s.cos = c.data_ptr<float>(), s.sin = z.data_ptr<float>();
    TORCH_CHECK(c.numel() == q.size(0) * s.turned && z.numel() * 2 == c.numel() && s.turned <= s.width, "tree_attention: cosines ", c.sizes(), " and sines ", z.sizes(), " for ", q.size(0), " rows of width ", s.width);
    return s;
}

// Long groups first, so that no thread begins one at the end.
template <typename F>
void for_groups(at::IntArrayRef segments, int64_t heads, F&& body) {
    std::vector<std::pair<int64_t, int64_t>> order;
    for (size_t g = 0; g < segments.size(); g += 2) order.emplace_back(segments[g], segments[g + 1]);
    std::stable_sort(order.begin(), order.end(), [](auto& a, auto& b) { return a.second > b.second; });
    parallel(static_cast<int64_t>(order.size()) * heads, [&](int64_t task) { body(order[task / heads].first, order[task / heads].second, task % heads); });
}

std::tuple<Tensor, Tensor> tree_attention(const Tensor& q, const Tensor& k, const Tensor& v, const c10::optional<Tensor>& cos, const c10::optional<Tensor>& sin, const Tensor& spans, at::IntArrayRef segments, double scale) {
    check(q, k, v, spans, segments);
    Tensor c, z, cq = q.contiguous(), ck = k.contiguous(), cv = v.contiguous(), out = at::empty(q.sizes(), q.options()), sums = at::empty({q.size(0), q.size(1)}, q.options().dtype(at::kFloat));
    Shape s = shape_of(q, k, spans, cos, sin, scale, c, z);
    auto with = [&](auto one) {
        using W = decltype(one);
        Tensors<W> t{cq.data_ptr<W>(), ck.data_ptr<W>(), cv.data_ptr<W>(), nullptr, nullptr, out.data_ptr<W>(), nullptr, nullptr, nullptr, sums.data_ptr<float>()};
        for_groups(segments, s.groups, [&](int64_t start, int64_t n, int64_t group) { forward_of(s, t, start, n, group, space_of_thread()); });
    };
    if (q.scalar_type() == at::kFloat) with(float());
    else with(c10::BFloat16());
    return {out, sums};
}

std::tuple<Tensor, Tensor, Tensor> tree_attention_backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& sums, const c10::optional<Tensor>& cos,
                                                           const c10::optional<Tensor>& sin, const Tensor& spans, at::IntArrayRef segments, double scale) {
    check(q, k, v, spans, segments);
    TORCH_CHECK(grad.sizes() == q.sizes() && out.sizes() == q.sizes() && grad.scalar_type() == q.scalar_type() && out.scalar_type() == q.scalar_type(), "tree_attention_backward: a gradient ", grad.sizes(), " of ", q.sizes());
    TORCH_CHECK(sums.is_contiguous() && sums.scalar_type() == at::kFloat && sums.numel() == q.size(0) * q.size(1), "tree_attention_backward: sums are (R, heads) float32");
    Tensor c, z, cq = q.contiguous(), ck = k.contiguous(), cv = v.contiguous(), co = out.contiguous(), cg = grad.contiguous();
    Tensor dq = at::empty(q.sizes(), q.options()), dk = at::empty(k.sizes(), k.options()), dv = at::empty(v.sizes(), v.options());
    Shape s = shape_of(q, k, spans, cos, sin, scale, c, z);
    auto with = [&](auto one) {
        using W = decltype(one);
        Tensors<W> t{cq.data_ptr<W>(), ck.data_ptr<W>(), cv.data_ptr<W>(), co.data_ptr<W>(), cg.data_ptr<W>(), nullptr, dq.data_ptr<W>(), dk.data_ptr<W>(), dv.data_ptr<W>(), const_cast<float*>(sums.data_ptr<float>())};
        for_groups(segments, s.groups, [&](int64_t start, int64_t n, int64_t group) { backward_of(s, t, start, n, group, space_of_thread()); });
    };
    if (q.scalar_type() == at::kFloat) with(float());
    else with(c10::BFloat16());
    return {dq, dk, dv};
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) {
    m.def("tree_attention(Tensor q, Tensor k, Tensor v, Tensor? cos, Tensor? sin, Tensor spans, int[] segments, float scale) -> (Tensor, Tensor)");
    m.def("tree_attention_backward(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor out, Tensor sums, Tensor? cos, Tensor? sin, Tensor spans, int[] segments, float scale) -> (Tensor, Tensor, Tensor)");
}
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) {
    m.impl("tree_attention", pa::tree_attention);
    m.impl("tree_attention_backward", pa::tree_attention_backward);
}
