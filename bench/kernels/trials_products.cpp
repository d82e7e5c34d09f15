// Trials of matrix products and of what follows the head's.
#include "trials.h"

namespace trials {

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

static Tensor targets_of(Draw& draw, int64_t rows, int64_t entries) {
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

}  // namespace trials
