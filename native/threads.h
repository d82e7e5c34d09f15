// libtorch's number of threads is OpenMP's, which every thread has for itself: one that has computed before would keep the number
// of then, and round its sums as no other thread does.
#pragma once

namespace pa {

// Gives the calling thread the number that was set last.
void follow_threads();

}  // namespace pa
