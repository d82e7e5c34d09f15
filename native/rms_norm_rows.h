// Row kernels of RMS normalisation over contiguous float or double rows, to be inlined into the code of an instruction set. Sums run in
// the 16 (8) lanes of 64 bytes, which are added in one order.
#pragma once
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "instructions.h"

namespace pa {
namespace rows {

typedef double D8 __attribute__((vector_size(64)));
typedef double D4 __attribute__((vector_size(32)));
typedef double D2 __attribute__((vector_size(16)));

// 64 bytes in a set's vectors of T.
template <class Set, typename T>
struct Sums {
    using V = std::conditional_t<sizeof(typename Set::V) == 64, D8, std::conditional_t<sizeof(typename Set::V) == 32, D4, D2>>;
    using Line = lanes::Line<std::conditional_t<sizeof(T) == sizeof(double), V, typename Set::V>>;
    static constexpr int64_t N = 64 / sizeof(T);
};

template <typename T, typename Line>
PA_INLINE T total(const Line& line) {
    T parts[64 / sizeof(T)], sum = 0;
    std::memcpy(parts, &line, sizeof parts);
    for (T part : parts) sum += part;
    return sum;
}

template <class Set, typename T>
PA_INLINE T sum_squares(const T* x, int64_t n) {
    using Own = Sums<Set, T>;
    typename Own::Line squares = {}, a;
    int64_t i = 0;
    for (; i + Own::N <= n; i += Own::N) {
        lanes::load(a, x + i);
        lanes::each([](auto& sum, const auto& own) PA_INLINED { sum += own * own; }, squares, a);
    }
    T sum = total<T>(squares);
    for (; i < n; i++) sum += x[i] * x[i];
    return sum;
}

// The sum of a b c.
template <class Set, typename T>
PA_INLINE T sum_triple(const T* a, const T* b, const T* c, int64_t n) {
    using Own = Sums<Set, T>;
    typename Own::Line products = {}, va, vb, vc;
    int64_t i = 0;
    for (; i + Own::N <= n; i += Own::N) {
        lanes::load(va, a + i), lanes::load(vb, b + i), lanes::load(vc, c + i);
        lanes::each([](auto& sum, const auto& x, const auto& y, const auto& z) PA_INLINED { sum += x * y * z; }, products, va, vb, vc);
    }
    T sum = total<T>(products);
    for (; i < n; i++) sum += a[i] * b[i] * c[i];
    return sum;
}

// What follows has no sums over a row: plain loops, which the compiler makes vectors of.
template <typename T>
PA_INLINE void scale(const T* x, T r, T* out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * r;
}

template <typename T>
PA_INLINE void multiply(const T* x, const T* w, T* out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * w[i];
}

// The gradient of a row: r (w g) - x r^3 mean(g w x), of which factor is what x is multiplied with.
template <typename T>
PA_INLINE void input_grad(const T* x, const T* w, const T* g, T r, T factor, T* out, int64_t n) {
    for (int64_t i = 0; i < n; i++) out[i] = r * (w[i] * g[i]) - factor * x[i];
}

template <typename T>
PA_INLINE void add_product(const T* a, const T* b, T* sum, int64_t n) {
    for (int64_t i = 0; i < n; i++) sum[i] += a[i] * b[i];
}

PA_INLINE void widen(const c10::BFloat16* from, float* to, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = lanes::one(from + i);
}

PA_INLINE void narrow(const float* from, c10::BFloat16* to, int64_t n) {
    for (int64_t i = 0; i < n; i++) lanes::round(from[i], to + i);
}

PA_INLINE void widen(const c10::Half* from, float* to, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
}

PA_INLINE void narrow(const float* from, c10::Half* to, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = from[i];
}

// Rounded once: two rows that a wider type is summed in are widened first.
template <typename T>
PA_INLINE void add(const T* a, const T* b, T* out, int64_t n) {
    if constexpr (std::is_same<T, c10::BFloat16>::value) {
        for (int64_t i = 0; i < n; i++) lanes::round(lanes::one(a + i) + lanes::one(b + i), out + i);
    } else if constexpr (std::is_same<T, c10::Half>::value) {
        for (int64_t i = 0; i < n; i++) out[i] = static_cast<float>(a[i]) + static_cast<float>(b[i]);
    } else {
        for (int64_t i = 0; i < n; i++) out[i] = a[i] + b[i];
    }
}

}  // namespace rows
}  // namespace pa
