// Tensor lifetime, facts about a tensor, and tensors over memory that somebody else owns.
#include "tensor.h"

#include <ATen/ops/from_blob.h>

#include <memory>

#include "errors.h"

namespace pa {
std::string& last_error() {
    static thread_local std::string text;
    return text;
}
}  // namespace pa

using namespace pa;

const char* pa_last_error(void) { return last_error().c_str(); }

void pa_free(void* p) { std::free(p); }

void pa_tensor_release(void* tensor) { take(tensor); }

int pa_tensor_alias(void* tensor, void** same) {
    return guarded([&] { *same = give(borrow(tensor)); });
}

int pa_tensor_info_get(void* handle, pa_tensor_info* info) {
    return guarded([&] {
        at::Tensor t = borrow(handle);
        *info = pa_tensor_info{};
        if (!t.defined()) throw ArgumentError("the tensor is undefined");
        bool strided = t.layout() == at::kStrided && !t.unsafeGetTensorImpl()->has_symbolic_sizes_strides();
        info->sizes = t.sizes().data();
        info->dims = static_cast<int32_t>(t.dim());
        info->numel = t.numel();
        info->dtype = static_cast<int32_t>(t.scalar_type());
        info->device_type = number_of(t.device().type());
        info->device_index = t.device().index();
        info->requires_grad = t.requires_grad();
        info->is_leaf = t.is_leaf();
        info->is_view = t.is_view();
        if (!strided) return;
        info->strides = t.strides().data();
        info->is_contiguous = t.is_contiguous();
        if (!t.has_storage()) return;
        info->storage_bytes = static_cast<int64_t>(t.storage().nbytes());
        info->storage_offset = t.storage_offset();
        info->data = t.storage().nbytes() == 0 ? nullptr : t.data_ptr();
        info->version = t.is_inference() ? 0 : static_cast<uint32_t>(t._version());
    });
}

namespace {
// Releases foreign memory exactly once: when libtorch drops the last copy of the deleter, or at once if no tensor came about.
struct Foreign {
    pa_release_fn release;
    void* context;
    Foreign(pa_release_fn release, void* context) : release(release), context(context) {}
    ~Foreign() { release(context); }
};
}  // namespace

int pa_tensor_from_blob(void* data, const int64_t* sizes, int32_t dims, int32_t dtype, pa_release_fn release, void* context, void** tensor) {
    return guarded([&] {
        auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(dtype));
        at::IntArrayRef shape(sizes, dims);
        auto owner = release == nullptr ? nullptr : std::make_shared<Foreign>(release, context);
        at::Tensor t = release == nullptr ? at::from_blob(data, shape, options) : at::from_blob(data, shape, [owner](void*) {}, options);
        *tensor = give(std::move(t));
    });
}
