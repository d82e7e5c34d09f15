// peftalign::linear(x, weight, bias) = x weight^T + bias over rows, with gradients, by the products of products.cpp. Nothing is kept
// for the backward pass but what the gradients that are asked for need: of a frozen weight its input is not.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "products.h"

namespace pa {
namespace {

using at::Tensor;

// Composed where a graph of the gradients is asked for.
Tensor product(const Tensor& a, const Tensor& b) { return at::GradMode::is_enabled() ? at::mm(a, b) : products({a}, {b}, {1.0}, {}); }

Tensor row_product(const Tensor& x, const Tensor& weight, const c10::optional<Tensor>& bias) {
    TORCH_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1), "linear: (R, in) and (out, in), not ", x.sizes(), " and ", weight.sizes());
    return products({x}, {weight.t()}, {1.0}, bias);
}

struct Linear : torch::autograd::Function<Linear> {
    static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& weight, const c10::optional<Tensor>& bias) {
        at::AutoDispatchBelowADInplaceOrView below;
        bool by_x = x.requires_grad(), by_weight = weight.requires_grad();
        ctx->saved_data["by_x"] = by_x, ctx->saved_data["by_weight"] = by_weight, ctx->saved_data["by_bias"] = bias && bias->requires_grad();
        ctx->save_for_backward({by_weight ? x : Tensor(), by_x ? weight : Tensor()});
        return row_product(x, weight, bias);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list grads) {
        auto saved = ctx->get_saved_variables();
        Tensor grad = grads[0];
        return {ctx->saved_data["by_x"].toBool() ? product(grad, saved[1]) : Tensor(), ctx->saved_data["by_weight"].toBool() ? product(grad.t(), saved[0]) : Tensor(),
                ctx->saved_data["by_bias"].toBool() ? grad.sum(0) : Tensor()};
    }
};

Tensor with_gradient(const Tensor& x, const Tensor& weight, const c10::optional<Tensor>& bias) { return Linear::apply(x, weight, bias); }

}  // namespace
}  // namespace pa

TORCH_LIBRARY_FRAGMENT(peftalign, m) { m.def("linear(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor"); }
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) { m.impl("linear", pa::row_product); }
TORCH_LIBRARY_IMPL(peftalign, Autograd, m) { m.impl("linear", pa::with_gradient); }
