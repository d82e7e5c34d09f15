// Conversions of blocks and checks of arguments for the merge kernels; see merge_blocks.h.
#include "merge_blocks.h"

namespace pa {
namespace merge {

void widen(const c10::BFloat16* x, float* out, int64_t n) {
    with_instructions([=](auto) PA_INLINED {
        for (int64_t k = 0; k < n; k++) out[k] = lanes::one(x + k);
    });
}

void narrow(const float* x, c10::BFloat16* out, int64_t n) {
    with_instructions([=](auto) PA_INLINED {
        for (int64_t k = 0; k < n; k++) lanes::round(x[k], out + k);
    });
}

void check_type(at::ScalarType type, const char* what) {
    TORCH_CHECK(type == at::kFloat || type == at::kBFloat16 || type == at::kHalf || type == at::kDouble, what, " takes and makes floating-point tensors, not ", type);
}

std::vector<Tensor> checked(at::TensorList inputs, const char* what) {
    TORCH_CHECK(!inputs.empty(), what, " takes at least one tensor");
    std::vector<Tensor> result;
    for (const Tensor& x : inputs) {
        TORCH_CHECK(x.sizes() == inputs[0].sizes(), what, " takes tensors of one shape, not ", inputs[0].sizes(), " and ", x.sizes());
        TORCH_CHECK(x.device().is_cpu(), what, " works on the processor, not on ", x.device());
        check_type(x.scalar_type(), what);
        result.push_back(x.detach().contiguous());
    }
    return result;
}

}  // namespace merge
}  // namespace pa
