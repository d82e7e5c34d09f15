// Generators, devices, threads, and what this libtorch is. CUDA is reached through libtorch's generic
// interfaces, so that no CUDA toolkit is needed to compile this file.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/Generator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <atomic>
#include <mutex>

#include "errors.h"
#include "instructions.h"
#include "tensor.h"
#include "threads.h"

#if PA_TORCH_AT_LEAST(2, 9)
#include <c10/core/CachingDeviceAllocator.h>
#endif

// Weak: null where libtorch's BLAS is not OpenBLAS. at::set_num_threads does not reach its threads.
extern "C" {
__attribute__((weak)) void openblas_set_num_threads(int);
__attribute__((weak)) char* openblas_get_corename(void);
}

namespace pa {

namespace {

std::mutex threads_gate;
std::atomic<int> thread_settings{0};  // how often the number was set

}  // namespace

// libtorch reads the number and sets it for this thread, which sets it for all: none may be set in between.
void follow_threads() {
    static thread_local int seen = 0;
    if (seen == thread_settings.load(std::memory_order_acquire)) return;
    std::lock_guard<std::mutex> lock(threads_gate);
    seen = thread_settings.load();
    at::init_num_threads();
}

namespace {

at::Generator default_generator(int32_t device_type, int32_t device_index) {
    return at::globalContext().defaultGenerator(device_of(device_type, device_index));
}

int cuda_count() { return at::hasCUDA() ? at::detail::getCUDAHooks().getNumGPUs() : 0; }

// libtorch makes its state of CUDA (the allocator's lists of devices) when it first needs it, and its statistics do not ask for it.
template <typename Context>
auto initialise_cuda(Context& context, int) -> decltype(context.lazyInitDevice(c10::DeviceType::CUDA)) {
    context.lazyInitDevice(c10::DeviceType::CUDA);
}

template <typename Context>
void initialise_cuda(Context& context, long) {
    context.lazyInitCUDA();
}

// libtorch's current stream as the runtime's own handle, where the device guard can tell it (2.13's can). The default stream is 0, and is
// not asked for: a guard that inherits the function and does not override it refuses.
template <typename Guard>
auto native_stream(const Guard& guard, c10::Stream stream, int) -> decltype(guard.getStreamNativeHandle(stream)) {
    return guard.getStreamNativeHandle(stream);
}

template <typename Guard>
void* native_stream(const Guard&, c10::Stream, long) {
    throw std::runtime_error("kernels of plugins on a stream other than the default one need a newer libtorch; this one is " TORCH_VERSION);
}

void copy_text(const std::string& from, char* text, int32_t capacity) {
    std::strncpy(text, from.c_str(), capacity - 1);
    text[capacity - 1] = 0;
}

}  // namespace

c10::Device cuda_device(int32_t index) {
    if (index < 0 || index >= cuda_count()) throw ArgumentError("CUDA device " + std::to_string(index) + " is not there; this libtorch sees " + std::to_string(cuda_count()));
    initialise_cuda(at::globalContext(), 0);
    return c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(index));
}

}  // namespace pa

using namespace pa;

const char* pa_built_for(void) { return TORCH_VERSION; }

// libtorch says its version only among its build settings.
int pa_running(char* text, int32_t capacity) {
    return guarded([&] {
        std::string config = at::show_config(), key = "TORCH_VERSION=";
        auto from = config.find(key);
        if (from == std::string::npos) return copy_text("", text, capacity);
        from += key.size();
        copy_text(config.substr(from, config.find_first_of(", \n", from) - from), text, capacity);
    });
}

int pa_generator_default(int32_t device_type, int32_t device_index, void** generator) {
    return guarded([&] { *generator = new at::Generator(default_generator(device_type, device_index)); });
}

int pa_generator_new(int32_t device_type, int32_t device_index, int64_t seed, void** generator) {
    return guarded([&] {
        at::Generator shared = default_generator(device_type, device_index), made;
        {
            std::lock_guard<std::mutex> held(shared.mutex());
            made = shared.clone();
        }
        made.set_current_seed(static_cast<uint64_t>(seed));
        *generator = new at::Generator(std::move(made));
    });
}

void pa_generator_release(void* generator) { delete static_cast<at::Generator*>(generator); }

int pa_generator_seed_set(void* generator, int64_t seed) {
    return guarded([&] {
        auto& g = *static_cast<at::Generator*>(generator);
        std::lock_guard<std::mutex> held(g.mutex());
        g.set_current_seed(static_cast<uint64_t>(seed));
    });
}

