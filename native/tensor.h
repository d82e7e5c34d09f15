// Handles: a handle is one owned reference to a TensorImpl; null is the undefined tensor. Devices by number, versions of libtorch.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/csrc/api/include/torch/version.h>

#define PA_TORCH_AT_LEAST(major, minor) (TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace pa {

using TensorPtr = c10::intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl>;

// A tensor that shares the handle's reference count; the handle stays the caller's.
inline at::Tensor borrow(void* handle) {
    if (handle == nullptr) return at::Tensor();
    return at::Tensor(TensorPtr::reclaim_copy(static_cast<c10::TensorImpl*>(handle)));
}

// Takes over the caller's reference.
inline at::Tensor take(void* handle) {
    if (handle == nullptr) return at::Tensor();
    return at::Tensor(TensorPtr::reclaim(static_cast<c10::TensorImpl*>(handle)));
}

// Gives one reference to the caller.
inline void* give(at::Tensor tensor) {
    return tensor.defined() ? tensor.unsafeReleaseTensorImpl() : nullptr;
}

// Kinds of device as libtorch 2 numbers them; PrivateUse1 alone was another number before.
constexpr int32_t kPrivateUse1 = 20;

inline int32_t number_of(c10::DeviceType type) { return type == c10::DeviceType::PrivateUse1 ? kPrivateUse1 : static_cast<int32_t>(type); }

inline c10::Device device_of(int64_t type, int64_t index) {
    return c10::Device(type == kPrivateUse1 ? c10::DeviceType::PrivateUse1 : static_cast<c10::DeviceType>(type), static_cast<c10::DeviceIndex>(index));
}

// A CUDA device that is there, or an ArgumentError.
c10::Device cuda_device(int32_t index);

}  // namespace pa
