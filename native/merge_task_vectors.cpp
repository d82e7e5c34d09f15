// The weighted sum of sparse task vectors over a base, with or without an election of signs (TIES, Yadav et al. 2023): in float,
// entry by entry, rounded once. Masks have one bit per entry (merge_masks.cpp); an empty mask keeps all.
#include <torch/library.h>

#include "merge_blocks.h"

namespace pa {
namespace merge {
namespace {

// What is the same for every entry.
struct Rule {
    bool elect, normalize;
    float lambda, weight_sum;
};

// out = factor * (x - base) where the bit is set, else 0. `factor` is weight times rescaling.
void masked_difference(const float* x, const float* base, const uint64_t* words, float factor, float* out, int64_t n) {
    with_instructions([=](auto) PA_INLINED {
        if (words == nullptr) {
            for (int64_t k = 0; k < n; k++) out[k] = factor * (x[k] - base[k]);
            return;
        }
        for (int64_t w = 0; w * 32 < n; w++) {
            auto word = static_cast<uint32_t>(words[w / 2] >> (w % 2 * 32));
            int64_t first = w * 32, count = std::min<int64_t>(32, n - first);
            for (int64_t k = 0; k < count; k++) {
                float d = factor * (x[first + k] - base[first + k]);
                uint32_t bits;
                std::memcpy(&bits, &d, 4);
                bits &= 0u - (word >> k & 1u);
                std::memcpy(out + first + k, &bits, 4);
            }
        }
    });
}

void add(const float* x, float* out, int64_t n) {
    with_instructions([=](auto) PA_INLINED {
        for (int64_t k = 0; k < n; k++) out[k] += x[k];
    });
}

// Keeps the entries whose sign is the elected one (plus where the sum is 0); counts their weights.
void elected(const float* x, const float* sum, float weight, float* kept, float* weights, int64_t n) {
    with_instructions([=](auto set) PA_INLINED {
        typename decltype(set)::V own, by, all, total;
        for (int64_t k = 0; k < n; k += lanes::width<decltype(own)>()) {
            lanes::load_part(own, x + k, n - k), lanes::load_part(by, sum + k, n - k), lanes::load_part(all, kept + k, n - k), lanes::load_part(total, weights + k, n - k);
            auto along = by >= 0.0f ? own : -own;
            all += along <= 0.0f ? decltype(own){} : own;  // false for NaN, which is carried
            total += along <= 0.0f ? decltype(own){} : decltype(own){} + weight;
            lanes::store_part(all, kept + k, n - k), lanes::store_part(total, weights + k, n - k);
        }
    });
}

void divide(float* x, const float* weights, int64_t n) {
    with_instructions([=](auto set) PA_INLINED {
        typename decltype(set)::V own, by;
        for (int64_t k = 0; k < n; k += lanes::width<decltype(own)>()) {
            lanes::load_part(own, x + k, n - k), lanes::load_part(by, weights + k, n - k);
            own /= by == 0.0f ? decltype(own){} + 1.0f : by;
            lanes::store_part(own, x + k, n - k);
        }
    });
}

void finish(const float* base, const float* mixed, float factor, float* out, int64_t n) {
    with_instructions([=](auto) PA_INLINED {
        for (int64_t k = 0; k < n; k++) out[k] = base[k] + factor * mixed[k];
    });
}

void merge_block(const float* base, float* differences, at::ArrayRef<double> weights, const Rule& rule, float* out, int64_t n) {
    float sum[kBlock], kept[kBlock], divisor[kBlock];
    std::fill_n(sum, n, 0.0f);
    for (size_t i = 0; i < weights.size(); i++) add(differences + i * kBlock, sum, n);
    if (!rule.elect) return finish(base, sum, rule.lambda / (rule.normalize ? rule.weight_sum : 1.0f), out, n);
    std::fill_n(kept, n, 0.0f), std::fill_n(divisor, n, 0.0f);
    for (size_t i = 0; i < weights.size(); i++) elected(differences + i * kBlock, sum, static_cast<float>(weights[i]), kept, divisor, n);
    if (rule.normalize) divide(kept, divisor, n);
    finish(base, kept, rule.lambda, out, n);
}

Tensor task_vectors(const Tensor& base, at::TensorList inputs, at::TensorList masks, at::ArrayRef<double> weights, at::ArrayRef<double> scales, bool elect,
                    bool normalize, double lambda, at::ScalarType dtype) {
    std::vector<Tensor> all(inputs.begin(), inputs.end());
    all.push_back(base);
    auto tensors = checked(all, "merge_task_vectors");
    check_type(dtype, "merge_task_vectors");
    size_t m = inputs.size();
    TORCH_CHECK(m > 0 && masks.size() == m && weights.size() == m && scales.size() == m, "merge_task_vectors takes a mask, a weight and a scale per tensor");
    double sum = 0;
    for (double weight : weights) sum += weight;
    Rule rule{elect, normalize, static_cast<float>(lambda), std::abs(sum) < 1e-8 ? 1.0f : static_cast<float>(sum)};
    Tensor out = at::empty(base.sizes(), tensors[m].options().dtype(dtype));
    int64_t n = out.numel();
    for (const Tensor& mask : masks) TORCH_CHECK(mask.numel() == 0 || (mask.numel() == (n + 63) / 64 && mask.scalar_type() == at::kLong && mask.is_contiguous() && mask.device().is_cpu()), "merge_task_vectors: a mask has ", mask.numel(), " words for ", n, " entries");
    for_tasks(n, [&](int64_t, int64_t begin, int64_t end) {
        std::vector<float> differences(m * kBlock);
        float first[kBlock], second[kBlock], result[kBlock];
        for (int64_t at = begin; at < end; at += kBlock) {
            int64_t count = std::min(kBlock, end - at);
            const float* origin = Source(tensors[m]).read(at, count, first);
            for (size_t i = 0; i < m; i++) {
                auto words = masks[i].numel() == 0 ? nullptr : reinterpret_cast<const uint64_t*>(masks[i].data_ptr<int64_t>()) + at / 64;
                masked_difference(Source(tensors[i]).read(at, count, second), origin, words, static_cast<float>(weights[i] * scales[i]), differences.data() + i * kBlock, count);
            }
            merge_block(origin, differences.data(), weights, rule, result, count);
            store(out, at, result, count);
        }
    });
    return out;
}

}  // namespace
}  // namespace merge
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) {
    m.def("merge_task_vectors(Tensor base, Tensor[] inputs, Tensor[] masks, float[] weights, float[] scales, bool elect, bool normalize, float lambd, ScalarType dtype) -> Tensor");
}
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) { m.impl("merge_task_vectors", pa::merge::task_vectors); }
