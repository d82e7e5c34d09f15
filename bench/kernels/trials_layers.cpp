// Trials of norms and of the gated activation.
#include "trials.h"

namespace trials {

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

}  // namespace trials
