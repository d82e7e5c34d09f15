// The sum of products of products.cpp, for other kernels.
#pragma once
#include <ATen/ATen.h>

namespace pa {

// base + bias + sum of factor_i a_i b_i. a_i (M, K_i), b_i (K_i, N) with any strides, base (M, N), bias (N); without a graph.
at::Tensor products(at::TensorList a, at::TensorList b, at::ArrayRef<double> factors, const c10::optional<at::Tensor>& base, const c10::optional<at::Tensor>& bias);

// Floats in the vectors that this process multiplies with, 16 or 8; 0 = by libtorch's products.
int product_lanes();

}  // namespace pa
