// Trials of attention: over trees of rows in trainings, over a cache in generation.
#include "trials.h"

namespace trials {

// Cosines and sines of some angles, or none: (R, W), (R, W / 2).
static Tensors angles(Draw& draw, int64_t rows, int64_t width) {
    int64_t half = draw.below(width / 2 + 1);
    if (half == 0) return {Tensor(), Tensor()};
    Tensor angle = draw.normal({rows, half});
    return {at::cat({angle.cos(), angle.cos()}, 1), angle.sin()};
}

static Tensor wide_or_none(const Tensor& t) { return t.defined() ? wide(t) : t; }

Trial trees(Draw& draw) {
    auto type = draw.type();
    plain::Trees trees(draw, 1 + draw.below(4), draw.coin() ? 9 : 120);
    int64_t rows = trees.seen.size(0), groups = 1 + draw.below(3), heads = groups * (1 + draw.below(4)), width = draw.size(129);
    double scale = 1 / std::sqrt(static_cast<double>(width));
    Tensor q = draw.normal({rows, heads, width}, type), k = draw.normal({rows, groups, width}, type), v = draw.normal({rows, groups, width}, type), by = draw.normal({rows, heads, width}, type);
    Tensors turn = angles(draw, rows, width);
    std::vector<int64_t> some;
    for (int64_t r = 0; r < rows; r++)
        if (draw.below(5) == 0) some.push_back(r);
    Tensor asked = at::tensor(some, at::kLong), own = draw.coin() ? q : q.index_select(0, asked);
    Tensor wq = leaf(wide(q)), wk = leaf(wide(k)), wv = leaf(wide(v)), cos = wide_or_none(turn[0]), sin = wide_or_none(turn[1]);
    Tensor mixed = plain::attention(plain::turned(wq, cos, sin), plain::turned(wk, cos, sin), wv, trees.seen, scale);
    return near_largest([=] {
        auto forward = [&](const Tensor& some_q, const IValue& rows_asked) {
            return call("tree_attention", {some_q, k, v, maybe(turn[0]), maybe(turn[1]), trees.spans, trees.groups, scale, rows_asked});
        };
        Tensors all = forward(q, IValue()), part = forward(own, asked);
        Tensor seen = own.size(0) == q.size(0) ? part[0].index_select(0, asked) : part[0];
        TORCH_CHECK(seen.equal(all[0].index_select(0, asked)), "the asked rows are others than those of all");
        Tensors grads = call("tree_attention_backward", {by, q, k, v, all[0], all[1], maybe(turn[0]), maybe(turn[1]), trees.spans, trees.groups, scale});
        return Tensors{all[0], grads[0], grads[1], grads[2]};
    }, with_gradients({mixed}, {wq, wk, wv}, {wide(by)}), grain(type) * 3);
}

// Sequences in a cache: the places of each row's tokens, the new one's last and its own alone; what each row sees with a window.
struct Past {
    int64_t places_in_all;
    Tensor places, lengths;

    Past(Draw& draw, int64_t rows, int64_t most) : places_in_all(most + rows) {
        places = at::zeros({rows, most + 1}, at::kInt), lengths = at::empty({rows}, at::kLong);
        std::vector<int32_t> order(most);
        for (int64_t k = 0; k < most; k++) order[k] = static_cast<int32_t>(k);
        for (int64_t row = 0; row < rows; row++) {
            std::shuffle(order.begin(), order.end(), draw.random);
            int64_t n = draw.below(most + 1);
            int32_t* own = places.data_ptr<int32_t>() + row * (most + 1);
            std::copy_n(order.begin(), n, own), own[n] = static_cast<int32_t>(most + row), lengths.data_ptr<int64_t>()[row] = n + 1;
        }
    }

    Tensor seen(int64_t window) const {
        Tensor all = at::zeros({places.size(0), places_in_all}, at::kBool);
        for (int64_t row = 0; row < places.size(0); row++) {
            int64_t n = lengths.data_ptr<int64_t>()[row];
            for (int64_t t = window > 0 ? std::max<int64_t>(0, n - window) : 0; t < n; t++) all.data_ptr<bool>()[row * places_in_all + places.data_ptr<int32_t>()[row * places.size(1) + t]] = true;
        }
        return all;
    }

