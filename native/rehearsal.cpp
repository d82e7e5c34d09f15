// A device to rehearse on where no GPU is (libtorch's PrivateUse1): its memory and its arithmetic are the processor's, but a tensor
// that lies on it is none of the processor's. An operator that meets both is refused, as on a GPU, kernels of ours for the processor
// do not take its tensors, and backward passes run on a thread of their own. So every path for another device runs in tests, with
// the numbers that the processor gives. Any operator: its tensors are shown to the processor's kernel, its results are shown as the
// device's. Copies alone may cross. Off until pa_rehearsal_open, which comes before the first backward pass.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include "tensor.h"

#define PA_HOOKS PA_TORCH_AT_LEAST(2, 9)
#if PA_HOOKS
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#endif

#include <algorithm>
#include <atomic>
#include <mutex>
#include <unordered_map>

#include "errors.h"

namespace pa {
namespace {

using at::Tensor;
constexpr auto kRehearsal = c10::DeviceType::PrivateUse1;
std::atomic<int> devices{0};

struct Guard final : c10::impl::DeviceGuardImplInterface {
    c10::DeviceType type() const override { return kRehearsal; }
    c10::Device exchangeDevice(c10::Device) const override { return getDevice(); }
    c10::Device getDevice() const override { return c10::Device(kRehearsal, 0); }
    void setDevice(c10::Device) const override {}
    void uncheckedSetDevice(c10::Device) const noexcept override {}
    c10::Stream getStream(c10::Device device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, device); }
    c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return stream; }
    c10::DeviceIndex deviceCount() const noexcept override { return static_cast<c10::DeviceIndex>(devices.load()); }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

#if PA_HOOKS
struct Hooks final : at::PrivateUse1HooksInterface {
    bool isBuilt() const override { return true; }
    bool isAvailable() const override { return true; }
    bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
    c10::DeviceIndex deviceCount() const override { return 1; }
    c10::DeviceIndex getCurrentDevice() const override { return 0; }
    // Random numbers are drawn by the processor's generator, so that one is seeded.
    const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override { return at::detail::getDefaultCPUGenerator(); }
};
#endif

// What the device's tensors hold, by address: views share one.
class Memory {
public:
    void take(const void* at, int64_t bytes) {
        std::lock_guard<std::mutex> own(guard);
        if (at == nullptr || held[at].faces++ != 0) return;
        held[at].bytes = bytes;
        peak = std::max(peak, now += bytes);
    }

    void give(const void* at) {
        std::lock_guard<std::mutex> own(guard);
        auto found = held.find(at);
        if (found == held.end() || --found->second.faces != 0) return;
        now -= found->second.bytes;
        held.erase(found);
    }

    void read(bool reset, int64_t* bytes, int64_t* most) {
        std::lock_guard<std::mutex> own(guard);
        *bytes = now, *most = peak;
        if (reset) peak = now;
    }

private:
    struct Place {
        int64_t faces = 0, bytes = 0;
    };
    std::mutex guard;
    std::unordered_map<const void*, Place> held;
    int64_t now = 0, peak = 0;
};

// Never destroyed: tensors may outlive the end of main.
Memory& memory() {
    static Memory& all = *new Memory;
    return all;
}

bool rehearses(const Tensor& t) { return t.device().type() == kRehearsal; }

// A tensor over the memory of another that is said to lie elsewhere.
template <typename Owner>
Tensor shown(const Tensor& t, Owner owner, c10::Device device, c10::DispatchKey key) {
    auto* held = new Owner(std::move(owner));
    c10::DataPtr data(t.unsafeGetTensorImpl()->storage().data_ptr().get(), held, [](void* p) { delete static_cast<Owner*>(p); }, device);
    c10::Storage storage(c10::Storage::use_byte_size_t(), t.storage().nbytes(), std::move(data), nullptr, false);
    Tensor made = at::detail::make_tensor<c10::TensorImpl>(std::move(storage), c10::DispatchKeySet(key), t.dtype());
    made.unsafeGetTensorImpl()->set_sizes_and_strides(t.sizes(), t.strides());
    made.unsafeGetTensorImpl()->set_storage_offset(t.storage_offset());
    return made;
}

// Keeps the processor's tensor, and counts its memory as the device's.
class Counted {
public:
    explicit Counted(const Tensor& cpu) : cpu(cpu) { memory().take(address(), static_cast<int64_t>(cpu.storage().nbytes())); }
    Counted(Counted&&) = default;
    Counted& operator=(Counted&&) = delete;
    ~Counted() {
        if (cpu.defined()) memory().give(address());
    }

private:
    const void* address() const { return cpu.unsafeGetTensorImpl()->storage().data_ptr().get(); }
    Tensor cpu;
};

Tensor on_device(const Tensor& cpu) { return shown(cpu, Counted(cpu), c10::Device(kRehearsal, 0), c10::DispatchKey::PrivateUse1); }

// An operator may resize a tensor without elements, so such a tensor gets memory of its own.
Tensor on_processor(const Tensor& t) {
    if (t.numel() == 0) return at::empty(t.sizes(), t.options().device(c10::kCPU));
    return shown(t, c10::Storage(t.storage()), c10::Device(c10::kCPU), c10::DispatchKey::CPU);
}

struct Crossing {
    const c10::OperatorHandle& op;
    std::vector<std::pair<Tensor, Tensor>> both;  // the device's tensor and the processor's over the same memory

