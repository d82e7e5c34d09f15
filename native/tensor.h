// Handles: a handle is one owned reference to a TensorImpl; null is the undefined tensor.
#pragma once
#include <ATen/core/Tensor.h>

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

}  // namespace pa
