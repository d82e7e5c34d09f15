// y = x W^T for a few rows of x: runs of a row of W are expanded into the first cache and multiplied with every row of x, so that
// W is read once, as codes. A row's result does not depend on the rows beside it, on the number of threads, or on AVX2 against
// AVX-512.
#include <omp.h>

#include <algorithm>

#include "expand.h"

namespace pq {
namespace {

constexpr int64_t kRun = 1024;       // values expanded at a time
constexpr int64_t kTaskCodes = 1 << 16;

float dot_portable(const float* a, const float* b, int64_t n) {
    float sums[8] = {};
    int64_t k = 0;
    for (; k + 8 <= n; k += 8)
        for (int j = 0; j < 8; j++) sums[j] += a[k + j] * b[k + j];
    float total = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    for (; k < n; k++) total += a[k] * b[k];
    return total;
}

#if PQ_X86
PQ_AVX512 float dot_avx512(const float* a, const float* b, int64_t n) {
    __m512 one = _mm512_setzero_ps(), two = one;
    int64_t k = 0;
    for (; k + 32 <= n; k += 32) {
        one = _mm512_fmadd_ps(_mm512_loadu_ps(a + k), _mm512_loadu_ps(b + k), one);
        two = _mm512_fmadd_ps(_mm512_loadu_ps(a + k + 16), _mm512_loadu_ps(b + k + 16), two);
    }
    float total = _mm512_reduce_add_ps(_mm512_add_ps(one, two));
    for (; k < n; k++) total += a[k] * b[k];
    return total;
}

PQ_AVX2 float dot_avx2(const float* a, const float* b, int64_t n) {
    // As many sums as keep the units busy, in the lanes and the order of the other.
    __m256 low = _mm256_setzero_ps(), high = low, next_low = low, next_high = low;
    int64_t k = 0;
    for (; k + 32 <= n; k += 32) {
        low = _mm256_fmadd_ps(_mm256_loadu_ps(a + k), _mm256_loadu_ps(b + k), low);
        high = _mm256_fmadd_ps(_mm256_loadu_ps(a + k + 8), _mm256_loadu_ps(b + k + 8), high);
        next_low = _mm256_fmadd_ps(_mm256_loadu_ps(a + k + 16), _mm256_loadu_ps(b + k + 16), next_low);
        next_high = _mm256_fmadd_ps(_mm256_loadu_ps(a + k + 24), _mm256_loadu_ps(b + k + 24), next_high);
    }
    alignas(32) float sums[8];
    _mm256_store_ps(sums, _mm256_add_ps(_mm256_add_ps(low, next_low), _mm256_add_ps(high, next_high)));
    float total = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    for (; k < n; k++) total += a[k] * b[k];
    return total;
}
#endif

float dot(const float* a, const float* b, int64_t n, Level level) {
#if PQ_X86
    if (level == kAvx512) return dot_avx512(a, b, n);
    if (level == kAvx2) return dot_avx2(a, b, n);
#endif
    (void)level;
    return dot_portable(a, b, n);
}

// Values first .. first + n of the matrix, across blocks.
void expand_across(const pq_matrix& m, int64_t first, int64_t n, bool narrow, float* out, Level level) {
    for (int64_t done = 0; done < n;) {
        int64_t at = first + done, block = at / m.blocksize;
        int64_t run = std::min(n - done, (block + 1) * m.blocksize - at);
        expand(m, at, run, factor(m, block), out + done, level);
        done += run;
    }
    if (narrow)
        for (int64_t k = 0; k < n; k++) out[k] = of_bf16(to_bf16(out[k]));
}

}  // namespace
}  // namespace pq

using namespace pq;

int32_t pq_product(const pq_matrix* matrix, int64_t outs, int64_t ins, const float* x, int64_t rows, float* y, int32_t type, int32_t threads) {
    const pq_matrix& m = *matrix;
    Level now = level();
    int64_t each = std::max<int64_t>(1, 2 * kTaskCodes / std::max<int64_t>(1, ins)), tasks = (outs + each - 1) / each;
    threads = int32_t(std::max<int64_t>(1, std::min<int64_t>(threads, tasks)));
#pragma omp parallel for num_threads(threads) schedule(dynamic) if (threads > 1)
    for (int64_t task = 0; task < tasks; task++) {
        alignas(64) float run[kRun];
        for (int64_t o = task * each; o < std::min(outs, (task + 1) * each); o++) {
            for (int64_t r = 0; r < rows; r++) y[r * outs + o] = 0;
            for (int64_t i = 0; i < ins; i += kRun) {
                int64_t n = std::min(kRun, ins - i);
                expand_across(m, o * ins + i, n, type == PQ_BF16, run, now);
                for (int64_t r = 0; r < rows; r++) y[r * outs + o] += dot(x + r * ins + i, run, n, now);
            }
        }
    }
    return 0;
}
