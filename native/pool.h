// Threads for kernels of some microseconds: idle ones spin for a moment before they sleep, tasks are taken one by one, so
// that a thread which the machine took away holds up no more than the task it has. The calling thread works too.
#pragma once
#include <cstdint>

namespace pa {

using Task = void (*)(void* context, int64_t task);

// Runs tasks 0 .. count - 1 on as many threads as libtorch may use; returns when all are done. A call from a second thread
// meanwhile runs its tasks by itself. Tasks must not throw.
void run_tasks(int64_t count, Task task, void* context);

template <typename F>
void parallel(int64_t count, F&& body) {
    run_tasks(count, [](void* context, int64_t task) { (*static_cast<F*>(context))(task); }, &body);
}

}  // namespace pa
