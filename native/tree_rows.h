// Rows of queries, keys, values and gradients between their tensors and a kernel's buffers of fp32, padded to whole vectors: turned by
// the rotary angles of their positions, or as they are.
#pragma once
#include <algorithm>
#include <vector>

#include "lanes.h"

namespace pa {
namespace tree {

struct Shape {
    int64_t queries, heads, groups, width, turned;  // turned: dimensions that turn
    const float *cos, *sin;                         // (R, turned), (R, turned / 2)
    const int32_t* spans;                           // (R, 4) first and end of two runs, counted from the group's first row
    float scale;
    const int64_t* places = nullptr;  // (R) of each row's query, or -1; null where each row's is its own

    int64_t query(int64_t row) const { return places ? places[row] : row; }
    bool any_asked(int64_t row, int64_t rows) const {
        return !places || std::any_of(places + row, places + row + rows, [](int64_t place) { return place >= 0; });
    }
    int64_t wide() const { return (width + lanes::N - 1) / lanes::N * lanes::N; }
};

template <typename W>
struct Tensors {
    const W *q, *k, *v, *out, *grad;  // (R, heads or groups, D)
    W *to, *dq, *dk, *dv;
    float* sums;  // (R, heads) log of the sum of exponentials
};

// One thread's buffers, which begin with a line of the cache; what is taken holds finite numbers.
struct Space {
    static constexpr size_t kLine = 64;
    std::vector<float> memory;
    float* next = nullptr;
    float* take(int64_t n) {
        float* p = next;
        next += (n + lanes::N - 1) / lanes::N * lanes::N;
        return p;
    }
    void begin(int64_t n) {
        if (memory.size() < static_cast<size_t>(n + lanes::N)) memory.assign(n + lanes::N, 0);
        next = reinterpret_cast<float*>((reinterpret_cast<uintptr_t>(memory.data()) + kLine - 1) / kLine * kLine);
    }
};

// Rows of one head lie apart, which the processor does not foresee: asks for a row a block of work before it is read.
constexpr int64_t kAhead = 48;

template <typename W>
PA_INLINE void ask(const Shape& s, const W* row) {
    constexpr int64_t kLine = 64 / sizeof(W);
    for (int64_t j = 0; j < s.width; j += kLine) __builtin_prefetch(row + j, 0, 2);
}

// One row's D numbers, turned by its angles, rounded to the dtype W as the composed form is, and times a factor; direction -1 turns back.
template <typename V, typename W, typename From, typename To>
PA_INLINE void turn(const Shape& s, int64_t row, const From* x, float direction, float factor, To* out) {
    constexpr int64_t N = lanes::width<V>();
    int64_t half = s.turned / 2;
    const W* type = nullptr;
    for (int64_t j = 0; j < half; j += N) {
        V c, z, a, b;
        lanes::load_part(c, s.cos + row * s.turned + j, half - j), lanes::load_part(z, s.sin + row * half + j, half - j);
        lanes::load_part(a, x + j, half - j), lanes::load_part(b, x + j + half, half - j);
        z *= direction;
        V low = a * c - b * z, high = b * c + a * z;
        lanes::round_to(low, type), lanes::round_to(high, type);
        low *= factor, high *= factor;
        lanes::store_part(low, out + j, half - j), lanes::store_part(high, out + j + half, half - j);
    }
    for (int64_t j = s.turned; j < s.width; j += N) {
        V v;
        lanes::load_part(v, x + j, s.width - j);
        lanes::round_to(v, type);
        v *= factor;
        lanes::store_part(v, out + j, s.width - j);
    }
}

PA_INLINE void pad(const Shape& s, float* out) {
    for (int64_t j = s.width; j < s.wide(); j++) out[j] = 0;
}

// A row times a factor, between dtypes.
template <typename V, typename From, typename To>
PA_INLINE void copy(const Shape& s, const From* x, float factor, To* out) {
    for (int64_t j = 0; j < s.width; j += lanes::width<V>()) {
        V v;
        lanes::load_part(v, x + j, s.width - j);
        v *= factor;
        lanes::store_part(v, out + j, s.width - j);
    }
}

// Whether a row of whole vectors has a number that is not 0.
template <typename V>
PA_INLINE bool any(const Shape& s, const float* x) {
    typedef typename lanes::Integers<sizeof(V)>::Signed I;
    I seen = {}, bits;
    for (int64_t j = 0; j < s.width; j += lanes::width<V>()) {
        std::memcpy(&bits, x + j, sizeof bits);
        seen |= bits << 1;
    }
    for (int64_t k = 0; k < lanes::width<V>(); k++)
        if (seen[k] != 0) return true;
    return false;
}

// The sum of x times y over a row of whole vectors, the second from a tensor.
template <typename V, typename W>
PA_INLINE float dot(const Shape& s, const float* x, const W* y) {
    V sum = {}, a, b;
    for (int64_t j = 0; j < s.width; j += lanes::width<V>()) {
        lanes::load(a, x + j), lanes::load_part(b, y + j, s.width - j);
        sum += a * b;
    }
    return lanes::sum(sum);
}

// A group's keys, turned, and values, (n, wide) each: rows from `first` to `end`.
template <typename V, typename W>
PA_INLINE void gather(const Shape& s, const Tensors<W>& t, int64_t start, int64_t n, int64_t group, int64_t first, int64_t end, float* keys, float* values) {
    int64_t wide = s.wide(), ahead = kAhead * s.groups * s.width;
    for (int64_t r = first; r < end; r++) {
        int64_t at = ((start + r) * s.groups + group) * s.width;
        if (r + kAhead < n) ask(s, t.k + at + ahead), ask(s, t.v + at + ahead);
        turn<V, W>(s, start + r, t.k + at, 1, 1, keys + r * wide), pad(s, keys + r * wide);
        copy<V>(s, t.v + at, 1, values + r * wide), pad(s, values + r * wide);
    }
}

}  // namespace tree
}  // namespace pa
