// From codes to a whole matrix, by all threads. Blocks hold an even number of values, so each begins with a byte.
#include <omp.h>

#include <algorithm>

#include "expand.h"

namespace pq {
namespace {

constexpr int64_t kTaskValues = 1 << 15;  // 16 KB of codes: less is not worth waking a thread for

void decode_run(const pq_matrix& m, int64_t first, int64_t n, float by, void* out, int32_t type, Level level) {
    if (type == PQ_F32) return expand(m, first, n, by, static_cast<float*>(out) + first, level);
    uint16_t* halves = static_cast<uint16_t*>(out) + first;
    uint32_t rounded[16];
    round_code(m, by, type, rounded);
#if PQ_X86
    if (level == kAvx512) return expand_avx512(m, first, n, rounded, halves);
    if (level == kAvx2) return expand_avx2(m, first, n, rounded, halves);
#endif
    expand_portable(m, first, n, rounded, halves);
}

}  // namespace
}  // namespace pq

using namespace pq;

int32_t pq_decode(const pq_matrix* matrix, void* out, int32_t type, int32_t threads) {
    const pq_matrix& m = *matrix;
    Level now = level();
    int64_t blocks = (m.count + m.blocksize - 1) / m.blocksize, each = std::max<int64_t>(1, kTaskValues / m.blocksize);
    int64_t tasks = (blocks + each - 1) / each;
    threads = int32_t(std::max<int64_t>(1, std::min<int64_t>(threads, tasks)));
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
    for (int64_t task = 0; task < tasks; task++)
        for (int64_t b = task * each; b < std::min(blocks, (task + 1) * each); b++) {
            int64_t first = b * m.blocksize;
            decode_run(m, first, std::min<int64_t>(m.blocksize, m.count - first), factor(m, b), out, type, now);
        }
    return 0;
}
