// Products of small matrices that lie in the caches, for kernels that are compiled once per instruction set. A tile of the result
// stays in registers: as many rows and vectors as an instruction set has room for. The caller's buffers reach to whole vectors of 16
// floats, and to an even number of rows.
#pragma once
#include <utility>

#include "lanes.h"

namespace pa {
namespace small {

inline int64_t whole(int64_t n, int64_t tile) { return (n + tile - 1) / tile * tile; }

// The instruction sets: their own vectors (g++ keeps wider ones in memory), and the tile that fills their registers, of which there
// are 32, 16 and 16.
struct Avx512 {
    typedef lanes::V V;
    static constexpr int rows = 6, vectors = 4;
};
struct Avx2 {
    typedef lanes::V8 V;
    static constexpr int rows = 6, vectors = 2;
};
struct Portable {
    typedef lanes::V4 V;
    static constexpr int rows = 2, vectors = 4;
};

#define PA_AVX512 __attribute__((target("avx512f")))
#define PA_AVX2 __attribute__((target("avx2,fma")))

// What a thread may use at most, so that tests reach what other processors run.
inline int& most_instructions() {
    static thread_local int most = 2;
    return most;
}

// The best that this processor has: 2, 1 or 0 in the order above.
inline int instruction_set() {
#if defined(__x86_64__)
    static const int best = __builtin_cpu_supports("avx512f") ? 2 : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? 1 : 0;
    return best < most_instructions() ? best : most_instructions();
#else
    return 0;
#endif
}

// A matrix of which row m, entry k is p[m * row + k * entry].
struct Left {
    const float* p;
    int64_t row, entry;
};

// c (rows, columns) = a (rows, depth) b (depth, columns), or added to it; of b and c the distance from row to row.
struct Task {
    Left a;
    const float* b;
    int64_t b_row, rows, columns, depth;
    bool add;
    float* c;
    int64_t c_row;
};

template <typename V, int Rows, int Vectors>
PA_INLINE void tile(const Task& t, int64_t row, int64_t column) {
    constexpr int64_t N = lanes::width<V>();
    const float *a = t.a.p + row * t.a.row, *b = t.b + column;
    float* c = t.c + row * t.c_row + column;
    V sums[Rows][Vectors], v[Vectors];
#pragma GCC unroll 6
    for (int m = 0; m < Rows; m++)
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; j++) {
            if (t.add) lanes::load(sums[m][j], c + m * t.c_row + j * N);
            else sums[m][j] = V{};
        }
    int64_t a_row = t.a.row, a_entry = t.a.entry, b_row = t.b_row;
    for (int64_t k = 0; k < t.depth; k++) {
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; j++) lanes::load(v[j], b + j * N);
#pragma GCC unroll 6
        for (int m = 0; m < Rows; m++) {
            float own = a[m * a_row];
#pragma GCC unroll 4
            for (int j = 0; j < Vectors; j++) sums[m][j] += v[j] * own;
        }
        a += a_entry, b += b_row;
    }
#pragma GCC unroll 6
    for (int m = 0; m < Rows; m++)
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; j++) lanes::store(sums[m][j], c + m * t.c_row + j * N);
}

template <int Rows, class Isa>
PA_INLINE void strip(const Task& t, int64_t row, int64_t column, int64_t vectors) {
    typedef typename Isa::V V;
    if constexpr (Isa::vectors >= 4) {
        if (vectors == 4) return tile<V, Rows, 4>(t, row, column);
        if (vectors == 3) return tile<V, Rows, 3>(t, row, column);
    }
    if (vectors == 2) return tile<V, Rows, 2>(t, row, column);
    tile<V, Rows, 1>(t, row, column);
}

// Columns are a multiple of 16. An odd number of rows is rounded up.
template <class Isa>
PA_INLINE void product(const Task& t) {
    constexpr int64_t N = lanes::width<typename Isa::V>();
    int64_t vectors = t.columns / N, pieces = (vectors + Isa::vectors - 1) / Isa::vectors;
    for (int64_t j = 0; pieces > 0; pieces--) {
        int64_t take = (vectors - j + pieces - 1) / pieces, m = 0;
        for (; m + Isa::rows <= t.rows; m += Isa::rows) strip<Isa::rows, Isa>(t, m, j * N, take);
        if constexpr (Isa::rows > 4) {
            if (t.rows - m > 4) strip<6, Isa>(t, m, j * N, take);
            else if (t.rows - m > 2) strip<4, Isa>(t, m, j * N, take);
            else if (t.rows > m) strip<2, Isa>(t, m, j * N, take);
        } else if (t.rows > m) {
            strip<2, Isa>(t, m, j * N, take);
        }
        j += take;
    }
}

// Of a pair of rows that lie Step apart the low or the high halves of their blocks of 2 Step.
template <int Step, bool High, typename V, size_t... I>
PA_INLINE void halves(const V& a, const V& b, V& out, std::index_sequence<I...>) {
    out = __builtin_shufflevector(a, b, ((I & Step) ? (High ? sizeof...(I) + I : sizeof...(I) + I - Step) : (High ? I + Step : I))...);
}

template <int Step, typename V>
PA_INLINE void swap_blocks(V* a) {
    if constexpr (Step > 0) {
        constexpr int N = lanes::width<V>();
#pragma GCC unroll 16
        for (int k = 0; k < N; k++)
            if ((k & Step) == 0) {
                V low, high;
                halves<Step, false>(a[k], a[k + Step], low, std::make_index_sequence<N>());
                halves<Step, true>(a[k], a[k + Step], high, std::make_index_sequence<N>());
                a[k] = low, a[k + Step] = high;
            }
        swap_blocks<Step / 2>(a);
    }
}

// A square of as many floats as a vector has, turned over the diagonal.
template <typename V>
PA_INLINE void transpose(const float* from, int64_t from_row, float* to, int64_t to_row) {
    constexpr int N = lanes::width<V>();
    V a[N];
#pragma GCC unroll 16
    for (int k = 0; k < N; k++) lanes::load(a[k], from + k * from_row);
    swap_blocks<N / 2>(a);
#pragma GCC unroll 16
    for (int k = 0; k < N; k++) lanes::store(a[k], to + k * to_row);
}

}  // namespace small
}  // namespace pa
