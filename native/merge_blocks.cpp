// Conversions of blocks and checks of arguments for the merge kernels; see merge_blocks.h.
#include "merge_blocks.h"

namespace pa {
namespace merge {

PA_CLONES void widen_bf16(const uint16_t* x, float* out, int64_t n) {
    for (int64_t k = 0; k < n; k++) {
        uint32_t bits = static_cast<uint32_t>(x[k]) << 16;
        std::memcpy(out + k, &bits, 4);
    }
}

// To the nearest, ties to even; a NaN stays one.
PA_CLONES void narrow_bf16(const float* x, uint16_t* out, int64_t n) {
    for (int64_t k = 0; k < n; k++) {
        uint32_t bits;
        std::memcpy(&bits, x + k, 4);
        uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
        out[k] = static_cast<uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000u ? 0x7FC0u : rounded);
    }
}

std::vector<Tensor> checked(at::TensorList inputs, const char* what) {
    TORCH_CHECK(!inputs.empty(), what, " takes at least one tensor");
    std::vector<Tensor> result;
    for (const Tensor& x : inputs) {
        TORCH_CHECK(x.sizes() == inputs[0].sizes(), what, " takes tensors of one shape, not ", inputs[0].sizes(), " and ", x.sizes());
        TORCH_CHECK(x.device().is_cpu(), what, " works on the processor, not on ", x.device());
        auto type = x.scalar_type();
        TORCH_CHECK(type == at::kFloat || type == at::kBFloat16 || type == at::kHalf || type == at::kDouble, what, " takes floating-point tensors, not ", type);
        result.push_back(x.detach().contiguous());
    }
    return result;
}

}  // namespace merge
}  // namespace pa