    Tensor enter(const Tensor& t) {
        if (!t.defined()) return t;
        if (!rehearses(t)) {
            TORCH_CHECK(t.dim() == 0 && t.device().is_cpu(), "Expected all tensors to be on the same device: ", op.schema().operator_name(), " meets one of shape ", t.sizes(), " on ",
                        t.device(), " beside one on ", c10::Device(kRehearsal, 0));
            return t;
        }
        both.emplace_back(t, on_processor(t));
        return both.back().second;
    }

    c10::IValue enter(const c10::IValue& value) {
        if (value.isTensor()) return enter(value.toTensor());
        if (value.isTensorList()) {
            c10::List<Tensor> list;
            for (const Tensor& t : value.toTensorVector()) list.push_back(enter(t));
            return list;
        }
        if (value.isOptionalTensorList()) {
            c10::impl::GenericList list(c10::OptionalType::create(c10::TensorType::get()));
            for (const c10::IValue& one : value.toListRef()) list.push_back(one.isTensor() ? c10::IValue(enter(one.toTensor())) : one);
            return list;
        }
        if (value.isDevice() && value.toDevice().type() == kRehearsal) return c10::Device(c10::kCPU);
        return value;
    }

    // A result that is one of the arguments is returned as that argument; others get a tensor of their own.
    Tensor leave(const Tensor& t) {
        if (!t.defined() || rehearses(t)) return t;
        for (const auto& [outer, inner] : both)
            if (inner.is_same(t)) return outer;
        return on_device(t);
    }

    c10::IValue leave(const c10::IValue& value) {
        if (value.isTensor()) return leave(value.toTensor());
        if (!value.isTensorList()) return value;
        c10::List<Tensor> list;
        for (const Tensor& t : value.toTensorVector()) list.push_back(leave(t));
        return list;
    }

    // An output argument that the operator resized takes over what it was resized to.
    void adopt() {
        for (const auto& [outer, inner] : both) {
            if (inner.sizes() == outer.sizes()) continue;
            Tensor made = on_device(inner);
            outer.unsafeGetTensorImpl()->set_storage_keep_dtype(made.storage());
            outer.unsafeGetTensorImpl()->set_sizes_and_strides(made.sizes(), made.strides());
            outer.unsafeGetTensorImpl()->set_storage_offset(made.storage_offset());
        }
    }
};

void compute(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
    Crossing crossing{op, {}};
    size_t first = stack->size() - op.schema().arguments().size();
    for (size_t k = first; k < stack->size(); k++) (*stack)[k] = crossing.enter((*stack)[k]);
    op.callBoxed(stack);
    crossing.adopt();
    for (size_t k = first; k < stack->size(); k++) (*stack)[k] = crossing.leave((*stack)[k]);
}

Tensor& copy_(Tensor& self, const Tensor& from, bool) {
    Tensor target = rehearses(self) ? on_processor(self) : self;
    target.copy_(rehearses(from) ? on_processor(from) : from);
    return self;
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&compute>()); }
#if TORCH_VERSION_MAJOR < 2
// Newer versions of libtorch bring it themselves.
TORCH_LIBRARY_IMPL(_, AutogradPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }
#endif
TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) { m.impl("copy_", copy_); }

}  // namespace
}  // namespace pa

void pa_rehearsal_memory(int32_t reset, int64_t* bytes, int64_t* peak) { pa::memory().read(reset != 0, bytes, peak); }

void pa_rehearsal_open(void) {
    if (pa::devices.exchange(1) != 0) return;
#if PA_HOOKS
    // From now on the process's accelerator, whose streams the autograd engine asks for.
    static pa::Hooks hooks;
    at::RegisterPrivateUse1HooksInterface(&hooks);
    c10::register_privateuse1_backend("rehearsal");
#endif
}
