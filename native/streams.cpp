// Further streams of a CUDA device and events between them, through libtorch's generic device guard, so that no CUDA toolkit is
// needed to compile this file. A stream is its number in libtorch; they live as long as the process.
#include <c10/core/Event.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

#include <memory>

#include "errors.h"
#include "tensor.h"

namespace pa {
namespace {

const c10::impl::DeviceGuardImplInterface& cuda() { return *c10::impl::getDeviceGuardImpl(c10::DeviceType::CUDA); }

c10::Stream stream(int32_t index, int64_t id) { return c10::Stream(c10::Stream::UNSAFE, cuda_device(index), static_cast<c10::StreamId>(id)); }

}  // namespace
}  // namespace pa

using namespace pa;

int pa_cuda_stream_new(int32_t device_index, int64_t* id) {
    return guarded([&] { *id = cuda().getStreamFromGlobalPool(cuda_device(device_index), false).id(); });
}

int pa_cuda_stream_now(int32_t device_index, int64_t* id) {
    return guarded([&] { *id = cuda().getStream(cuda_device(device_index)).id(); });
}

int pa_cuda_stream_use(int32_t device_index, int64_t id) {
    return guarded([&] { cuda().exchangeStream(stream(device_index, id)); });
}

int pa_cuda_event_record(int32_t device_index, int64_t id, void** event) {
    return guarded([&] {
        auto made = std::make_unique<c10::Event>(c10::DeviceType::CUDA);
        made->record(stream(device_index, id));
        *event = made.release();
    });
}

int pa_cuda_event_wait(void* event, int32_t device_index, int64_t id) {
    return guarded([&] { static_cast<c10::Event*>(event)->block(stream(device_index, id)); });
}

void pa_cuda_event_release(void* event) { delete static_cast<c10::Event*>(event); }
