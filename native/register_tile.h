// What both kinds of products share (product_tiles.h of large matrices, whose right factor is packed; small_products.h of those
// that lie in the caches): the sums of a tile of the result stay in registers while the depth passes by, and a step adds Rows numbers
// of the left factor times as many vectors of the right one as the set has room for. Sums are float32.
#pragma once
#include <utility>

#include "lanes.h"

namespace pa {

// sums[m][j] += left(m) * vector j of right.
template <typename V, int Rows, int Vectors, typename Left>
PA_INLINE void add_step(V (&sums)[Rows][Vectors], const float* right, Left&& left) {
    V v[Vectors];
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; j++) lanes::load(v[j], right + j * lanes::width<V>());
#pragma GCC unroll 6
    for (int m = 0; m < Rows; m++) {
        float own = left(m);
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; j++) sums[m][j] += v[j] * own;
    }
}

// sums[m][j] += left(m) * vector j of right, where each 32 bits are two bfloat16 numbers: the product of the second two is added, then that
// of the first two, each by a fused multiply-add, as vdpbf16ps does (to which numbers below 2^-126 are 0).
template <bool Dots, typename V, int Rows, int Vectors, typename Left>
PA_INLINE void add_two_steps(V (&sums)[Rows][Vectors], const float* right, Left&& left) {
    typedef typename lanes::Integers<sizeof(V)>::Wide Bits;
    Bits v[Vectors];
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; j++) v[j] = reinterpret_cast<const lanes::Loose<Bits>*>(right + j * lanes::width<V>())->v;
    auto add = [&](auto&& half) PA_INLINED {
        V own[Vectors];
#pragma GCC unroll 4
        for (int j = 0; j < Vectors; j++) {
            Bits one = v[j];
            half(one);
            own[j] = reinterpret_cast<const lanes::Loose<V>*>(&one)->v;
        }
#pragma GCC unroll 6
        for (int m = 0; m < Rows; m++) {
            uint32_t bits = left(m);
            half(bits);
            float by = reinterpret_cast<const lanes::Loose<float>*>(&bits)->v;
#pragma GCC unroll 4
            for (int j = 0; j < Vectors; j++) sums[m][j] += own[j] * by;
        }
    };
    if constexpr (Dots) {
#pragma GCC unroll 6
        for (int m = 0; m < Rows; m++) {
            Bits own = Bits{} + left(m);
#pragma GCC unroll 4
            for (int j = 0; j < Vectors; j++) {
                V sum = sums[m][j];  // as an operand itself it would stay in memory
                asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(own), "v"(v[j]));
                sums[m][j] = sum;
            }
        }
    } else {
        add([](auto& pair) PA_INLINED { pair &= 0xFFFF0000; });
        add([](auto& pair) PA_INLINED { pair <<= 16; });
    }
}

// From two rows that are Step apart, the low or the high halves of each block of 2 * Step numbers, side by side.
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

// Transposes a square whose side is a vector, so that a step of a product reads side by side what were rows.
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

}  // namespace pa
