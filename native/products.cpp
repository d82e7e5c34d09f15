// peftalign::products(a, b, factors, bias) = bias + sum of factor_i a_i b_i in one call: each output is written where the sum stands in
// the cache, and what would be a pass of its own over it (LoRA's thin product, a bias, the second of two gradients) costs a chunk of
// the depth. peftalign::add_products_ adds to what is there. Each pair is float32 or bfloat16, and so is the result, which is rounded
// once. Our own kernels (product_tiles.h) compute on processors with AVX-512, or AVX2 and FMA; elsewhere libtorch's products run one
// after another. PEFTALIGN_PRODUCTS=avx512_bf16|avx512|avx2|libtorch chooses for these products alone. No gradients.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/library.h>

#include <limits>
#include <memory>
#include <vector>

#include "pool.h"
#include "product_blocks.h"
#include "products.h"

namespace pa {
namespace {

using at::Tensor;
using tiles::Block;
using tiles::divided;
using tiles::Sum;
using tiles::whole_tiles;

constexpr int64_t kFewestRows = 96;  // for which it is worth packing them again

bool has_amx() {
#if defined(__x86_64__)
    return __builtin_cpu_supports("amx-bf16");
#else
    return false;
#endif
}

}  // namespace

Instructions set_of_products(at::ScalarType type) {
    static const int asked = named_instructions("PEFTALIGN_PRODUCTS", "libtorch");
    static const bool amx = has_amx();
    if (asked >= 0) return static_cast<Instructions>(asked);
    return type == at::kBFloat16 && amx && instructions() == kAvx512Bf16 ? kBaseline : instructions();
}

namespace {

// The result: float32, or bfloat16 made of float32 sums.
struct Result {
    void* y;
    int64_t row;  // elements
    bool narrow;
};

// This thread's buffer for the float32 sums of a block of a bfloat16 result.
constexpr int64_t kMostNarrow = 504 * tiles::kTogether;

float* own_sums() {
    static thread_local std::unique_ptr<tiles::Line[]> sums(new tiles::Line[kMostNarrow / 16]);
    return sums[0].values;
}

template <class Set>
PA_INLINE void block_of(const Sum& s, const Result& to, Block block) {
    if (!to.narrow) {
        block.y = static_cast<float*>(to.y) + block.row * to.row + block.column, block.y_row = to.row;
        return tiles::block_in<Set>(s, block);
    }
    block.rounded = static_cast<c10::BFloat16*>(to.y) + block.row * to.row + block.column, block.rounded_row = to.row;
    block.y = own_sums(), block.y_row = divided(block.columns, 16) * 16;
    for (int64_t m = 0; s.add && m < block.rows; m++)
        for (int64_t n = 0; n < block.columns; n++) block.y[m * block.y_row + n] = lanes::one(block.rounded + m * block.rounded_row + n);
    tiles::block_in<Set>(s, block);
}

// An order of the runs of columns in which `together` consecutive ones are far apart in the result: cores that write to neighbouring
// lines at the same time prefetch each other's lines, which cost a tenth of a product's time.
std::vector<int64_t> apart(int64_t count, int64_t together) {
    std::vector<int64_t> order;
    int64_t each = divided(count, together);
    for (int64_t k = 0; k < each; k++)
        for (int64_t from = k; from < count; from += each) order.push_back(from);
    return order;
}

// A result's blocks: runs of columns times runs of rows.
struct Shares {
    int64_t across, down;
};

// The division into blocks with which the last thread is done soonest. A block costs its rows, the packing of its columns and the reading
// of the left factor; in the last round some threads wait. A block is at most as wide as what is packed at once,
// and its rows times panels fit `room`.
Shares shares(int64_t rows, int64_t panels, int64_t most, int64_t threads, int64_t room) {
    constexpr double kPacking = 28, kReading = 0.15, kWaiting = 0.25;  // in rows of a panel, panels of a row, rounds
    double least = std::numeric_limits<double>::infinity();
    int64_t widest = divided(panels, most), narrowest = threads == 1 ? widest : divided(panels, std::max<int64_t>(1, most / 2));
    Shares best{widest, 1};
    for (int64_t across = widest; across <= narrowest; across++)
        for (int64_t down = 1, thin = divided(panels, across); down <= std::max<int64_t>(1, rows / kFewestRows); down++) {
            int64_t high = whole_tiles(divided(rows, down));
            double cost = (divided(across * down, threads) + (threads == 1 ? 0 : kWaiting)) * (thin * (high + kPacking) + high * kReading);
            if (cost < least && high * thin <= room) least = cost, best = {across, down};
        }
    return best;
}

void compute(const Sum& s, const Result& to, Instructions set) {
    int64_t wide = set == kAvx2 ? tiles::kColumns<Avx2> : tiles::kColumns<Avx512>, panels = divided(s.columns, wide), threads = at::get_num_threads();
    auto [across, parts] = shares(s.rows, panels, tiles::kTogether / wide, threads, to.narrow ? kMostNarrow / wide : std::numeric_limits<int64_t>::max());
    int64_t runs = across, rows = whole_tiles(divided(s.rows, parts)), down = divided(s.rows, rows);
    std::vector<int64_t> order = apart(runs, std::min(runs, divided(threads, down)));
    parallel(runs * down, [&](int64_t task) {
        int64_t c = order[task / down], r = task % down;  // a thread's next block mostly has the same columns
        Block block{r * rows, std::min(rows, s.rows - r * rows), c * panels / runs * wide, 0, nullptr, 0};
        block.columns = std::min(s.columns, (c + 1) * panels / runs * wide) - block.column;
        with_products_of(set, [&s, &to, block](auto own) PA_INLINED { block_of<decltype(own)>(s, to, block); });
    });
}

bool ours(const Tensor& t) {
    return t.device().is_cpu() && (t.scalar_type() == at::kFloat || t.scalar_type() == at::kBFloat16) && t.dim() == 2 && set_of_products(t.scalar_type());
}

bool all_ours(at::TensorList a, at::TensorList b) {
    for (size_t k = 0; k < a.size(); k++)
        if (!ours(a[k]) || !ours(b[k]) || a[k].scalar_type() != b[k].scalar_type()) return false;
    return true;
}

const char* bytes(const Tensor& t) { return static_cast<const char*>(t.data_ptr()); }

// A left factor (M, K) of bfloat16 stored column by column, transposed so that a row's steps are side by side.
Tensor turned(const Tensor& a) {
    constexpr int64_t kTogether = 64;
    int64_t rows = a.size(0), units = a.size(1) / 2;
    Tensor whole = at::empty({rows, 2 * units}, a.options());
    float* to = static_cast<float*>(whole.data_ptr());
    tiles::Matrix from{bytes(a), 4 * a.stride(1), 2};
    parallel((rows + kTogether - 1) / kTogether, [&](int64_t task) {
        with_products_of(set_of_products(at::kBFloat16), [=](auto) PA_INLINED {
            for (int64_t m = task * kTogether, end = std::min(rows, m + kTogether); m < end; m += 8)
                for (int64_t k = 0; k < units; k += 8) {
                    float aside[8 * 8];
                    int64_t wide = std::min<int64_t>(8, end - m), depth = std::min<int64_t>(8, units - k);
                    tiles::zip({from.at(k, m), from.row, from.column}, wide, depth, 8, aside);
                    if (wide == 8 && depth == 8) transpose<lanes::V8>(aside, 8, to + m * units + k, units);
                    else
                        for (int64_t i = 0; i < wide; i++)
                            for (int64_t j = 0; j < depth; j++) to[(m + i) * units + k + j] = aside[j * 8 + i];
                }
        });
    });
    return whole;
}

tiles::Pair singles(const Tensor& a, const Tensor& b, float factor, std::vector<Tensor>& kept) {
    kept.push_back(b.stride(0) == 1 || b.stride(1) == 1 ? b : b.contiguous());
    const Tensor& right = kept.back();
    return {tiles::matrix(a.data_ptr<float>(), a.stride(0), a.stride(1)), tiles::matrix(right.data_ptr<float>(), right.stride(0), right.stride(1)), a.size(1), factor};
}

// Of an even depth. Two steps of the left factor lie side by side; of the right one they do, whole units apart, or columns do.
tiles::Pair twos(const Tensor& a, const Tensor& b, float factor, std::vector<Tensor>& kept) {
    Tensor left = a.stride(1) == 1 ? a : turned(a.stride(0) == 1 ? a : a.t().contiguous().t());
    Tensor right = b.stride(1) == 1 || (b.stride(0) == 1 && b.stride(1) % 2 == 0) ? b : b.contiguous();
    kept.push_back(left), kept.push_back(right);
    return {{bytes(left), 2 * left.stride(0), tiles::kUnit}, {bytes(right), 4 * right.stride(0), 2 * right.stride(1)}, left.size(1) / 2, factor, true};
}

// A product as the tiles read it; what had to be copied is kept. The last step of an odd depth of bfloat16 is one of float32.
void take(Sum& s, const Tensor& a, const Tensor& b, float factor, std::vector<Tensor>& kept) {
    int64_t depth = a.size(1), even = depth / 2 * 2;
    if (a.scalar_type() == at::kFloat) {
        if (depth > 0) s.pairs.push_back(singles(a, b, factor, kept));
        return;
    }
    if (even > 0) s.pairs.push_back(twos(a.narrow(1, 0, even), b.narrow(0, 0, even), factor, kept));
    if (even == depth) return;
    kept.push_back(a.narrow(1, even, 1).to(at::kFloat));
    Tensor left = kept.back();
    s.pairs.push_back(singles(left, b.narrow(0, even, 1).to(at::kFloat), factor, kept));
}

void check(const Tensor& y, at::TensorList a, at::TensorList b, at::ArrayRef<double> factors) {
    TORCH_CHECK(a.size() == b.size() && a.size() == factors.size() && !a.empty(), "products: as many left as right matrices and factors, and at least one, not ", a.size(), ", ", b.size(), " and ", factors.size());
    for (size_t k = 0; k < a.size(); k++)
        TORCH_CHECK(a[k].dim() == 2 && b[k].dim() == 2 && a[k].size(1) == b[k].size(0) && a[k].size(0) == y.size(0) && b[k].size(1) == y.size(1), "products: ", a[k].sizes(), " times ", b[k].sizes(), " is not ", y.sizes());
}

// With `add`, the product is added to what y holds. A product of another type is rounded first.
void composed(Tensor& y, bool add, at::TensorList a, at::TensorList b, at::ArrayRef<double> factors) {
    for (size_t k = 0; k < a.size(); k++) {
        bool first = !add && k == 0;
        if (a[k].scalar_type() == y.scalar_type()) {
            at::addmm_out(y, y, a[k], b[k], first ? 0 : 1, factors[k]);
            continue;
        }
        Tensor own = at::mm(a[k], b[k]);
        if (first) y.copy_(factors[k] == 1 ? own : own.mul_(factors[k]));
        else y.add_(own, factors[k]);
    }
}

void into(Tensor& y, bool add, const Tensor& bias, at::TensorList a, at::TensorList b, at::ArrayRef<double> factors) {
    Sum s{{}, add, bias.defined() ? bias.data_ptr<float>() : nullptr, y.size(0), y.size(1)};
    std::vector<Tensor> kept;
    for (size_t k = 0; k < a.size(); k++) take(s, a[k], b[k], static_cast<float>(factors[k]), kept);
    if (!s.pairs.empty() && y.numel() > 0) compute(s, {y.data_ptr(), y.stride(0), y.scalar_type() == at::kBFloat16}, set_of_products(a[0].scalar_type()));
    else if (s.bias) y.copy_(bias.expand_as(y));
    else if (!add) y.zero_();
}

}  // namespace

Tensor products(at::TensorList a, at::TensorList b, at::ArrayRef<double> factors, const c10::optional<Tensor>& bias, c10::optional<at::ScalarType> type) {
    TORCH_CHECK(!a.empty() && !b.empty() && a[0].dim() == 2 && b[0].dim() == 2, "products: matrices");
    Tensor y = at::empty({a[0].size(0), b[0].size(1)}, a[0].options().dtype(type.value_or(a[0].scalar_type())));
    check(y, a, b, factors);
    TORCH_CHECK(!bias || (bias->dim() == 1 && bias->size(0) == y.size(1) && bias->scalar_type() == y.scalar_type()), "products: bias is (", y.size(1), "), not ", bias ? bias->sizes() : y.sizes());
    if (ours(y) && all_ours(a, b)) {
        into(y, false, bias ? bias->to(at::kFloat).contiguous() : Tensor(), a, b, factors);
        return y;
    }
    if (bias) y.copy_(bias->expand_as(y));
    composed(y, bias.has_value(), a, b, factors);
    return y;
}

namespace {

Tensor& add_products(Tensor& y, at::TensorList a, at::TensorList b, at::ArrayRef<double> factors) {
    check(y, a, b, factors);
    if (ours(y) && y.stride(1) == 1 && all_ours(a, b)) into(y, true, {}, a, b, factors);
    else composed(y, true, a, b, factors);
    return y;
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) {
    m.def("products(Tensor[] a, Tensor[] b, float[] factors, Tensor? bias=None, ScalarType? dtype=None) -> Tensor");
    m.def("products_instructions(ScalarType type) -> int", [](at::ScalarType type) { return static_cast<int64_t>(pa::set_of_products(type)); });
    m.def("add_products_(Tensor(a!) y, Tensor[] a, Tensor[] b, float[] factors) -> Tensor(a!)");
}
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) {
    m.impl("products", pa::products);
    m.impl("add_products_", pa::add_products);
}
