// peftalign::rms_norm(x, weight, eps) = weight * x / sqrt(mean(x^2) + eps) over the last dimension, with gradients.
// Sums are fp32 (fp64 for double); for bf16 and fp16 the normalised value is rounded to the input's dtype before the
// weight multiplies it, as Hugging Face's LlamaRMSNorm does. Fused on the processor; elsewhere, for mixed dtypes and for
// second derivatives it is composed from ATen's operators. Source: Zhang and Sennrich 2019 (RMSNorm).
// peftalign::residual_norm(x, added, weight, eps) = (s, rms_norm(s, weight, eps)) of s = x + added, rounded as the two operators
// would: one pass over the rows forward, and one backward, where what comes through s itself is added to the norm's gradient.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cmath>

#include "pool.h"
#include "rms_norm_rows.h"

namespace pa {
namespace {

using at::Tensor;
constexpr int64_t kGrain = 1 << 14;  // elements that are worth a thread
constexpr int64_t kColumns = 64;     // width of a task that sums over rows
constexpr int64_t kRows = 128;       // rows summed in fp32 before the total in fp64

void check(const Tensor& x, const Tensor& weight) {
    TORCH_CHECK(at::isFloatingType(x.scalar_type()) && at::isFloatingType(weight.scalar_type()),
                "rms_norm needs floating-point tensors, not ", x.scalar_type(), " and ", weight.scalar_type());
    TORCH_CHECK(x.dim() >= 1 && weight.dim() == 1 && weight.size(0) == x.size(-1), "rms_norm: a weight of shape ", weight.sizes(),
                " does not fit an input of shape ", x.sizes(), "; it needs one dimension as long as the input's last");
    TORCH_CHECK(x.device() == weight.device(), "rms_norm: the input lies on ", x.device(), ", the weight on ", weight.device());
}

at::ScalarType sum_type(const Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

bool fused(const Tensor& x, const Tensor& weight) {
    auto type = x.scalar_type();
    return x.device().is_cpu() && weight.scalar_type() == type &&
           (type == at::kFloat || type == at::kDouble || type == at::kBFloat16 || type == at::kHalf);
}

// A row as fp32: itself where it is fp32 or fp64 already, else a copy in the buffer.
template <typename T, typename A>
struct Row {
    std::vector<A> buffer;
    explicit Row(int64_t n) : buffer(std::is_same<T, A>::value ? 0 : n) {}
    PA_INLINE const A* read(const T* p, int64_t n) {
        if constexpr (std::is_same<T, A>::value) {
            (void)n;
            return p;
        } else {
            rows::widen(p, buffer.data(), n);
            return buffer.data();
        }
    }
};

// out = x * r, rounded to T.
template <typename T, typename A>
PA_INLINE void normalise(const A* x, A r, A* out, T* rounded, int64_t n) {
    rows::scale(x, r, out, n);
    if constexpr (!std::is_same<T, A>::value) {
        rows::narrow(out, rounded, n);
        rows::widen(rounded, out, n);
    } else {
        (void)rounded;
    }
}

// What is normalised: x, or x + added, which is written to sum.
struct Source {
    Tensor x, added, sum;
};

template <typename T, typename A>
void forward_rows(const Source& source, const Tensor& weight, double eps, Tensor& y, Tensor& inverse) {
    int64_t n = weight.size(0), count = inverse.numel();
    bool adds = source.added.defined();
    auto *px = source.x.data_ptr<T>(), *pd = adds ? source.added.data_ptr<T>() : nullptr, *ps = adds ? source.sum.data_ptr<T>() : px;
    auto *pw = weight.data_ptr<T>(), *py = y.data_ptr<T>();
    A* pr = inverse.data_ptr<A>();
    Row<T, A> weights(n);
    const A* w = weights.read(pw, n);
    parallel_runs(count, std::max<int64_t>(1, kGrain / std::max<int64_t>(n, 1)), [&](int64_t begin, int64_t end) {
        with_instructions([&](auto set) PA_INLINED {
            Row<T, A> input(n);
            std::vector<A> normal(n);
            for (int64_t row = begin; row < end; row++) {
                if (adds) rows::add(px + row * n, pd + row * n, ps + row * n, n);
                const A* in = input.read(ps + row * n, n);
                A r = 1 / std::sqrt(rows::sum_squares<decltype(set)>(in, n) / n + static_cast<A>(eps));
                pr[row] = r;
                T* out = py + row * n;
                normalise<T, A>(in, r, normal.data(), out, n);
                if constexpr (std::is_same<T, A>::value) {
                    rows::multiply(normal.data(), w, out, n);
                } else {
                    rows::multiply(normal.data(), w, normal.data(), n);
                    rows::narrow(normal.data(), out, n);
                }
            }
        });
    });
}

// Where through is defined it is added to the norm's gradient.
template <typename T, typename A>
void input_grad_rows(const Tensor& grad, const Tensor& x, const Tensor& weight, const Tensor& inverse, const Tensor& through, Tensor& result) {
    int64_t n = weight.size(0), count = inverse.numel();
    T* pt = through.defined() ? through.data_ptr<T>() : nullptr;
    auto *px = x.data_ptr<T>(), *pw = weight.data_ptr<T>(), *pg = grad.data_ptr<T>(), *out = result.data_ptr<T>();
    const A* pr = inverse.data_ptr<A>();
    Row<T, A> weights(n);
    const A* w = weights.read(pw, n);
    parallel_runs(count, std::max<int64_t>(1, kGrain / std::max<int64_t>(n, 1)), [&](int64_t begin, int64_t end) {
        with_instructions([&](auto set) PA_INLINED {
            Row<T, A> input(n), incoming(n);
            std::vector<A> wide(std::is_same<T, A>::value ? 0 : n);
            for (int64_t row = begin; row < end; row++) {
                const A *in = input.read(px + row * n, n), *g = incoming.read(pg + row * n, n);
                A r = pr[row];
                A factor = r * r * r * (rows::sum_triple<decltype(set)>(g, w, in, n) / n);
                if constexpr (std::is_same<T, A>::value) {
                    rows::input_grad(in, w, g, r, factor, out + row * n, n);
                } else {
                    rows::input_grad(in, w, g, r, factor, wide.data(), n);
                    rows::narrow(wide.data(), out + row * n, n);
                }
                if (pt) rows::add(pt + row * n, out + row * n, out + row * n, n);
            }
        });
    });
}

// Each task owns some columns, so the sum over rows has one order for any number of threads.
template <typename T, typename A>
void weight_grad_columns(const Tensor& grad, const Tensor& x, const Tensor& inverse, Tensor& result) {
    int64_t n = result.numel(), count = inverse.numel();
    auto *px = x.data_ptr<T>(), *pg = grad.data_ptr<T>(), *out = result.data_ptr<T>();
    const A* pr = inverse.data_ptr<A>();
    int64_t tasks = (n + kColumns - 1) / kColumns;
    parallel_runs(tasks, std::max<int64_t>(1, kGrain / std::max<int64_t>(count * kColumns, 1)), [&](int64_t begin, int64_t end) {
        with_instructions([&](auto) PA_INLINED {
            Row<T, A> input(kColumns), incoming(kColumns);
            A normal[kColumns], partial[kColumns];
            T rounded[kColumns];
            for (int64_t task = begin; task < end; task++) {
                int64_t first = task * kColumns, width = std::min(kColumns, n - first);
                double total[kColumns] = {};
                for (int64_t row = 0; row < count;) {
                    std::fill_n(partial, kColumns, A(0));
                    for (int64_t stop = std::min(count, row + kRows); row < stop; row++) {
                        normalise<T, A>(input.read(px + row * n + first, width), pr[row], normal, rounded, width);
                        rows::add_product(normal, incoming.read(pg + row * n + first, width), partial, width);
                    }
                    for (int64_t k = 0; k < width; k++) total[k] += partial[k];
                }
                for (int64_t k = 0; k < width; k++) out[first + k] = static_cast<T>(static_cast<A>(total[k]));
            }
        });
    });
}

// Runs `body` with the element type and the type of its sums.
template <typename F>
void for_type(at::ScalarType type, F&& body) {
    switch (type) {
        case at::kFloat: return body(float(), float());
        case at::kDouble: return body(double(), double());
        case at::kBFloat16: return body(c10::BFloat16(), float());
        default: return body(c10::Half(), float());
    }
}

Tensor inverse_rms(const Tensor& wide, double eps) { return (wide.square().mean(-1, true) + eps).rsqrt(); }

// The normalised values and the inverses, of x or of x + added.
std::tuple<Tensor, Tensor> fused_forward(const Source& source, const Tensor& weight, double eps) {
    auto shape = source.x.sizes().vec();
    shape.back() = 1;
    Tensor w = weight.contiguous(), y = at::empty(source.x.sizes(), source.x.options());
    Tensor inverse = at::empty(shape, source.x.options().dtype(sum_type(source.x)));
    for_type(source.x.scalar_type(), [&](auto t, auto a) { forward_rows<decltype(t), decltype(a)>(source, w, eps, y, inverse); });
    return {y, inverse};
}

std::tuple<Tensor, Tensor> forward(const Tensor& x, const Tensor& weight, double eps) {
    check(x, weight);
    if (fused(x, weight)) return fused_forward({x.contiguous(), Tensor(), Tensor()}, weight, eps);
    Tensor wide = x.to(sum_type(x)), inverse = inverse_rms(wide, eps);
    return {weight * (wide * inverse).to(x.scalar_type()), inverse};
}

// The sum, its normalised values, the inverses.
std::tuple<Tensor, Tensor, Tensor> residual_forward(const Tensor& x, const Tensor& added, const Tensor& weight, double eps) {
    check(x, weight);
    TORCH_CHECK(x.sizes() == added.sizes() && x.scalar_type() == added.scalar_type() && x.device() == added.device(), "residual_norm: ", added.scalar_type(), " of shape ",
                added.sizes(), " on ", added.device(), " cannot be added to ", x.scalar_type(), " of shape ", x.sizes(), " on ", x.device());
    if (!fused(x, weight)) {
        Tensor sum = x + added;
        auto [y, inverse] = forward(sum, weight, eps);
        return {sum, y, inverse};
    }
    Source source{x.contiguous(), added.contiguous(), at::empty(x.sizes(), x.options())};
    auto [y, inverse] = fused_forward(source, weight, eps);
    return {source.sum, y, inverse};
}

// As backward.
std::tuple<Tensor, Tensor> composed_backward(const Tensor& grad, const Tensor& x, const Tensor& weight, const Tensor& inverse, const Tensor& through, bool need_x, bool need_weight) {
    Tensor g = grad.to(inverse.scalar_type()), normal = x.to(inverse.scalar_type()) * inverse, gx, gw;
    if (need_x) {
        Tensor wg = g * weight.to(inverse.scalar_type());
        gx = (inverse * (wg - normal * (wg * normal).mean(-1, true))).to(x.scalar_type());
        if (through.defined()) gx = through + gx;
    }
    if (need_weight)
        gw = (g * normal.to(x.scalar_type()).to(inverse.scalar_type())).reshape({-1, weight.size(0)}).sum(0).to(weight.scalar_type());
    return {gx, gw};
}

// By x and by weight; where through is defined, what comes to x beside the norm is part of the first.
std::tuple<Tensor, Tensor> backward(const Tensor& grad, const Tensor& x, const Tensor& weight, const Tensor& inverse, const Tensor& through, bool need_x, bool need_weight) {
    if (!fused(x, weight) || grad.scalar_type() != x.scalar_type()) return composed_backward(grad, x, weight, inverse, through, need_x, need_weight);
    Tensor g = grad.contiguous(), input = x.contiguous(), w = weight.contiguous(), beside = through.defined() ? through.contiguous() : through, gx, gw;
    if (need_x) gx = at::empty(x.sizes(), x.options());
    if (need_weight) gw = at::empty(weight.sizes(), weight.options());
    for_type(x.scalar_type(), [&](auto t, auto a) {
        if (need_x) input_grad_rows<decltype(t), decltype(a)>(g, input, w, inverse, beside, gx);
        if (need_weight) weight_grad_columns<decltype(t), decltype(a)>(g, input, inverse, gw);
    });
    return {gx, gw};
}

// With gradients on, a graph of the gradients is asked for: the inverse is computed again, so that it is part of it.
std::tuple<Tensor, Tensor> backward_of(torch::autograd::AutogradContext* ctx, const Tensor& grad, const Tensor& through, bool need_x, bool need_weight) {
    auto saved = ctx->get_saved_variables();
    if (!at::GradMode::is_enabled()) return backward(grad, saved[0], saved[1], saved[2], through, need_x, need_weight);
    Tensor inverse = inverse_rms(saved[0].to(sum_type(saved[0])), ctx->saved_data["eps"].toDouble());
    return composed_backward(grad, saved[0], saved[1], inverse, through, need_x, need_weight);
}

struct RmsNorm : torch::autograd::Function<RmsNorm> {
    static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& weight, double eps) {
        at::AutoDispatchBelowADInplaceOrView below;
        auto [y, inverse] = pa::forward(x, weight, eps);
        ctx->save_for_backward({x, weight, inverse});
        ctx->saved_data["eps"] = eps;
        return y;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list grads) {
        auto [gx, gw] = backward_of(ctx, grads[0], Tensor(), ctx->needs_input_grad(0), ctx->needs_input_grad(1));
        return {gx, gw, Tensor()};
    }
};

struct ResidualNorm : torch::autograd::Function<ResidualNorm> {
    static torch::autograd::variable_list forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& added, const Tensor& weight, double eps) {
        at::AutoDispatchBelowADInplaceOrView below;
        auto [sum, y, inverse] = residual_forward(x, added, weight, eps);
        ctx->save_for_backward({sum, weight, inverse});
        ctx->saved_data["eps"] = eps;
        return {sum, y};
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx, torch::autograd::variable_list grads) {
        bool by_x = ctx->needs_input_grad(0), by_added = ctx->needs_input_grad(1);
        auto [gx, gw] = backward_of(ctx, grads[1], grads[0], by_x || by_added, ctx->needs_input_grad(2));
        return {by_x ? gx : Tensor(), by_added ? gx : Tensor(), gw, Tensor()};
    }
};

Tensor with_gradient(const Tensor& x, const Tensor& weight, double eps) { return RmsNorm::apply(x, weight, eps); }

Tensor without_gradient(const Tensor& x, const Tensor& weight, double eps) { return std::get<0>(forward(x, weight, eps)); }

std::tuple<Tensor, Tensor> residual_with_gradient(const Tensor& x, const Tensor& added, const Tensor& weight, double eps) {
    auto both = ResidualNorm::apply(x, added, weight, eps);
    return {both[0], both[1]};
}

std::tuple<Tensor, Tensor> residual_without_gradient(const Tensor& x, const Tensor& added, const Tensor& weight, double eps) {
    auto [sum, y, inverse] = residual_forward(x, added, weight, eps);
    return {sum, y};
}

}  // namespace
}  // namespace pa

TORCH_LIBRARY(peftalign, m) {
    m.def("rms_norm(Tensor x, Tensor weight, float eps) -> Tensor");
    m.def("residual_norm(Tensor x, Tensor added, Tensor weight, float eps) -> (Tensor, Tensor)");
}
TORCH_LIBRARY_IMPL(peftalign, CompositeExplicitAutograd, m) {
    m.impl("rms_norm", pa::without_gradient);
    m.impl("residual_norm", pa::residual_without_gradient);
}
TORCH_LIBRARY_IMPL(peftalign, Autograd, m) {
    m.impl("rms_norm", pa::with_gradient);
    m.impl("residual_norm", pa::residual_with_gradient);
}
