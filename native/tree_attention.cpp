// peftalign::tree_attention(q, k, v, cos, sin, spans, segments, scale, asked) and its gradient: attention of packed groups in which a row sees
// two runs of its group's rows (its prompt's, its own branch's). With `asked` blocks without such a row are left out, and the asked rows are
// the same bit by bit. Rotary positions are turned on the way in and back on the way out; scores that no row of a vector sees are not
// computed, and the backward pass computes those it needs again from the rows' logarithms of sums, so nothing as large as the scores is
// kept. fp32 inside; float32 and bfloat16 on the processor.
// A task is one group of rows and one key head, so that results depend neither on other groups nor on the number of threads.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "instructions.h"
#include "pool.h"
#include "tree_blocks.h"
#include "tree_rows.h"

namespace pa {
namespace {

using at::Tensor;
using tree::kQueries;
using tree::Shape;
using tree::Space;
using tree::Tensors;

// What a task computes: of a group and one of its key heads the query rows from `first` to `end`; backward all.
struct Part {
    int64_t start, rows, group, first, end;
};

constexpr int64_t kRowsOfTask = 16 * kQueries;  // forward, at most

// A block's rows of zeros behind the last, up to whole vectors.
PA_INLINE int64_t fill_up(float* x, int64_t rows, int64_t wide) {
    int64_t whole = small::whole(rows, lanes::N);
    std::fill_n(x + rows * wide, (whole - rows) * wide, 0.0f);
    return whole;
}

template <class Set, typename W>
PA_INLINE void forward_in(const Shape& s, const Tensors<W>& t, const Part& part, Space& space) {
    int64_t start = part.start, n = part.rows, group = part.group;
    typedef typename Set::V V;
    int64_t wide = s.wide(), share = s.heads / s.groups, ahead = tree::kAhead * s.heads * s.width;
    space.begin((2 * (n + 2) + 3 * kQueries) * wide + tree::kKeys * kQueries);
    float *keys = space.take((n + 2) * wide), *values = space.take((n + 2) * wide);
    tree::Queries q{space.take(kQueries * wide), space.take(kQueries * wide)};
    float *mixed = space.take(kQueries * wide), *scores = space.take(tree::kKeys * kQueries);
    tree::Columns columns{keys, values, nullptr, nullptr, s.width, wide};
    for (int64_t first = part.first, known = 0; first < part.end; first += kQueries) {
        int64_t rows = std::min(kQueries, n - first);
        if (!s.any_asked(start + first, rows)) continue;
        tree::View view(s.spans + (start + first) * 4, rows);
        tree::gather<V>(s, t, start, n, group, known, view.end(), keys, values), known = std::max(known, view.end());
        for (int64_t head = group * share; head < (group + 1) * share; head++) {
            for (int64_t r = 0; r < rows; r++) {
                int64_t row = start + first + r, from = s.query(row), at = (from * s.heads + head) * s.width;
                if (from < 0) {
                    std::fill_n(q.rows + r * wide, wide, 0.0f);
                    continue;
                }
                if (from + tree::kAhead < s.queries) tree::ask(s, t.q + at + ahead);
                tree::turn<V, W>(s, row, t.q + at, 1, s.scale, q.rows + r * wide), tree::pad(s, q.rows + r * wide);
            }
            tree::turn_over<Set>(q, fill_up(q.rows, rows, wide), wide);
            tree::Softmax soft;
            tree::forward_block<Set>(view, columns, q.across, scores, mixed, soft);
            for (int64_t r = 0; r < rows; r++) {
                int64_t at = s.query(start + first + r) * s.heads + head;
                if (at < 0) continue;
                t.sums[at] = soft.best[r] + std::log(soft.total[r]);
                tree::copy<V>(s, mixed + r * wide, 1 / soft.total[r], t.to + at * s.width);
            }
        }
    }
}

template <class Set, typename W>
PA_INLINE void backward_in(const Shape& s, const Tensors<W>& t, const Part& part, Space& space) {
    int64_t start = part.start, n = part.rows, group = part.group;
    typedef typename Set::V V;
    int64_t wide = s.wide(), share = s.heads / s.groups, ahead = tree::kAhead * s.heads * s.width;
    space.begin((4 * (n + 2) + 5 * kQueries) * wide + 2 * tree::kKeysBack * kQueries);
    float *keys = space.take((n + 2) * wide), *values = space.take((n + 2) * wide), *dkeys = space.take((n + 2) * wide), *dvalues = space.take((n + 2) * wide);
    tree::Queries q{space.take(kQueries * wide), space.take(kQueries * wide)}, grad{space.take(kQueries * wide), space.take(kQueries * wide)};
    float *dqueries = space.take(kQueries * wide), *scores = space.take(tree::kKeysBack * kQueries), *grads = space.take(tree::kKeysBack * kQueries);
    std::fill_n(dkeys, (n + 2) * wide, 0.0f), std::fill_n(dvalues, (n + 2) * wide, 0.0f);
    tree::Columns columns{keys, values, dkeys, dvalues, s.width, wide};
    for (int64_t first = 0, known = 0; first < n; first += kQueries) {
        int64_t rows = std::min(kQueries, n - first);
        tree::View view(s.spans + (start + first) * 4, rows);
        tree::gather<V>(s, t, start, n, group, known, view.end(), keys, values), known = std::max(known, view.end());
        for (int64_t head = group * share; head < (group + 1) * share; head++) {
            float log_sums[kQueries] = {}, shared[kQueries] = {};
            bool asked = false;
            for (int64_t r = 0; r < rows; r++) {
                int64_t row = start + first + r, at = (row * s.heads + head) * s.width;
                if (first + r + tree::kAhead < n) tree::ask(s, t.q + at + ahead), tree::ask(s, t.grad + at + ahead), tree::ask(s, t.out + at + ahead);
                tree::turn<V, W>(s, row, t.q + at, 1, s.scale, q.rows + r * wide), tree::pad(s, q.rows + r * wide);
                tree::copy<V>(s, t.grad + at, 1, grad.rows + r * wide), tree::pad(s, grad.rows + r * wide);
                asked = asked || tree::any<V>(s, grad.rows + r * wide);
                shared[r] = tree::dot<V>(s, grad.rows + r * wide, t.out + at), log_sums[r] = t.sums[row * s.heads + head];
            }
            std::fill_n(dqueries, kQueries * wide, 0.0f);
            if (asked) {  // the last block of a model is asked for answers alone
                tree::turn_over<Set>(q, fill_up(q.rows, rows, wide), wide), tree::turn_over<Set>(grad, fill_up(grad.rows, rows, wide), wide);
                tree::backward_block<Set>(view, columns, q, grad, log_sums, shared, scores, grads, dqueries);
            }
            for (int64_t r = 0; r < rows; r++) {
                int64_t row = start + first + r;
                for (int64_t d = 0; d < wide; d++) dqueries[r * wide + d] *= s.scale;
                tree::turn<V, W>(s, row, dqueries + r * wide, -1, 1, t.dq + (row * s.heads + head) * s.width);
            }
        }
    }
    for (int64_t r = 0; r < n; r++) {
        int64_t at = ((start + r) * s.groups + group) * s.width;
        tree::turn<V, W>(s, start + r, dkeys + r * wide, -1, 1, t.dk + at);
        tree::copy<V>(s, dvalues + r * wide, 1, t.dv + at);
    }
}

// An instruction set whose products are not inlined: both dtypes and both passes call the same functions.
template <class Set>
struct WithProducts : Set {
    static void product(const small::Task& task);
};
#if defined(__x86_64__)
template <>
PA_AVX512 __attribute__((noinline)) void WithProducts<Avx512>::product(const small::Task& task) { small::product<Avx512>(task); }
template <>
PA_AVX2 __attribute__((noinline)) void WithProducts<Avx2>::product(const small::Task& task) { small::product<Avx2>(task); }
#endif
template <>
__attribute__((noinline)) void WithProducts<Baseline>::product(const small::Task& task) { small::product<Baseline>(task); }

// A row's padding holds finite numbers, since the buffers are the thread's own and begin as zeros.
Space& space_of_thread() {
    static thread_local Space space;
    return space;
}

void check(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& spans, at::IntArrayRef segments) {
    auto type = q.scalar_type();
    TORCH_CHECK(type == at::kFloat || type == at::kBFloat16, "tree_attention: float32 or bfloat16, not ", type);
    for (const Tensor* t : {&q, &k, &v})
        TORCH_CHECK(t->device().is_cpu() && t->dim() == 3 && t->scalar_type() == type && (t == &q || t->size(0) == v.size(0)) && t->size(2) == q.size(2),
                    "tree_attention: q, k and v are (R, heads, D) of one dtype on the processor, not ", q.sizes(), ", ", k.sizes(), ", ", v.sizes());
    TORCH_CHECK(k.sizes() == v.sizes() && k.size(1) > 0 && q.size(1) % k.size(1) == 0, "tree_attention: ", q.size(1), " query heads over ", k.size(1), " key heads");
    TORCH_CHECK(spans.dim() == 2 && spans.size(0) == k.size(0) && spans.size(1) == 4 && spans.scalar_type() == at::kInt && spans.is_contiguous(), "tree_attention: spans are (R, 4) int32, not ", spans.sizes());
    TORCH_CHECK(segments.size() % 2 == 0, "tree_attention: segments are pairs of first row and length");
    int64_t next = 0;
    for (size_t g = 0; g < segments.size(); g += 2) {
        TORCH_CHECK(segments[g] == next && segments[g + 1] > 0 && segments[g + 1] <= k.size(0) - next, "tree_attention: a group at row ", segments[g], " of ", segments[g + 1], " rows, where row ", next, " of ", k.size(0), " is the next");
        next += segments[g + 1];
        for (int64_t r = segments[g]; r < next; r++) {
            const int32_t* own = spans.data_ptr<int32_t>() + 4 * r;
            TORCH_CHECK(own[0] >= 0 && own[1] >= 0 && own[2] >= 0 && own[3] >= 0 && own[1] <= segments[g + 1] && own[3] <= segments[g + 1] && (own[0] < own[1] || own[2] < own[3]), "tree_attention: row ", r, " sees ", own[0], " to ", own[1],
                        " and ", own[2], " to ", own[3], " of ", segments[g + 1]);
        }
    }
    TORCH_CHECK(next == k.size(0), "tree_attention: groups of ", next, " rows over ", k.size(0));
}

// For each row the place of its query and its result, -1 where it is not asked for; empty where all rows are. There are queries for all
// rows, or for the asked ones alone.
std::vector<int64_t> places_of(const Tensor& q, const Tensor& k, const c10::optional<Tensor>& asked) {
    int64_t rows = k.size(0);
    TORCH_CHECK(q.size(0) == (asked && q.size(0) != rows ? asked->size(0) : rows), "tree_attention: queries ", q.sizes(), " for ", rows, " rows");
    if (!asked) return {};
    TORCH_CHECK(asked->dim() == 1 && asked->scalar_type() == at::kLong && asked->is_contiguous(), "tree_attention: the rows that are asked for are (N) int64, not ", asked->sizes());
    std::vector<int64_t> places(rows, -1);
    const int64_t* own = asked->data_ptr<int64_t>();
    for (int64_t n = 0; n < asked->size(0); n++) {
        TORCH_CHECK(own[n] >= 0 && own[n] < rows && (n == 0 || own[n - 1] < own[n]), "tree_attention: row ", own[n], " of ", rows, " is asked for out of order");
        places[own[n]] = q.size(0) == rows ? own[n] : n;
    }
    return places;
}

// cos and sin in fp32, held by the caller.
Shape shape_of(const Tensor& q, const Tensor& k, const Tensor& spans, const c10::optional<Tensor>& cos, const c10::optional<Tensor>& sin, double scale, Tensor& c, Tensor& z) {
    Shape s{q.size(0), q.size(1), k.size(1), q.size(2), 0, nullptr, nullptr, spans.data_ptr<int32_t>(), static_cast<float>(scale)};
    if (!cos.has_value() || !cos->defined()) return s;
    TORCH_CHECK(sin.has_value() && sin->defined(), "tree_attention: cosines without sines");
    c = cos->to(at::kFloat).contiguous(), z = sin->to(at::kFloat).contiguous();
    s.turned = c.size(-1), s.cos = c.data_ptr<float>(), s.sin = z.data_ptr<float>();
    TORCH_CHECK(c.numel() == k.size(0) * s.turned && z.numel() * 2 == c.numel() && s.turned <= s.width, "tree_attention: cosines ", c.sizes(), " and sines ", z.sizes(), " for ", k.size(0), " rows of width ", s.width);
    return s;
}

// Runs body on all parts, the longest first, so that no thread begins one at the end.
template <typename F>
void for_parts(at::IntArrayRef segments, int64_t heads, int64_t most, F&& body) {
    std::vector<Part> parts;
    for (size_t g = 0; g < segments.size(); g += 2)
        for (int64_t head = 0; head < heads; head++)
            for (int64_t first = 0; first < segments[g + 1]; first += most) parts.push_back({segments[g], segments[g + 1], head, first, std::min(segments[g + 1], first + most)});
    auto work = [](const Part& p) { return (p.end - p.first) * (p.end + p.first); };
    std::stable_sort(parts.begin(), parts.end(), [&](const Part& a, const Part& b) { return work(a) > work(b); });
    parallel(static_cast<int64_t>(parts.size()), [&](int64_t task) { body(parts[task]); });
}

std::tuple<Tensor, Tensor> tree_attention(const Tensor& q, const Tensor& k, const Tensor& v, const c10::optional<Tensor>& cos, const c10::optional<Tensor>& sin, const Tensor& spans, at::IntArrayRef segments, double scale,
                                          const c10::optional<Tensor>& asked) {
    check(q, k, v, spans, segments);
    std::vector<int64_t> places = places_of(q, k, asked);
    Tensor c, z, cq = q.contiguous(), ck = k.contiguous(), cv = v.contiguous();
    // What is not asked for is 0, and so is every probability that the backward pass computes of it again.
    Tensor out = places.empty() ? at::empty(q.sizes(), q.options()) : at::zeros(q.sizes(), q.options());
    Tensor sums = at::full({q.size(0), q.size(1)}, std::numeric_limits<float>::max(), q.options().dtype(at::kFloat));
    Shape s = shape_of(q, k, spans, cos, sin, scale, c, z);
    if (!places.empty()) s.places = places.data();
    auto with = [&](auto one) {
        using W = decltype(one);
        Tensors<W> t{cq.data_ptr<W>(), ck.data_ptr<W>(), cv.data_ptr<W>(), nullptr, nullptr, out.data_ptr<W>(), nullptr, nullptr, nullptr, sums.data_ptr<float>()};
        for_parts(segments, s.groups, kRowsOfTask, [&](const Part& part) {
            with_instructions([&](auto set) PA_INLINED { forward_in<WithProducts<decltype(set)>>(s, t, part, space_of_thread()); });
        });
    };
    if (q.scalar_type() == at::kFloat) with(float());
    else with(c10::BFloat16());
    return {out, sums};
}

std::tuple<Tensor, Tensor, Tensor> tree_attention_backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out, const Tensor& sums, const c10::optional<Tensor>& cos,
                                                           const c10::optional<Tensor>& sin, const Tensor& spans, at::IntArrayRef segments, double scale) {
    check(q, k, v, spans, segments);
    places_of(q, k, {});
    TORCH_CHECK(grad.sizes() == q.sizes() && out.sizes() == q.sizes() && grad.scalar_type() == q.scalar_type() && out.scalar_type() == q.scalar_type(), "tree_attention_backward: a gradient ", grad.sizes(), " of ", q.sizes());
    TORCH_CHECK(sums.is_contiguous() && sums.scalar_type() == at::kFloat && sums.numel() == q.size(0) * q.size(1), "tree_attention_backward: sums are (R, heads) float32");
    Tensor c, z, cq = q.contiguous(), ck = k.contiguous(), cv = v.contiguous(), co = out.contiguous(), cg = grad.contiguous();
    Tensor dq = at::empty(q.sizes(), q.options()), dk = at::empty(k.sizes(), k.options()), dv = at::empty(v.sizes(), v.options());
    Shape s = shape_of(q, k, spans, cos, sin, scale, c, z);
    auto with = [&](auto one) {
        using W = decltype(one);
        Tensors<W> t{cq.data_ptr<W>(), ck.data_ptr<W>(), cv.data_ptr<W>(), co.data_ptr<W>(), cg.data_ptr<W>(), nullptr, dq.data_ptr<W>(), dk.data_ptr<W>(), dv.data_ptr<W>(), const_cast<float*>(sums.data_ptr<float>())};
        for_parts(segments, s.groups, q.size(0), [&](const Part& part) {
            with_instructions([&](auto set) PA_INLINED { backward_in<WithProducts<decltype(set)>>(s, t, part, space_of_thread()); });
        });
    };
    if (q.scalar_type() == at::kFloat) with(float());
    else with(c10::BFloat16());
    return {dq, dk, dv};
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) {
    m.def("tree_attention(Tensor q, Tensor k, Tensor v, Tensor? cos, Tensor? sin, Tensor spans, int[] segments, float scale, Tensor? asked=None) -> (Tensor, Tensor)");
    m.def("tree_attention_backward(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor out, Tensor sums, Tensor? cos, Tensor? sin, Tensor spans, int[] segments, float scale) -> (Tensor, Tensor, Tensor)");
}
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) {
    m.impl("tree_attention", pa::tree_attention);
    m.impl("tree_attention_backward", pa::tree_attention_backward);
}
