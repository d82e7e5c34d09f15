// Which instructions the kernels use: the best that the processor has, or fewer by PEFTALIGN_INSTRUCTIONS=avx2|baseline; settable, so
// that tests compare all of them.
#pragma once
#include <cstdint>

#if defined(__x86_64__)
#define PQ_X86 1
#include <immintrin.h>
#define PQ_AVX2 __attribute__((target("avx2,fma,f16c")))
#define PQ_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,f16c")))
#else
#define PQ_X86 0
#endif

namespace pq {

enum Level : int32_t { kPortable = 0, kAvx2 = 1, kAvx512 = 2 };

Level level();

}  // namespace pq
