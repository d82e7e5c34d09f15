// From values to codes, block by block, by all threads; and to 8 bits, for the factors of double quantisation.
#include <omp.h>

#include <algorithm>

#include "level.h"
#include "values.h"

namespace pq {
namespace {

constexpr int64_t kTaskValues = 1 << 14;

// The largest magnitude, compared as bits so that a NaN is the largest.
PQ_BOTH float largest(const float* x, int64_t n) {
    uint32_t most = 0;
    for (int64_t k = 0; k < n; k++) most = std::max(most, bits(x[k]) & 0x7fffffff);
    return from_bits(most);
}

__attribute__((always_inline)) inline void encode_inline(const float* x, int64_t n, float absmax, bool whole, const pq_levels& levels, uint8_t* packed) {
    int32_t places[4096];
    for (int64_t k = 0; k < n; k++) {
        float y = scaled(x[k], absmax, whole);
        int32_t place = 0;
        for (int j = 0; j < 15; j++) place += y > levels.thresholds[j];
        places[k] = place;
    }
    for (int64_t k = 0; k + 1 < n; k += 2) packed[k / 2] = uint8_t(levels.patterns[places[k]] << 4 | levels.patterns[places[k + 1]]);
    if (n & 1) packed[n / 2] = uint8_t(levels.patterns[places[n - 1]] << 4 | encode(levels, 0.0f));
}

void encode_portable(const float* x, int64_t n, float absmax, bool whole, const pq_levels& levels, uint8_t* packed) { encode_inline(x, n, absmax, whole, levels, packed); }
#if PQ_X86
PQ_AVX2 void encode_avx2(const float* x, int64_t n, float absmax, bool whole, const pq_levels& levels, uint8_t* packed) { encode_inline(x, n, absmax, whole, levels, packed); }
PQ_AVX512 void encode_avx512(const float* x, int64_t n, float absmax, bool whole, const pq_levels& levels, uint8_t* packed) { encode_inline(x, n, absmax, whole, levels, packed); }
#endif

void encode_run(const float* x, int64_t n, float absmax, bool whole, const pq_levels& levels, uint8_t* packed, Level level) {
#if PQ_X86
    if (level == kAvx512) return encode_avx512(x, n, absmax, whole, levels, packed);
    if (level == kAvx2) return encode_avx2(x, n, absmax, whole, levels, packed);
#endif
    (void)level;
    encode_portable(x, n, absmax, whole, levels, packed);
}

}  // namespace
}  // namespace pq

using namespace pq;

int32_t pq_quantise(const void* x, int32_t type, int64_t count, int32_t blocksize, const pq_levels* levels, uint8_t* packed, float* absmax, int32_t threads) {
    Level now = level();
    int64_t blocks = (count + blocksize - 1) / blocksize, each = std::max<int64_t>(1, kTaskValues / blocksize);
    int64_t tasks = (blocks + each - 1) / each;
    threads = int32_t(std::max<int64_t>(1, std::min<int64_t>(threads, tasks)));
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
    for (int64_t task = 0; task < tasks; task++) {
        float wide[4096];
        for (int64_t b = task * each; b < std::min(blocks, (task + 1) * each); b++) {
            int64_t first = b * blocksize, n = std::min<int64_t>(blocksize, count - first);
            for (int64_t k = 0; k < n; k++) wide[k] = load(x, type, first + k);
            absmax[b] = kept_absmax(largest(wide, n), n == blocksize);
            encode_run(wide, n, absmax[b], n == blocksize, *levels, packed + first / 2, now);
        }
    }
    return 0;
}

int32_t pq_quantise8(const float* x, int64_t count, int32_t blocksize, const float* map, uint8_t* q, float* absmax) {
    for (int64_t first = 0; first < count; first += blocksize) {
        int64_t n = std::min<int64_t>(blocksize, count - first);
        float most = absmax[first / blocksize] = largest(x + first, n), by = 1.0f / (most > 1e-38f ? most : 1e-38f);
        for (int64_t k = 0; k < n; k++) {
            float y = n == blocksize ? x[first + k] * by : x[first + k] / (most > 1e-38f ? most : 1e-38f);
            int64_t above = std::lower_bound(map, map + 256, y) - map;
            if (above == 256) above = 255;
            if (above > 0 && y - map[above - 1] <= map[above] - y) above--;
            q[first + k] = uint8_t(above);
        }
    }
    return 0;
}
