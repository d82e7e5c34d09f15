// Threads for kernels of some microseconds: idle ones spin for a moment before they sleep, tasks are taken one by one, so
// that a thread which the machine took away holds up no more than the task it has. The calling thread works too.
#pragma once
#include <algorithm>
#include <cstdint>

namespace pa {

using Task = void (*)(void* context, int64_t task);

// Runs tasks 0 .. count - 1 on as many threads as libtorch may use, or on fewer where no more can be begun; returns when all are
// done. A call from a second thread meanwhile runs its tasks by itself. The first exception of a task (memory may run out on any
// thread) comes out of the call when no task is at work any more; what nobody has begun by then is left out.
void run_tasks(int64_t count, Task task, void* context);

template <typename F>
void parallel(int64_t count, F&& body) {
    run_tasks(count, [](void* context, int64_t task) { (*static_cast<F*>(context))(task); }, &body);
}

// Runs body(begin, end) over 0 .. count - 1 in runs of at least `grain`, some for each thread. Which runs there are depends on
// count and grain alone, never on the number of threads.
template <typename F>
void parallel_runs(int64_t count, int64_t grain, F&& body) {
    constexpr int64_t kRuns = 64;
    int64_t each = std::max(grain, (count + kRuns - 1) / kRuns);
    parallel((count + each - 1) / each, [&](int64_t run) { body(run * each, std::min(count, (run + 1) * each)); });
}

}  // namespace pa
