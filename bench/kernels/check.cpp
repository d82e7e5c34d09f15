// Compares the kernels of native/ with plain.h over random shapes, odd and empty ones too: on each instruction set that the processor has,
// with 1 to 4 threads, and from two threads at once. Values must be near, bits the same however many threads there are. It is made to run
// under a sanitizer (bench/kernels/check compiles it so), which sees what a comparison cannot: reads beyond a tensor, data races.
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>

#include "instructions.h"
#include "plain.h"

namespace {

using at::Tensor;
using c10::IValue;
using plain::Draw;
using plain::wide;
using Tensors = std::vector<Tensor>;

// One case: what to run, what it must give, and how large the numbers are that it sums.
struct Trial {
    std::function<Tensors()> run;
    Tensors want, scales;
    double tolerance;  // of a scale
    pa::Instructions least = pa::kBaseline;
};

Tensors call(const char* name, std::vector<IValue> arguments) {
    c10::OperatorHandle handle = c10::Dispatcher::singleton().findSchemaOrThrow((std::string("peftalign::") + name).c_str(), "");
    arguments.resize(std::max(arguments.size(), handle.schema().arguments().size()));
    handle.callBoxed(&arguments);
    Tensors results;
    for (const IValue& result : arguments) results.push_back(result.toTensor());
    return results;
}

IValue maybe(const Tensor& t) { return t.defined() ? IValue(t) : IValue(); }

int64_t number(at::ScalarType type) { return static_cast<int64_t>(type); }

// What rounding to a type costs.
double grain(at::ScalarType type) { return type == at::kBFloat16 ? 0.02 : type == at::kHalf ? 0.003 : type == at::kDouble ? 1e-11 : 1e-5; }

// For each wanted result its largest magnitude.
Trial near_largest(std::function<Tensors()> run, Tensors want, double tolerance) {
    Tensors scales;
    for (const Tensor& t : want) scales.push_back(t.numel() == 0 ? at::zeros({}, at::kDouble) : t.abs().amax() + 1e-3);
    return {std::move(run), std::move(want), std::move(scales), tolerance};
}

// Results and their gradients by leaves, for outgoing gradients that are given.
Tensors with_gradients(Tensors results, const Tensors& leaves, const Tensors& by) {
    Tensors all, kept = torch::autograd::grad(results, leaves, by);
    for (Tensors* some : {&results, &kept})
        for (const Tensor& t : *some) all.push_back(t.detach());
    return all;
}

Tensor leaf(const Tensor& t) { return t.clone().requires_grad_(); }

Trial products(Draw& draw) {
    auto type = draw.type(), to = draw.type();
    int64_t m = draw.below(16) == 0 ? 0 : draw.size(), n = draw.below(16) == 0 ? 0 : draw.size();
    bool add = draw.coin();
    Tensors a, b;
    std::vector<double> factors;
    Tensor bias = add || draw.coin() ? Tensor() : draw.normal({n}, to), y = draw.normal({m, n}, to), want = at::zeros({m, n}, at::kDouble);
    if (add) want = wide(y);
    if (bias.defined()) want = want + wide(bias);
    Tensor scale = want.abs() + 1e-6;
    for (int64_t k = draw.below(3); k >= 0; k--) {
        int64_t depth = draw.coin() ? draw.size() : draw.below(9);
        a.push_back(draw.laid_out(draw.normal({m, depth}, type))), b.push_back(draw.laid_out(draw.normal({depth, n}, type))), factors.push_back(draw.coin() ? 1 : 0.3);
        want = want + wide(a.back()).mm(wide(b.back())) * factors.back(), scale = scale + wide(a.back()).abs().mm(wide(b.back()).abs()) * factors.back();
    }
    auto run = [=]() -> Tensors {
        return add ? call("add_products_", {y.clone(), a, b, factors}) : call("products", {a, b, factors, maybe(bias), number(to)});
    };
    return {run, {want}, {scale}, to == at::kFloat ? 1e-5 : 0.01, pa::kAvx2};
}

Trial linear(Draw& draw) {
    auto type = draw.type();
    int64_t rows = draw.size(), in = draw.size(), out = draw.size();
    Tensor x = draw.normal({rows, in}, type), w = draw.normal({out, in}, type), bias = draw.normal({out}, type), by = draw.normal({rows, out}, type);
    Tensors want{wide(x).mm(wide(w).t()) + wide(bias), wide(by).mm(wide(w)), wide(by).t().mm(wide(x)), wide(by).sum(0)};
    Trial trial = near_largest([=] {
        Tensors leaves{leaf(x), leaf(w), leaf(bias)};
        return with_gradients(call("linear", {leaves[0], leaves[1], leaves[2]}), leaves, {by});
    }, want, type == at::kFloat ? 1e-5 : 0.01);
    trial.least = pa::kAvx2;
    return trial;
}

Trial few_rows(Draw& draw) {
    auto type = draw.type();
    int64_t rows = draw.below(21), in = draw.coin() ? draw.size() : draw.below(40), out = draw.size();
    Tensor x = draw.normal({rows, in}, type), w = draw.normal({out, in}, type), bias = draw.coin() ? Tensor() : draw.normal({out}, type);
    Tensor want = wide(x).mm(wide(w).t()), scale = wide(x).abs().mm(wide(w).abs().t()) + 1e-6;
    if (bias.defined()) want = want + wide(bias), scale = scale + wide(bias).abs();
    return {[=] { return call("few_rows_linear", {x, w, maybe(bias)}); }, {want}, {scale}, type == at::kFloat ? 1e-5 : 0.01};
}

Tensor targets_of(Draw& draw, int64_t rows, int64_t entries) {
    Tensor targets = at::empty({rows}, at::kLong);
    std::generate_n(targets.data_ptr<int64_t>(), rows, [&] { return draw.below(entries); });
    return targets;
}

// The logits themselves are those of `products`, since an argmax follows from their last bit.
Trial head(Draw& draw) {
    auto type = draw.type();
    int64_t rows = draw.below(20) == 0 ? 0 : draw.size(), width = 2 * draw.size(129), entries = draw.coin() ? draw.size() : 1000 + draw.below(9000);
    Tensor hidden = draw.normal({rows, width}, type), head = draw.normal({entries, width}, type) * 0.2, targets = targets_of(draw, rows, entries), bias = draw.coin() ? Tensor() : draw.normal({entries}, type);
    Tensor logits = call("products", {Tensors{hidden}, Tensors{head.t()}, std::vector<double>{1}, maybe(bias), IValue()})[0];
    Trial trial = near_largest([=] {
        Tensors both = call("head_figures", {hidden, head, targets, true, maybe(bias)});
        both.push_back(call("logits_figures", {logits, targets})[0]);
        TORCH_CHECK(both[0].equal(both[2]) && call("head_figures", {hidden, head, targets, false, maybe(bias)})[0].equal(both[0]), "the figures of logits in memory, or without the means, are others");
        return both;
    }, {plain::figures(wide(logits), targets), wide(logits).softmax(-1).mm(wide(head)), plain::figures(wide(logits), targets)}, type == at::kFloat ? 1e-4 : 0.02);
    trial.least = pa::kAvx2;
    return trial;
}

Trial target_log_probs(Draw& draw) {
    int64_t rows = draw.below(20) == 0 ? 0 : draw.size(65), entries = draw.coin() ? draw.size() : 500 + draw.below(9000);
    Tensor logits = draw.normal({rows, entries}, draw.type()) * 3, targets = targets_of(draw, rows, entries), kept = (wide(logits) - wide(logits).amax({1}, true)).exp();
    return near_largest([=] {
        Tensor own = logits.clone();
        Tensor figures = call("target_log_probs", {own, targets, true})[0];
        TORCH_CHECK(call("target_log_probs", {logits.clone(), targets, false})[0].equal(figures), "keeping changes the figures");
        return Tensors{figures, own};
    }, {plain::figures(wide(logits), targets), kept}, grain(logits.scalar_type()) * 10);
}

Trial norms(Draw& draw) {
    static const at::ScalarType types[] = {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf};
    auto type = types[draw.below(4)];
    int64_t rows = draw.below(16) == 0 ? 0 : draw.size(), n = draw.size();
    Tensor x = draw.normal({rows, n}, type), added = draw.normal({rows, n}, type), w = draw.normal({n}, type), by = draw.normal({rows, n}, type), through = draw.normal({rows, n}, type);
    Tensor wx = leaf(wide(x)), wd = leaf(wide(added)), ww = leaf(wide(w)), sum = wx + wd;
    Tensors want = with_gradients({plain::rms_norm(wx, ww, 1e-5)}, {wx, ww}, {wide(by)}), more = with_gradients({sum, plain::rms_norm(sum, ww, 1e-5)}, {wx, wd, ww}, {wide(through), wide(by)});
    want.insert(want.end(), more.begin(), more.end());
    return near_largest([=] {
        Tensor lx = leaf(x), ld = leaf(added), lw = leaf(w);
        Tensors all = with_gradients(call("rms_norm", {lx, lw, 1e-5}), {lx, lw}, {by}), both = with_gradients(call("residual_norm", {lx, ld, lw, 1e-5}), {lx, ld, lw}, {through, by});
        all.insert(all.end(), both.begin(), both.end());
        return all;
    }, want, grain(type) * 3);
}

Trial swiglu(Draw& draw) {
    auto type = draw.type();
    int64_t rows = draw.below(16) == 0 ? 0 : draw.size(), n = draw.size();
    Tensor both = draw.normal({rows, 2 * n}, type) * 4, by = draw.normal({rows, n}, type), gate = both.narrow(1, 0, n), up = draw.coin() ? both.narrow(1, n, n) : draw.laid_out(draw.normal({rows, n}, type));
    Tensor wg = leaf(wide(gate)), wu = leaf(wide(up));
    return near_largest([=] {
        Tensor lg = gate.detach().requires_grad_(), lu = up.detach().requires_grad_();
        return with_gradients(call("swiglu", {lg, lu}), {lg, lu}, {by});
    }, with_gradients({plain::silu(wg) * wu}, {wg, wu}, {wide(by)}), grain(type));
}

// Cosines and sines of some angles, or none: (R, W), (R, W / 2).
Tensors angles(Draw& draw, int64_t rows, int64_t width) {
    int64_t half = draw.below(width / 2 + 1);
    if (half == 0) return {Tensor(), Tensor()};
    Tensor angle = draw.normal({rows, half});
    return {at::cat({angle.cos(), angle.cos()}, 1), angle.sin()};
}

Tensor wide_or_none(const Tensor& t) { return t.defined() ? wide(t) : t; }

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

int64_t entries_of(Draw& draw) {
    static const int64_t counts[] = {0, 1, 63, 64, 65, 2047, 2048, 2049, 65535, 65536, 65537, 200'001};
    return counts[draw.below(12)];
}

Tensor any_type(Draw& draw, int64_t n) {
    static const at::ScalarType types[] = {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble};
    return draw.normal({n}, types[draw.below(4)]);
}

Trial merges(Draw& draw) {
    int64_t n = entries_of(draw), count = 1 + draw.below(3);
    Tensor base = any_type(draw, n), empty = at::empty({0}, at::kLong);
    Tensors models, masks;
    std::vector<double> weights, scales;
    for (int64_t k = 0; k < count; k++) {
        models.push_back(any_type(draw, n)), weights.push_back(k == 1 ? -0.7 : 0.4), scales.push_back(1.5);
        masks.push_back(draw.coin() ? empty : call("merge_bernoulli", {models[k], base, 0.5, int64_t(3), k})[0]);
    }
    bool elect = draw.coin(), normalize = draw.coin();
    auto to = any_type(draw, 0).scalar_type();
    // In float32 and in the kernel's order: which sign is elected follows from a sum's last bit.
    Tensor origin = base.to(at::kFloat), sum = at::zeros({n}), kept = at::zeros({n}), divisor = at::zeros({n}), linear = at::zeros({n}, at::kDouble);
    Tensors parts, rows;
    for (int64_t k = 0; k < count; k++) {
        Tensor own = (models[k].to(at::kFloat) - origin) * static_cast<float>(weights[k] * scales[k]);
        if (masks[k].numel() > 0) own = own * call("merge_unpack", {masks[k], int64_t(0), n})[0];
        parts.push_back(own), sum = sum + own, rows.push_back(wide(models[k]) - wide(base)), linear = linear + wide(models[k]) * weights[k];
    }
    double all = 0;
    for (int64_t k = 0; k < count; k++) {
        Tensor along = at::where(sum.ge(0), parts[k], -parts[k]).gt(0);
        kept = kept + parts[k] * along, divisor = divisor + along.to(at::kFloat) * static_cast<float>(weights[k]), all += weights[k];
    }
    Tensor mixed = elect ? (normalize ? kept / at::where(divisor.eq(0), at::ones({n}), divisor) : kept) : sum / (normalize && std::abs(all) >= 1e-8 ? all : 1.0), stacked = at::stack(rows);
    return near_largest([=] {
        return Tensors{call("merge_gram", {models, Tensors{base}})[0], call("merge_combine", {models, weights, number(to)})[0],
                       call("merge_task_vectors", {base, models, masks, weights, scales, elect, normalize, 0.9, number(to)})[0]};
    }, {stacked.mm(stacked.t()), linear, wide(origin) + wide(mixed) * 0.9}, std::max(grain(to), 1e-4));
}

Trial masks(Draw& draw) {
    int64_t n = entries_of(draw), first = draw.below(n + 1), count = draw.below(n - first + 1);
    bool first_is_largest = draw.coin(), shifted = draw.coin();
    Tensor x = any_type(draw, n), base = shifted ? any_type(draw, n) : at::empty({0});
    if (draw.coin()) x = (x.to(at::kFloat) * 2).round().to(x.scalar_type());  // many of one magnitude; libtorch 1.13 rounds no float16
    Tensor size = (shifted ? x.to(at::kFloat) - base.to(at::kFloat) : x.to(at::kFloat)).abs().contiguous(), some = size.gt(0.5), window = plain::ranked(size, first, count, first_is_largest).logical_and(size.ne(0));
    auto sums = [&](const Tensor& mask) { return at::stack({wide(size).sum(), (wide(size) * mask).sum()}); };
    return near_largest([=] {
        Tensors ranks = call("merge_window", {x, base, first, count, first_is_largest}), packed = call("merge_pack", {some, x, base});
        auto flags = [&](const Tensor& bits) { return call("merge_unpack", {bits, int64_t(0), n})[0]; };
        TORCH_CHECK(flags(call("merge_bernoulli", {x, base, 1.0, int64_t(3), int64_t(4)})[0]).all().item<bool>(), "a draw of probability 1 leaves something out");
        TORCH_CHECK(!flags(call("merge_bernoulli", {x, base, 0.0, int64_t(3), int64_t(4)})[0]).any().item<bool>(), "a draw of probability 0 keeps something");
        return Tensors{flags(ranks[0]).logical_and(size.ne(0)), ranks[1], flags(packed[0]), packed[1], call("merge_bernoulli", {x, base, 0.3, int64_t(5), int64_t(6)})[1].narrow(0, 0, 1)};
    }, {wide(window), sums(window), wide(some), sums(some), sums(some).narrow(0, 0, 1)}, 1e-4);
}

int failures = 0;

void report(const std::string& name, uint64_t seed, const std::string& what) {
    std::printf("%s, seed %llu: %s\n", name.c_str(), static_cast<unsigned long long>(seed), what.c_str());
    std::fflush(stdout), failures++;
}

bool same(const Tensors& a, const Tensors& b) {
    for (size_t k = 0; k < a.size(); k++)
        if (!a[k].equal(b[k])) return false;
    return true;
}

void compare(const std::string& name, uint64_t seed, const Trial& trial, const Tensors& got, const std::string& set) {
    for (size_t k = 0; k < got.size(); k++) {
        bool fits = got[k].sizes() == trial.want[k].sizes();
        Tensor off = fits ? (wide(got[k]) - trial.want[k]).abs() / trial.scales[k] : Tensor();
        if (!fits || (off.numel() > 0 && !off.le(trial.tolerance).all().item<bool>()))
            report(name, seed, "result " + std::to_string(k) + " on " + set + " is off by " + (fits ? std::to_string(off.max().item<double>()) : "its shape"));
    }
}

void test(const std::string& name, uint64_t seed, Trial (*make)(Draw&)) {
    Draw draw(seed);
    at::set_num_threads(1), pa::limit_instructions(pa::kAvx512Bf16);
    Trial trial = make(draw);
    for (auto set : {pa::kAvx512Bf16, pa::kAvx512, pa::kAvx2, pa::kBaseline}) {
        if (!pa::has_instructions(set) || set < trial.least) continue;
        pa::limit_instructions(set), at::set_num_threads(1);
        Tensors alone = trial.run(), first, second;
        compare(name, seed, trial, alone, pa::name_of(set));
        at::set_num_threads(static_cast<int>(2 + draw.below(3)));
        if (!same(trial.run(), alone)) report(name, seed, std::string("bits depend on threads on ") + pa::name_of(set));
        std::thread beside([&] { second = trial.run(); });
        first = trial.run();
        beside.join();
        if (!same(first, alone) || !same(second, alone)) report(name, seed, std::string("bits depend on what another thread computes on ") + pa::name_of(set));
    }
}

}  // namespace

int main(int count, char** words) {
    if (count != 4) return std::fprintf(stderr, "check ROUNDS SEED ONLY\n"), 2;
    const std::pair<const char*, Trial (*)(Draw&)> cases[] = {{"products", products}, {"linear", linear}, {"few_rows", few_rows}, {"head", head}, {"target_log_probs", target_log_probs}, {"norms", norms}, {"swiglu", swiglu}, {"trees", trees},
                                                              {"decode_attention", decode_attention}, {"decode_blocks", decode_blocks}, {"merges", merges}, {"masks", masks}};
    for (auto [name, make] : cases) {
        if (std::string(name).find(words[3]) == std::string::npos) continue;
        for (int round = 0; round < std::atoi(words[1]); round++) test(name, std::strtoull(words[2], nullptr, 10) + round, make);
        std::printf("%s: %s rounds\n", name, words[1]), std::fflush(stdout);
    }
    std::printf("%d failed\n", failures);
    return failures == 0 ? 0 : 1;
}
