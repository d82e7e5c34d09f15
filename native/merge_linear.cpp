// Linear merges. merge_gram: the inner products of models (or of their differences from a base: no tensor or one), in double. merge_combine: the
// weighted sum of models in float, rounded once. Slerp, Karcher means and the like are both: weights found from the products.
#include <torch/library.h>

#include "merge_blocks.h"

namespace pa {
namespace merge {
namespace {

void subtract(const float* x, const float* base, float* out, int64_t n) {
    with_instructions([=](auto) PA_INLINED {
        for (int64_t k = 0; k < n; k++) out[k] = x[k] - base[k];
    });
}

// Sums run in 16 lanes, added in a fixed order.
double dot(const float* a, const float* b, int64_t n) {
    return with_instructions([=](auto) PA_INLINED {
        float lanes[16] = {};
        int64_t k = 0;
        for (; k + 16 <= n; k += 16)
            for (int64_t j = 0; j < 16; j++) lanes[j] += a[k + j] * b[k + j];
        double sum = 0;
        for (float lane : lanes) sum += lane;
        for (; k < n; k++) sum += static_cast<double>(a[k]) * b[k];
        return sum;
    });
}

void add_scaled(const float* x, float weight, float* out, int64_t n) {
    with_instructions([=](auto) PA_INLINED {
        for (int64_t k = 0; k < n; k++) out[k] += weight * x[k];
    });
}

void set_scaled(const float* x, float weight, float* out, int64_t n) {
    with_instructions([=](auto) PA_INLINED {
        for (int64_t k = 0; k < n; k++) out[k] = weight * x[k];
    });
}

Tensor gram(at::TensorList inputs, at::TensorList base) {
    std::vector<Tensor> all(inputs.begin(), inputs.end());
    bool shifted = !base.empty();
    if (shifted) all.push_back(base[0]);
    auto tensors = checked(all, "merge_gram");
    int64_t m = inputs.size(), n = tensors[0].numel();
    std::vector<double> partial(tasks_of(n) * m * m);
    for_tasks(n, [&](int64_t task, int64_t begin, int64_t end) {
        std::vector<float> scratch((m + 1) * kBlock);
        std::vector<const float*> x(m);
        double* sums = partial.data() + task * m * m;
        for (int64_t at = begin; at < end; at += kBlock) {
            int64_t count = std::min(kBlock, end - at);
            const float* origin = shifted ? Source(tensors[m]).read(at, count, scratch.data() + m * kBlock) : nullptr;
            for (int64_t i = 0; i < m; i++) {
                float* own = scratch.data() + i * kBlock;
                x[i] = Source(tensors[i]).read(at, count, own);
                if (shifted) subtract(x[i], origin, own, count), x[i] = own;
            }
            for (int64_t i = 0; i < m; i++)
                for (int64_t j = 0; j <= i; j++) sums[i * m + j] += dot(x[i], x[j], count);
        }
    });
    Tensor out = at::zeros({m, m}, at::kDouble);
    double* products = out.data_ptr<double>();
    for (int64_t task = 0; task < tasks_of(n); task++)
        for (int64_t k = 0; k < m * m; k++) products[k] += partial[task * m * m + k];
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < i; j++) products[j * m + i] = products[i * m + j];
    return out;
}

Tensor combine(at::TensorList inputs, at::ArrayRef<double> weights, at::ScalarType dtype) {
    auto tensors = checked(inputs, "merge_combine");
    check_type(dtype, "merge_combine");
    TORCH_CHECK(weights.size() == tensors.size(), "merge_combine takes a weight per tensor, not ", weights.size(), " for ", tensors.size());
    Tensor out = at::empty(tensors[0].sizes(), tensors[0].options().dtype(dtype));
    for_tasks(out.numel(), [&](int64_t, int64_t begin, int64_t end) {
        float scratch[kBlock], sum[kBlock];
        for (int64_t at = begin; at < end; at += kBlock) {
            int64_t count = std::min(kBlock, end - at);
            for (size_t i = 0; i < tensors.size(); i++) {
                const float* x = Source(tensors[i]).read(at, count, scratch);
                if (i == 0) set_scaled(x, static_cast<float>(weights[i]), sum, count);
                else add_scaled(x, static_cast<float>(weights[i]), sum, count);
            }
            store(out, at, sum, count);
        }
    });
    return out;
}

}  // namespace
}  // namespace merge
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) {
    m.def("merge_gram(Tensor[] inputs, Tensor[] base) -> Tensor");
    m.def("merge_combine(Tensor[] inputs, float[] weights, ScalarType dtype) -> Tensor");
}
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) {
    m.impl("merge_gram", pa::merge::gram);
    m.impl("merge_combine", pa::merge::combine);
}
