// peftalign::swiglu(gate, up) = silu(gate) * up over (..., n), with gradients: one pass where the operators one by one take three, and
// nothing kept for the backward pass but the two inputs. Fused for float32 and bfloat16 on the processor; elsewhere, for mixed
// dtypes and for second derivatives it is composed from ATen's operators. Source: Shazeer 2020 (GLU variants).
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "instructions.h"
#include "pool.h"
#include "swiglu_rows.h"

namespace pa {
namespace {

using at::Tensor;
constexpr int64_t kGrain = 1 << 14;  // elements that are worth a thread

bool fused(const Tensor& gate, const Tensor& up) {
    auto type = gate.scalar_type();
    return gate.device().is_cpu() && up.device().is_cpu() && up.scalar_type() == type && (type == at::kFloat || type == at::kBFloat16) && gate.sizes() == up.sizes() && gate.dim() >= 1;
}

// Rows of the last dimension that lie at one distance from each other; a column slice of a wider product is such.
Tensor by_rows(const Tensor& x) {
    Tensor flat = x.dim() == 2 ? x : x.reshape({-1, x.size(-1)});
    return flat.stride(1) == 1 || flat.size(1) <= 1 ? flat : flat.contiguous();
}

template <typename F>
void for_rows(const Tensor& x, F&& body) {
    int64_t n = x.size(-1);
    parallel_runs(n == 0 ? 0 : x.numel() / n, std::max<int64_t>(1, kGrain / std::max<int64_t>(n, 1)), [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; row++) body(row, n);
    });
}

template <typename W>
void forward_rows(const Tensor& gate, const Tensor& up, Tensor& out) {
    auto *pg = gate.data_ptr<W>(), *pu = up.data_ptr<W>(), *po = out.data_ptr<W>();
    int64_t sg = gate.stride(0), su = up.stride(0);
    for_rows(out, [&](int64_t row, int64_t n) {
        with_instructions([=](auto set) PA_INLINED { swiglu::forward<typename decltype(set)::V>(pg + row * sg, pu + row * su, n, po + row * n); });
    });
}

template <typename W>
void backward_rows(const Tensor& grad, const Tensor& gate, const Tensor& up, Tensor& by_gate, Tensor& by_up) {
    auto *pd = grad.data_ptr<W>(), *pg = gate.data_ptr<W>(), *pu = up.data_ptr<W>(), *qg = by_gate.data_ptr<W>(), *qu = by_up.data_ptr<W>();
    int64_t sd = grad.stride(0), sg = gate.stride(0), su = up.stride(0);
    for_rows(by_gate, [&](int64_t row, int64_t n) {
        with_instructions([=](auto set) PA_INLINED { swiglu::backward<typename decltype(set)::V>(pd + row * sd, pg + row * sg, pu + row * su, n, qg + row * n, qu + row * n); });
    });
}

Tensor forward(const Tensor& gate, const Tensor& up) {
    if (!fused(gate, up)) return at::silu(gate) * up;
    Tensor out = at::empty(gate.sizes(), gate.options()), g = by_rows(gate), u = by_rows(up);
    if (gate.scalar_type() == at::kFloat) forward_rows<float>(g, u, out);
    else forward_rows<c10::BFloat16>(g, u, out);
    return out;
}

std::tuple<Tensor, Tensor> backward(const Tensor& grad, const Tensor& gate, const Tensor& up) {
    // On a device each operator is a kernel that reads and writes everything: four of them.
    bool alike = gate.sizes() == up.sizes() && grad.scalar_type() == gate.scalar_type() && up.scalar_type() == gate.scalar_type();
    if (!at::GradMode::is_enabled() && alike && !gate.device().is_cpu()) return {at::silu_backward(grad * up, gate), grad * at::silu(gate)};
    if (at::GradMode::is_enabled() || !fused(gate, up) || grad.scalar_type() != gate.scalar_type()) {
        Tensor s = at::sigmoid(gate), by_gate = grad * up * s * (1 + gate * (1 - s)), by_up = grad * (gate * s);
        return {by_gate.sum_to_size(gate.sizes()).to(gate.scalar_type()), by_up.sum_to_size(up.sizes()).to(up.scalar_type())};
    }
    Tensor by_gate = at::empty(gate.sizes(), gate.options()), by_up = at::empty(up.sizes(), up.options());
    Tensor d = by_rows(grad), g = by_rows(gate), u = by_rows(up);
    if (gate.scalar_type() == at::kFloat) backward_rows<float>(d, g, u, by_gate, by_up);
    else backward_rows<c10::BFloat16>(d, g, u, by_gate, by_up);
    return {by_gate, by_up};
}

struct Swiglu : torch::autograd::Function<Swiglu> {
    static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& gate, const Tensor& up) {
        at::AutoDispatchBelowADInplaceOrView below;
        ctx->save_for_backward({gate, up});
        return pa::forward(gate, up);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list grads) {
        auto saved = ctx->get_saved_variables();
        auto [by_gate, by_up] = pa::backward(grads[0], saved[0], saved[1]);
        return {by_gate, by_up};
    }
};

Tensor with_gradient(const Tensor& gate, const Tensor& up) { return Swiglu::apply(gate, up); }

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) { m.def("swiglu(Tensor gate, Tensor up) -> Tensor"); }
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) { m.impl("swiglu", pa::forward); }
TORCH_LIBRARY_IMPL(peftalign, Autograd, m) { m.impl("swiglu", pa::with_gradient); }
