// The sum of products of products.cpp, for other kernels.
#pragma once
#include <ATen/ATen.h>

#include "instructions.h"

namespace pa {

// bias + sum of factor_i a_i b_i in `type`, that of a_0 where nothing is said. a_i (M, K_i), b_i (K_i, N) of one type with any strides,
// bias (N); without a graph.
at::Tensor products(at::TensorList a, at::TensorList b, at::ArrayRef<double> factors, const c10::optional<at::Tensor>& bias, c10::optional<at::ScalarType> type = {});

// The set that products of float32 or bfloat16 are computed with. Baseline means libtorch, which also takes bfloat16 on processors with AMX,
// since oneDNN uses that. PEFTALIGN_PRODUCTS takes precedence over the set that all kernels use.
Instructions set_of_products(at::ScalarType type = at::kFloat);

// Like with_instructions, for a set that has products of our own.
template <typename F>
void with_products_of(Instructions set, F body) {
#if defined(__x86_64__)
    if (set == kAvx512Bf16) on_avx512<Avx512Bf16>(body);
    else if (set == kAvx512) on_avx512(body);
    else on_avx2(body);
#else
    (void)set, (void)body;
#endif
}

}  // namespace pa
