// peftalign::products(a, b, factors, bias) = bias + sum of factor_i a_i b_i in one call: each output is written where the sum stands in
// the cache, and what would be a pass of its own over it (LoRA's thin product, a bias, the second of two gradients) costs a chunk of
// the depth. peftalign::add_products_ adds to what is there. float32 on the processor, with kernels of our own (product_tiles.h) where it has
// AVX-512, or AVX2 with FMA; elsewhere libtorch's products one after another. PEFTALIGN_PRODUCTS=avx512|avx2|libtorch chooses for
// these products alone. No gradients.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "pool.h"
#include "product_blocks.h"
#include "products.h"

namespace pa {
namespace {

using at::Tensor;
using tiles::Block;
using tiles::Matrix;
using tiles::Sum;

constexpr int64_t kFewestRows = 96;  // for which it is worth packing them again

}  // namespace

Instructions set_of_products() {
    static const int own = [] {
        const char* wanted = std::getenv("PEFTALIGN_PRODUCTS");
        std::string name = wanted ? wanted : "";
        for (Instructions set : {kAvx512, kAvx2})
            if (name == name_of(set) && has_instructions(set)) return static_cast<int>(set);
        TORCH_CHECK(name.empty() || name == "libtorch", "PEFTALIGN_PRODUCTS is '", name, "'; it may be libtorch", has_instructions(kAvx2) ? ", avx2" : "", has_instructions(kAvx512) ? ", avx512" : "",
                    " on this processor, or unset");
        return name.empty() ? -1 : static_cast<int>(kBaseline);
    }();
    return own < 0 ? instructions() : static_cast<Instructions>(own);
}

namespace {

// Shared out as blocks: columns that can be packed together, rows so many that packing costs little, and some blocks for each thread.
void compute(const Sum& s, Instructions set) {
    int64_t wide = set == kAvx512 ? tiles::kColumns<Avx512> : tiles::kColumns<Avx2>, panels = (s.columns + wide - 1) / wide;
    int64_t across = (s.columns + tiles::kTogether - 1) / tiles::kTogether, threads = at::get_num_threads();
    int64_t down = threads == 1 ? 1 : std::max<int64_t>(1, std::min((3 * threads + across - 1) / across, s.rows / kFewestRows));
    int64_t rows = ((s.rows + down - 1) / down + tiles::kRows - 1) / tiles::kRows * tiles::kRows;
    down = (s.rows + rows - 1) / rows;
    parallel(across * down, [&](int64_t task) {
        int64_t c = task / down, r = task % down;  // a thread's next block mostly has the same columns
        Block block{r * rows, std::min(rows, s.rows - r * rows), c * panels / across * wide, 0};
        block.columns = std::min(s.columns, (c + 1) * panels / across * wide) - block.column;
        with_products_of(set, [&s, block](auto own) PA_INLINED { tiles::block_in<decltype(own)>(s, block); });
    });
}

bool ours(const Tensor& t) { return t.device().is_cpu() && t.scalar_type() == at::kFloat && t.dim() == 2; }

Matrix matrix(const Tensor& t) { return {t.data_ptr<float>(), t.stride(0), t.stride(1)}; }

void check(const Tensor& y, at::TensorList a, at::TensorList b, at::ArrayRef<double> factors) {
    TORCH_CHECK(a.size() == b.size() && a.size() == factors.size() && !a.empty(), "products: as many left as right matrices and factors, and at least one, not ", a.size(), ", ", b.size(), " and ", factors.size());
    for (size_t k = 0; k < a.size(); k++)
        TORCH_CHECK(a[k].dim() == 2 && b[k].dim() == 2 && a[k].size(1) == b[k].size(0) && a[k].size(0) == y.size(0) && b[k].size(1) == y.size(1), "products: ", a[k].sizes(), " times ", b[k].sizes(), " is not ", y.sizes());
}

// With `add` y holds something already.
void composed(Tensor& y, at::TensorList a, at::TensorList b, at::ArrayRef<double> factors, bool add) {
    for (size_t k = 0; k < a.size(); k++) at::addmm_out(y, y, a[k], b[k], add || k > 0 ? 1 : 0, factors[k]);
}

void into(Tensor& y, bool add, const Tensor& bias, at::TensorList a, at::TensorList b, at::ArrayRef<double> factors) {
    Sum s{{}, add, bias.defined() ? bias.data_ptr<float>() : nullptr, y.data_ptr<float>(), y.size(0), y.size(1), y.stride(0)};
    std::vector<Tensor> kept;
    for (size_t k = 0; k < a.size(); k++) {
        bool lies = b[k].stride(0) == 1 || b[k].stride(1) == 1;
        if (!lies) kept.push_back(b[k].contiguous());
        s.pairs.push_back({matrix(a[k]), matrix(lies ? b[k] : kept.back()), a[k].size(1), static_cast<float>(factors[k])});
    }
    bool nothing = !s.add && !s.bias && std::all_of(s.pairs.begin(), s.pairs.end(), [](const tiles::Pair& p) { return p.depth == 0; });
    if (nothing) y.zero_();
    else if (y.numel() > 0) compute(s, set_of_products());
}

}  // namespace

Tensor products(at::TensorList a, at::TensorList b, at::ArrayRef<double> factors, const c10::optional<Tensor>& bias) {
    TORCH_CHECK(!a.empty() && !b.empty() && a[0].dim() == 2 && b[0].dim() == 2, "products: matrices");
    Tensor y = at::empty({a[0].size(0), b[0].size(1)}, a[0].options());
    check(y, a, b, factors);
    TORCH_CHECK(!bias || (bias->dim() == 1 && bias->size(0) == y.size(1) && bias->scalar_type() == y.scalar_type()), "products: bias is (", y.size(1), "), not ", bias ? bias->sizes() : y.sizes());
    if (set_of_products() && ours(y) && std::all_of(a.begin(), a.end(), ours) && std::all_of(b.begin(), b.end(), ours)) {
        into(y, false, bias ? bias->contiguous() : Tensor(), a, b, factors);
        return y;
    }
    if (bias) y.copy_(bias->expand_as(y));
    composed(y, a, b, factors, bias.has_value());
    return y;
}

namespace {

Tensor& add_products(Tensor& y, at::TensorList a, at::TensorList b, at::ArrayRef<double> factors) {
    check(y, a, b, factors);
    bool fast = set_of_products() && ours(y) && y.stride(1) == 1 && std::all_of(a.begin(), a.end(), ours) && std::all_of(b.begin(), b.end(), ours);
    if (fast) into(y, true, {}, a, b, factors);
    else composed(y, a, b, factors, true);
    return y;
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) {
    m.def("products(Tensor[] a, Tensor[] b, float[] factors, Tensor? bias=None) -> Tensor");
    m.def("products_instructions() -> int", [] { return static_cast<int64_t>(pa::set_of_products()); });
    m.def("add_products_(Tensor(a!) y, Tensor[] a, Tensor[] b, float[] factors) -> Tensor(a!)");
}
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) {
    m.impl("products", pa::products);
    m.impl("add_products_", pa::add_products);
}
