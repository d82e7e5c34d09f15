// What the kernels of native/ must give, from libtorch's operators in float64, where nothing is fused, packed, blocked or shared among
// threads; and random inputs. For check.cpp.
#pragma once
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace plain {

using at::Tensor;

inline Tensor wide(const Tensor& t) { return t.detach().to(at::kDouble); }

// Random numbers of one case, which follow from its seed.
struct Draw {
    std::mt19937_64 random;
    explicit Draw(uint64_t seed) : random(seed) {}

    int64_t below(int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); }
    bool coin() { return below(2) == 1; }

    // Sizes around vectors, tiles and blocks, and now and then one beyond them.
    int64_t size(int64_t most = 600) {
        static const int64_t sizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 95, 97, 127, 128, 129, 255, 256, 257, 260, 300, 511, 513, 600};
        int64_t n;
        do n = sizes[below(sizeof sizes / sizeof *sizes)];
        while (n > most);
        return n;
    }

    at::ScalarType type() { return coin() ? at::kFloat : at::kBFloat16; }

    Tensor normal(at::IntArrayRef sizes, at::ScalarType type = at::kFloat) {
        Tensor t = at::empty(sizes, at::kFloat);
        std::normal_distribution<float> law;
        std::generate_n(t.data_ptr<float>(), t.numel(), [&] { return law(random); });
        return t.to(type);
    }

    // The same numbers as rows, as columns, as every second column of wider rows, or in memory that begins anywhere.
    Tensor laid_out(const Tensor& t) {
        switch (below(4)) {
            case 0: return t.t().contiguous().t();
            case 1: return at::stack({t, t}, 2).select(2, 0);
            case 2: return at::cat({t, t}, 1).narrow(1, t.size(1), t.size(1));
            default: return t;
        }
    }
};

// Pairs turn by the rotary angles of their positions: cos (R, W), sin (R, W / 2), x (R, heads, D).
inline Tensor turned(const Tensor& x, const Tensor& cos, const Tensor& sin) {
    if (!cos.defined()) return x;
    int64_t turns = cos.size(1), half = turns / 2;
    Tensor a = x.narrow(2, 0, half), b = x.narrow(2, half, half), c = cos.narrow(1, 0, half).unsqueeze(1), z = sin.unsqueeze(1);
    return at::cat({a * c - b * z, b * c + a * z, x.narrow(2, turns, x.size(2) - turns)}, 2);
}

// q (R, H, D), k and v (S, G, D), seen (R, S): (R, H, D). cap: of scores, or 0.
inline Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& seen, double scale, double cap = 0) {
    int64_t share = q.size(1) / k.size(1);
    Tensor keys = k.repeat_interleave(share, 1).transpose(0, 1), values = v.repeat_interleave(share, 1).transpose(0, 1);
    Tensor scores = q.transpose(0, 1).matmul(keys.transpose(1, 2)) * scale;
    if (cap > 0) scores = (scores / cap).tanh() * cap;
    return scores.masked_fill(seen.logical_not(), -std::numeric_limits<double>::infinity()).softmax(-1).matmul(values).transpose(0, 1);
}

inline Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) { return x * (x.square().mean(-1, true) + eps).rsqrt() * weight; }

inline Tensor silu(const Tensor& x) { return x * x.sigmoid(); }

// The seven figures of target_figures.h, (7, N).
inline Tensor figures(const Tensor& logits, const Tensor& targets) {
    Tensor log_probs = logits.log_softmax(-1), at = targets.unsqueeze(1), largest = logits.amax({1}, true);
    return at::stack({log_probs.gather(1, at).squeeze(1), log_probs.mean({1}), (log_probs.exp() * log_probs).sum(1).neg(), logits.argmax(1).eq(targets).to(at::kDouble), (2 * log_probs).logsumexp({1}),
                      logits.mean({1}), 1 / (logits - largest).exp().sum(1)});
}

// Which entries rank from `first` on, by sorting.
inline Tensor ranked(const Tensor& magnitude, int64_t first, int64_t count, bool first_is_largest) {
    const float* size = magnitude.data_ptr<float>();
    std::vector<int64_t> order(magnitude.numel());
    for (size_t k = 0; k < order.size(); k++) order[k] = static_cast<int64_t>(k);
    std::sort(order.begin(), order.end(), [=](int64_t a, int64_t b) { return size[a] != size[b] ? size[a] < size[b] : first_is_largest ? a > b : a < b; });
    Tensor kept = at::zeros_like(magnitude, at::kBool);
    for (int64_t k = first; k < first + count; k++) kept.data_ptr<bool>()[order[k]] = true;
    return kept;
}

// Groups of rows that are trees: a prompt, and branches behind it that see it and themselves.
struct Trees {
    std::vector<int64_t> groups;  // first row and length of each
    Tensor spans, seen;           // (R, 4) int32, (R, R)

    Trees(Draw& draw, int64_t count, int64_t most) {
        std::vector<int32_t> all;
        int64_t rows = 0;
        for (int64_t g = 0; g < count; g++) {
            int32_t prompt = static_cast<int32_t>(draw.below(most)), end = prompt;
            for (int32_t r = 0; r < prompt; r++) all.insert(all.end(), {0, r + 1, 0, 0});
            for (int64_t branch = prompt == 0 ? 1 + draw.below(3) : draw.below(4); branch > 0; branch--) {
                int32_t first = end, from = draw.coin() ? 0 : prompt / 2;  // a window may hide the prompt's beginning
                end += static_cast<int32_t>(1 + draw.below(most));
                for (int32_t r = first; r < end; r++) all.insert(all.end(), {from, prompt, first, r + 1});
            }
            groups.insert(groups.end(), {rows, end}), rows += end;
        }
        spans = at::empty({rows, 4}, at::kInt), seen = at::zeros({rows, rows}, at::kBool);
        std::copy(all.begin(), all.end(), spans.data_ptr<int32_t>());
        for (size_t g = 0; g < groups.size(); g += 2)
            for (int64_t r = groups[g]; r < groups[g] + groups[g + 1]; r++)
                for (int run = 0; run < 4; run += 2)
                    if (all[4 * r + run] < all[4 * r + run + 1]) seen[r].narrow(0, groups[g] + all[4 * r + run], all[4 * r + run + 1] - all[4 * r + run]).fill_(true);
    }
};

}  // namespace plain
