// Row kernels of RMS normalisation over contiguous float or double rows. Sums run in 16 (8) lanes that are added in
// a fixed order, so every clone sums in one order; g++ makes one clone per instruction set, chosen when the library is opened.
#pragma once
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cstdint>
#include <cstring>

#define PA_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#define PA_INLINE inline __attribute__((always_inline))

namespace pa {
namespace rows {

template <typename T>
struct Lanes {
    typedef T V __attribute__((vector_size(64)));
    static constexpr int64_t N = 64 / sizeof(T);
};

// By reference: a vector that is passed by value has another calling convention in each clone.
template <typename V, typename T>
PA_INLINE void load(V& v, const T* p) {
    std::memcpy(&v, p, sizeof v);
}

template <typename T>
PA_INLINE T squares(const T* x, int64_t n) {
    typename Lanes<T>::V acc = {}, a;
    int64_t i = 0;
    for (; i + Lanes<T>::N <= n; i += Lanes<T>::N) {
        load(a, x + i);
        acc += a * a;
    }
    T sum = 0;
    for (int64_t k = 0; k < Lanes<T>::N; k++) sum += acc[k];
    for (; i < n; i++) sum += x[i] * x[i];
    return sum;
}

// sum of a * b * c
template <typename T>
PA_INLINE T triple(const T* a, const T* b, const T* c, int64_t n) {
    typename Lanes<T>::V acc = {}, va, vb, vc;
    int64_t i = 0;
    for (; i + Lanes<T>::N <= n; i += Lanes<T>::N) {
        load(va, a + i), load(vb, b + i), load(vc, c + i);
        acc += va * vb * vc;
    }
    T sum = 0;
    for (int64_t k = 0; k < Lanes<T>::N; k++) sum += acc[k];
    for (; i < n; i++) sum += a[i] * b[i] * c[i];
    return sum;
}

// What follows has no sums over a row: plain loops, which the compiler vectorises for each clone.
#define PA_ROW_KERNELS(T)                                                                                              \
    PA_CLONES T sum_squares(const T* x, int64_t n) { return squares<T>(x, n); }                                        \
    PA_CLONES T sum_triple(const T* a, const T* b, const T* c, int64_t n) { return triple<T>(a, b, c, n); }            \
    PA_CLONES void scale(const T* x, T r, T* out, int64_t n) {                                                         \
        for (int64_t i = 0; i < n; i++) out[i] = x[i] * r;                                                             \
    }                                                                                                                  \
    PA_CLONES void multiply(const T* x, const T* w, T* out, int64_t n) {                                               \
        for (int64_t i = 0; i < n; i++) out[i] = x[i] * w[i];                                                          \
    }                                                                                                                  \
    /* gradient of a row: r (w g) - x r^3 mean(g w x) */                                                               \
    PA_CLONES void input_grad(const T* x, const T* w, const T* g, T r, T factor, T* out, int64_t n) {                  \
        for (int64_t i = 0; i < n; i++) out[i] = r * (w[i] * g[i]) - factor * x[i];                                    \
    }                                                                                                                  \
    PA_CLONES void add_product(const T* a, const T* b, T* sum, int64_t n) {                                            \
        for (int64_t i = 0; i < n; i++) sum[i] += a[i] * b[i];                                                         \
    }

PA_CLONES void widen(const c10::BFloat16* from, float* to, int64_t n) {
    auto* bits = reinterpret_cast<const uint16_t*>(from);
    auto* out = reinterpret_cast<uint32_t*>(to);
    for (int64_t i = 0; i < n; i++) out[i] = static_cast<uint32_t>(bits[i]) << 16;
}

// To the nearest, ties to even; NaN stays NaN.
PA_CLONES void narrow(const float* from, c10::BFloat16* to, int64_t n) {
    auto* out = reinterpret_cast<uint16_t*>(to);
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        std::memcpy(&bits, from + i, 4);
        uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
        out[i] = static_cast<uint16_t>((bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC0 : rounded);
    }
}

inline void widen(const c10::Half* from, float* to, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
}

inline void narrow(const float* from, c10::Half* to, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
}

PA_ROW_KERNELS(float)
PA_ROW_KERNELS(double)

}  // namespace rows
}  // namespace pa
