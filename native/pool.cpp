// The pool of pool.h. One job at a time: workers enter it, take tasks from a counter and leave; the caller closes it when the
// counter is used up and waits until nobody is inside, so that a late worker never sees a job that is gone.
#include "pool.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace pa {
namespace {

constexpr int kSpins = 3000;  // some 30 us on the machines that were measured

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

class Pool {
public:
    void run(int64_t count, int threads, Task task, void* context) {
        std::unique_lock<std::mutex> mine(busy_, std::try_to_lock);
        if (!mine.owns_lock() || threads <= 1 || count <= 1) {
            for (int64_t k = 0; k < count; k++) task(context, k);
            return;
        }
        begin(threads - 1);
        task_ = task, context_ = context, count_ = count, allowed_ = threads - 1;
        next_.store(0);
        open_.store(true);
        job_.fetch_add(1);
        if (sleepers_.load() > 0) {
            { std::lock_guard<std::mutex> lock(sleep_); }
            wake_.notify_all();
        }
        take();
        open_.store(false);
        while (inside_.load() > 0) pause();
        if (!failed_.load()) return;
        failed_.store(false);
        std::rethrow_exception(std::exchange(failure_, nullptr));
    }

private:
    // The kernel may refuse another thread; the work is done by those that there are.
    void begin(int workers) {
        try {
            for (; workers_ < workers; workers_++) std::thread(&Pool::work, this, workers_).detach();
        } catch (const std::system_error&) {
        }
    }

    void take() noexcept {
        try {
            for (int64_t k; (k = next_.fetch_add(1)) < count_;) task_(context_, k);
        } catch (...) {
            next_.store(count_);
            if (!failed_.exchange(true)) failure_ = std::current_exception();
        }
    }

    void work(int number) {
        for (uint64_t seen = 0;;) {
            seen = await(seen);
            inside_.fetch_add(1);
            if (open_.load() && number < allowed_) take();
            inside_.fetch_sub(1);
        }
    }

    uint64_t await(uint64_t seen) {
        for (int k = 0; k < kSpins; k++, pause())
            if (uint64_t job = job_.load(); job != seen) return job;
        std::unique_lock<std::mutex> lock(sleep_);
        sleepers_.fetch_add(1);
        wake_.wait(lock, [&] { return job_.load() != seen; });
        sleepers_.fetch_sub(1);
        return job_.load();
    }

    std::mutex busy_, sleep_;
    std::condition_variable wake_;
    int workers_ = 0;
    Task task_ = nullptr;
    void* context_ = nullptr;
    int64_t count_ = 0;
    int allowed_ = 0;
    std::exception_ptr failure_;  // of the thread that set failed_, read when nobody is inside
    std::atomic<bool> failed_{false};
    std::atomic<int64_t> next_{0};
    std::atomic<bool> open_{false};
    std::atomic<uint64_t> job_{0};
    std::atomic<int> inside_{0}, sleepers_{0};
};

// Never destroyed: its threads live as long as the process.
Pool& pool() {
    static Pool* one = new Pool;
    return *one;
}

}  // namespace

void run_tasks(int64_t count, Task task, void* context) { pool().run(count, at::get_num_threads(), task, context); }

}  // namespace pa