int pa_generator_seed_get(void* generator, int64_t* seed) {
    return guarded([&] {
        auto& g = *static_cast<at::Generator*>(generator);
        std::lock_guard<std::mutex> held(g.mutex());
        *seed = static_cast<int64_t>(g.current_seed());
    });
}

int pa_generator_state_get(void* generator, void** tensor) {
    return guarded([&] {
        auto& g = *static_cast<at::Generator*>(generator);
        std::lock_guard<std::mutex> held(g.mutex());
        *tensor = give(g.get_state());
    });
}

int pa_generator_state_set(void* generator, void* tensor) {
    return guarded([&] {
        auto& g = *static_cast<at::Generator*>(generator);
        at::Tensor state = borrow(tensor);
        if (!state.defined()) throw ArgumentError("the generator's state is undefined");
        std::lock_guard<std::mutex> held(g.mutex());
        g.set_state(state);
    });
}

int pa_manual_seed(int64_t seed) {
    return guarded([&] { at::manual_seed(static_cast<uint64_t>(seed)); });
}

int pa_cuda_count(int32_t* count) {
    return guarded([&] { *count = cuda_count(); });
}

int pa_cuda_synchronize(int32_t device_index) {
    return guarded([&] {
        c10::Device device = cuda_device(device_index);
#if PA_TORCH_AT_LEAST(2, 9)
        c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA)->synchronizeDevice(device.index());
#else
        at::detail::getCUDAHooks().deviceSynchronize(device.index());
#endif
    });
}

int pa_cuda_stream(int32_t device_index, void** stream) {
    return guarded([&] {
        c10::Device device = cuda_device(device_index);
        const auto* guard = c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA);
        const c10::Stream now = guard->getStream(device);
        *stream = now.id() == 0 ? nullptr : native_stream(*guard, now, 0);
    });
}

int pa_cuda_memory(int32_t device_index, int64_t* allocated, int64_t* peak, int64_t* reserved) {
    return guarded([&] {
        [[maybe_unused]] c10::Device device = cuda_device(device_index);
#if PA_TORCH_AT_LEAST(2, 9)
        auto stats = c10::getDeviceAllocator(c10::DeviceType::CUDA)->getDeviceStats(device.index());
        *allocated = stats.allocated_bytes[0].current;
        *peak = stats.allocated_bytes[0].peak;
        *reserved = stats.reserved_bytes[0].current;
#else
        (void)allocated, (void)peak, (void)reserved;
        throw std::runtime_error("memory statistics of CUDA devices need libtorch 2.9 or newer; this one is " TORCH_VERSION);
#endif
    });
}

int pa_cuda_memory_reset(int32_t device_index, int32_t peak, int32_t empty_cache) {
    return guarded([&] {
        [[maybe_unused]] c10::Device device = cuda_device(device_index);
#if PA_TORCH_AT_LEAST(2, 9)
        auto* allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
        if (peak != 0) allocator->resetPeakStats(device.index());
        if (empty_cache != 0) allocator->emptyCache();
#else
        (void)peak, (void)empty_cache;
        throw std::runtime_error("memory statistics of CUDA devices need libtorch 2.9 or newer; this one is " TORCH_VERSION);
#endif
    });
}

int pa_threads_get(void) {
    pa::follow_threads();
    return at::get_num_threads();
}

int pa_threads_set(int32_t threads) {
    return guarded([&] {
        if (threads < 1) throw ArgumentError("the number of threads must be at least 1, not " + std::to_string(threads));
        std::lock_guard<std::mutex> lock(pa::threads_gate);
        at::set_num_threads(threads);
        if (openblas_set_num_threads != nullptr) openblas_set_num_threads(threads);
        pa::thread_settings.fetch_add(1);
    });
}

int pa_instructions(int32_t most, int32_t* set) {
    return guarded([&] { *set = most < 0 ? pa::instructions() : pa::limit_instructions(static_cast<pa::Instructions>(most)); });
}

int pa_blas(char* text, int32_t capacity) {
    return guarded([&] { copy_text(openblas_get_corename != nullptr ? openblas_get_corename() : "", text, capacity); });
}

int pa_describe(char* text, int32_t capacity) {
    return guarded([&] { copy_text(at::show_config() + "\n" + at::get_parallel_info(), text, capacity); });
}
