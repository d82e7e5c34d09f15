// The instruction sets that our kernels are compiled for, and which of them run: the best that the processor has, or a lesser one that
// PEFTALIGN_INSTRUCTIONS=avx512_bf16|avx512|avx2|baseline names. A kernel takes its set as a type and computes with that set's vectors, since
// g++ keeps wider ones in memory from one turn of a loop to the next.
#pragma once
#include <atomic>

#include "lanes.h"

#define PA_AVX512 __attribute__((target("avx512f,avx512vl,avx2,fma")))
#define PA_AVX2 __attribute__((target("avx2,fma")))

namespace pa {

// kAvx512Bf16: the same kernels as kAvx512, but for products of bfloat16.
enum Instructions : int { kBaseline = 0, kAvx2 = 1, kAvx512 = 2, kAvx512Bf16 = 3 };

// For each set: its vector (V), 16 lanes made of such vectors (Lanes), what its 32, 16 or 16 registers can hold besides what is being
// read (the rows and vectors of a product's tile, and sums of 16 lanes), and whether it multiplies pairs of bfloat16 (dots).
struct Avx512 {
    typedef lanes::V16 V;
    typedef lanes::Line<V> Lanes;
    static constexpr int rows = 6, vectors = 4, sums = 16;
    static constexpr bool dots = false;
};
struct Avx512Bf16 : Avx512 {
    static constexpr bool dots = true;
};
struct Avx2 {
    typedef lanes::V8 V;
    typedef lanes::Line<V> Lanes;
    static constexpr int rows = 6, vectors = 2, sums = 4;
    static constexpr bool dots = false;
};
struct Baseline {
    typedef lanes::V4 V;
    typedef lanes::Line<V> Lanes;
    static constexpr int rows = 2, vectors = 4, sums = 2;
    static constexpr bool dots = false;
};

// The set in use. Throws where PEFTALIGN_INSTRUCTIONS names none that this processor has; src/Torch asks once when it opens the library.
extern std::atomic<int> instructions_in_use;  // none yet: -1
Instructions choose_instructions();

inline Instructions instructions() {
    int set = instructions_in_use.load(std::memory_order_relaxed);
    return set < 0 ? choose_instructions() : static_cast<Instructions>(set);
}

// From now on uses at most this set, in all threads, so that tests and benches can run the kernels of other processors; returns the set in use.
Instructions limit_instructions(Instructions most);

// Whether the processor has a set, and its name in variables and messages.
bool has_instructions(Instructions set);
const char* name_of(Instructions set);

// The set that an environment variable names, with `baseline` as the baseline's name; -1 where the variable is not set. Throws where it
// names a set that the processor does not have.
int named_instructions(const char* variable, const char* baseline);

// Call a body that must be inlined (PA_INLINED), like everything that it calls. A loop in the body itself captures by value ([=]): what
// it captured by reference would be read again from memory after every store.
#if defined(__x86_64__)
template <class Set = Avx512, typename F>
PA_AVX512 __attribute__((noinline)) auto on_avx512(F body) {
    return body(Set());
}

template <typename F>
PA_AVX2 __attribute__((noinline)) auto on_avx2(F body) {
    return body(Avx2());
}
#endif

// Runs body(set) compiled for the set in use: with_instructions([=](auto set) PA_INLINED { kernel<decltype(set)>(...); }).
template <typename F>
auto with_instructions(F body) {
#if defined(__x86_64__)
    Instructions set = instructions();
    if (set >= kAvx512) return on_avx512(body);
    if (set == kAvx2) return on_avx2(body);
#endif
    return body(Baseline());
}

}  // namespace pa
