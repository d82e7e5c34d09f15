// libtorch's number of threads is OpenMP's, which every thread has for itself: one that has computed before would keep the number
// of then, and round its sums as no other thread does.
#pragma once
#include <atomic>

namespace pa {

// How often the number was set.
extern std::atomic<int> thread_settings;

// Gives the calling thread the number that was set last.
void follow_threads();

}  // namespace pa
