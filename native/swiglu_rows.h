// SwiGLU of one row, silu(gate) * up, as training and decoding share it. Rounded to the dtype where the operators one by one round.
#pragma once
#include "lanes.h"

namespace pa {
namespace swiglu {

// The logistic function of x, with an exponential of at most 1.
template <typename V>
PA_INLINE void logistic(const V& x, V& out) {
    V e = x < 0.0f ? x : -x;  // NaN stays NaN
    lanes::exponential(e);
    out = (x < 0.0f ? e : V{} + 1.0f) / (e + 1.0f);
}

template <typename V, typename W>
PA_INLINE void forward(const W* gate, const W* up, int64_t n, W* out) {
    V g, u, s;
    for (int64_t i = 0; i < n; i += lanes::width<V>()) {
        lanes::load_part(g, gate + i, n - i), lanes::load_part(u, up + i, n - i);
        logistic(g, s);
        g *= s;
        lanes::round_to(g, out);
        u *= g;
        lanes::store_part(u, out + i, n - i);
    }
}

// From the gradient by the product to those by gate and up: g up s (1 + x (1 - s)) and g silu(x).
template <typename V, typename W>
PA_INLINE void backward(const W* grad, const W* gate, const W* up, int64_t n, W* by_gate, W* by_up) {
    V d, g, u, s;
    for (int64_t i = 0; i < n; i += lanes::width<V>()) {
        lanes::load_part(d, grad + i, n - i), lanes::load_part(g, gate + i, n - i), lanes::load_part(u, up + i, n - i);
        logistic(g, s);
        V silu = g * s, slope = s * (g * (1.0f - s) + 1.0f);
        lanes::round_to(silu, by_up);
        u *= d;
        lanes::round_to(u, by_gate);
        u *= slope;
        d *= silu;
        lanes::store_part(u, by_gate + i, n - i), lanes::store_part(d, by_up + i, n - i);
    }
}

}  // namespace swiglu
}  // namespace pa
