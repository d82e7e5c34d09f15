// Trials of what merges compute.
#include "trials.h"

namespace trials {

static int64_t entries_of(Draw& draw) {
    static const int64_t counts[] = {0, 1, 63, 64, 65, 2047, 2048, 2049, 65535, 65536, 65537, 200'001};
    return counts[draw.below(12)];
}

static Tensor any_type(Draw& draw, int64_t n) {
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

}  // namespace trials
