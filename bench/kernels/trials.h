// What a trial of a kernel is made of, and the trials: each draws a case, says how it is run and, by plain.h, what it must give.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <string>

#include "instructions.h"
#include "plain.h"

namespace trials {

using at::Tensor;
using c10::IValue;
using plain::Draw;
using plain::wide;
using Tensors = std::vector<Tensor>;

// One case: what to run, what it must give, and how large the numbers are that it sums.
struct Trial {
    std::function<Tensors()> run;
    Tensors want, scales;
    double tolerance;  // of a scale
    pa::Instructions least = pa::kBaseline;
};

inline Tensors call(const char* name, std::vector<IValue> arguments) {
    c10::OperatorHandle handle = c10::Dispatcher::singleton().findSchemaOrThrow((std::string("peftalign::") + name).c_str(), "");
    arguments.resize(std::max(arguments.size(), handle.schema().arguments().size()));
    handle.callBoxed(&arguments);
    Tensors results;
    for (const IValue& result : arguments) results.push_back(result.toTensor());
    return results;
}

inline IValue maybe(const Tensor& t) { return t.defined() ? IValue(t) : IValue(); }

inline int64_t number(at::ScalarType type) { return static_cast<int64_t>(type); }

// What rounding to a type costs.
inline double grain(at::ScalarType type) { return type == at::kBFloat16 ? 0.02 : type == at::kHalf ? 0.003 : type == at::kDouble ? 1e-11 : 1e-5; }

// For each wanted result its largest magnitude.
inline Trial near_largest(std::function<Tensors()> run, Tensors want, double tolerance) {
    Tensors scales;
    for (const Tensor& t : want) scales.push_back(t.numel() == 0 ? at::zeros({}, at::kDouble) : t.abs().amax() + 1e-3);
    return {std::move(run), std::move(want), std::move(scales), tolerance};
}

// Results and their gradients by leaves, for outgoing gradients that are given.
inline Tensors with_gradients(Tensors results, const Tensors& leaves, const Tensors& by) {
    Tensors all, kept = torch::autograd::grad(results, leaves, by);
    for (Tensors* some : {&results, &kept})
        for (const Tensor& t : *some) all.push_back(t.detach());
    return all;
}

inline Tensor leaf(const Tensor& t) { return t.clone().requires_grad_(); }

// trials_products.cpp
Trial products(Draw& draw);
Trial linear(Draw& draw);
Trial few_rows(Draw& draw);
Trial head(Draw& draw);
Trial target_log_probs(Draw& draw);

// trials_layers.cpp
Trial norms(Draw& draw);
Trial swiglu(Draw& draw);

// trials_attention.cpp
Trial trees(Draw& draw);
Trial decode_attention(Draw& draw);
Trial decode_blocks(Draw& draw);

// trials_merges.cpp
Trial merges(Draw& draw);
Trial masks(Draw& draw);

}  // namespace trials