    // A cache with the new rows' own, which lie behind all others.
    Tensor joined(const Tensor& cache, const Tensor& fresh) const { return at::cat({cache.narrow(0, 0, places_in_all - fresh.size(0)), fresh}, 0); }
};

Trial decode_attention(Draw& draw) {
    auto type = draw.type();
    int64_t rows = draw.below(6), groups = 1 + draw.below(3), heads = groups * (1 + draw.below(4)), width = draw.size(129), window = draw.coin() ? 0 : 1 + draw.below(40);
    double cap = draw.coin() ? 0 : 2, scale = 0.3;
    Past past(draw, rows, draw.size(300));
    Tensor q = draw.normal({rows, heads, width}, type), k = draw.normal({rows, groups, width}, type), v = draw.normal({rows, groups, width}, type);
    Tensor keys = draw.normal({past.places_in_all, groups, width}, type), values = draw.normal({past.places_in_all, groups, width}, type);
    Tensors turn = angles(draw, rows, width);
    Tensor cos = wide_or_none(turn[0]), sin = wide_or_none(turn[1]), all_keys = past.joined(wide(keys), plain::turned(wide(k), cos, sin)), all_values = past.joined(wide(values), wide(v));
    return near_largest([=] {
        Tensor own = keys.clone(), mine = values.clone();
        return Tensors{call("decode_attention", {q, k, v, own, mine, past.places, past.lengths, maybe(turn[0]), maybe(turn[1]), scale, cap, window})[0], own, mine};
    }, {plain::attention(plain::turned(wide(q), cos, sin), all_keys, all_values, past.seen(window), scale, cap), all_keys, all_values}, grain(type) * 3);
}

Trial decode_blocks(Draw& draw) {
    auto type = draw.type();
    int64_t rows = 1 + draw.below(6), groups = 1 + draw.below(3), heads = groups * (1 + draw.below(3)), width = draw.size(65), d = draw.size(300), inner = draw.size(300), blocks = 1 + draw.below(2);
    int64_t q = heads * width, k = groups * width;
    double cap = draw.coin() ? 0 : 2, scale = 1 / std::sqrt(static_cast<double>(width)), eps = 1e-5;
    Past past(draw, rows, draw.size(65));
    Tensor x = draw.normal({rows, d}, type), now = wide(x);
    Tensors turn = angles(draw, rows, width), caches;
    Tensor cos = wide_or_none(turn[0]), sin = wide_or_none(turn[1]);
    c10::List<c10::optional<Tensor>> weights;
    std::vector<int64_t> windows, turns;
    for (int64_t b = 0; b < blocks; b++) {
        Tensors own;
        auto vector = [&](int64_t n) { own.push_back(draw.coin() ? Tensor() : draw.normal({n}, type)); };
        auto matrix = [&](int64_t out, int64_t in) { own.push_back(draw.normal({out, in}, type) / std::sqrt(static_cast<double>(in))); };
        vector(d), matrix(q, d), vector(q), matrix(k, d), vector(k), matrix(k, d), vector(k), vector(draw.coin() ? width : q), vector(draw.coin() ? width : k), matrix(d, q), vector(d);
        vector(d), matrix(inner, d), vector(inner), matrix(inner, d), vector(inner), matrix(d, inner), vector(d), vector(d), vector(d);
        for (const Tensor& t : own) weights.push_back(t.defined() ? c10::optional<Tensor>(t) : c10::optional<Tensor>());
        for (int part = 0; part < 2; part++) caches.push_back(draw.normal({past.places_in_all, groups, width}, type));
        windows.push_back(draw.coin() ? 0 : 1 + draw.below(20)), turns.push_back(cos.defined() && draw.coin() ? 0 : -1);
        auto norm = [&](const Tensor& in, int slot) { return own[slot].defined() ? plain::rms_norm(in, wide(own[slot]), eps) : in; };
        auto times = [&](const Tensor& in, int slot) { return own[slot + 1].defined() ? in.mm(wide(own[slot]).t()) + wide(own[slot + 1]) : in.mm(wide(own[slot]).t()); };
        auto heads_of = [&](const Tensor& in, int slot) {
            bool each = own[slot].defined() && own[slot].numel() == width;
            return (each ? norm(in.reshape({-1, width}), slot) : norm(in, slot)).reshape({rows, -1, width});
        };
        Tensor normal = norm(now, 0), c = turns.back() < 0 ? Tensor() : cos, z = turns.back() < 0 ? Tensor() : sin;
        Tensor keys = past.joined(wide(caches[2 * b]), plain::turned(heads_of(times(normal, 3), 8), c, z)), values = past.joined(wide(caches[2 * b + 1]), times(normal, 5).reshape({rows, groups, width}));
        Tensor mixed = plain::attention(plain::turned(heads_of(times(normal, 1), 7), c, z), keys, values, past.seen(windows.back()), scale, cap).reshape({rows, q});
        now = now + norm(times(mixed, 9), 18);
        normal = norm(now, 11);
        now = now + norm(times(plain::silu(times(normal, 12)) * times(normal, 14), 16), 19);
    }
    return near_largest([=] {
        c10::List<Tensor> own, all_cos, all_sin;
        for (const Tensor& cache : caches) own.push_back(cache.clone());
        if (cos.defined()) all_cos.push_back(turn[0]), all_sin.push_back(turn[1]);
        return call("decode_blocks", {x, weights, own, past.places, past.lengths, all_cos, all_sin, std::vector<int64_t>{heads, groups, width, inner}, std::vector<double>{scale, cap, eps, 0}, windows, turns});
    }, {now}, type == at::kFloat ? 1e-3 : 0.2);  // norms of small numbers make much of a last bit
}

}  // namespace trials
