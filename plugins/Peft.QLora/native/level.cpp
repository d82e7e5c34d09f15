#include "level.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "qlora.h"

namespace pq {
namespace {

Level of_processor() {
#if PQ_X86
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) return kAvx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kAvx2;
#endif
    return kPortable;
}

// Or less, where the variable of all kernels says so; src/Torch refuses names that it does not know.
Level best() {
    const char* set = std::getenv("PEFTALIGN_INSTRUCTIONS");
    Level most = set && std::strcmp(set, "baseline") == 0 ? kPortable : set && std::strcmp(set, "avx2") == 0 ? kAvx2 : kAvx512;
    return std::min(most, of_processor());
}

std::atomic<int32_t> current{-1};

}  // namespace

Level level() {
    int32_t now = current.load(std::memory_order_relaxed);
    if (now < 0) current.store(now = best(), std::memory_order_relaxed);
    return static_cast<Level>(now);
}

}  // namespace pq

int32_t pq_level(int32_t wanted) {
    int32_t limit = pq::best();
    pq::current.store(wanted < 0 || wanted > limit ? limit : wanted);
    return pq::level();
}
