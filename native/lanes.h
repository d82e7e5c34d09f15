// Vectors in g++'s own types, for kernels that are compiled once per instruction set (instructions.h): of 16, 8 and 4 floats, and lines
// of 16 made of narrower ones, over which sums run in one order on every set: lane by lane, then as a tree of halves.
#pragma once
#include <c10/util/BFloat16.h>

#include <cstdint>
#include <cstring>
#include <utility>

#define PA_INLINE inline __attribute__((always_inline))
#define PA_INLINED __attribute__((always_inline))  // of a lambda, behind its parameters

namespace pa {
namespace lanes {

constexpr int64_t N = 16;  // floats of a line, and of the widest vector: buffers reach to whole ones
typedef float V16 __attribute__((vector_size(64)));
typedef float V8 __attribute__((vector_size(32)));
typedef float V4 __attribute__((vector_size(16)));

// f(0) to f(N - 1), unrolled: an array that a loop indexes may stay in memory, however short the loop is.
template <typename F, int... K>
PA_INLINE void repeat_of(F&& f, std::integer_sequence<int, K...>) { (f(std::integral_constant<int, K>()), ...); }

template <int Count, typename F>
PA_INLINE void repeat(F&& f) { repeat_of(f, std::make_integer_sequence<int, Count>()); }

// Two vectors side by side.
template <typename V>
struct Pair {
    V low, high;
};

// 64 bytes in vectors like V.
template <typename V, size_t Bytes = sizeof(V)>
struct LineOf;
template <typename V>
struct LineOf<V, 64> {
    typedef V type;
};
template <typename V>
struct LineOf<V, 32> {
    typedef Pair<V> type;
};
template <typename V>
struct LineOf<V, 16> {
    typedef Pair<Pair<V>> type;
};
template <typename V>
using Line = typename LineOf<V>::type;

template <typename V>
constexpr int64_t width() { return sizeof(V) / sizeof(float); }

// A lane's bytes for numbers that are stored as T: bfloat16 is computed as float.
template <typename T>
constexpr size_t kBytes = sizeof(T) < sizeof(float) ? sizeof(float) : sizeof(T);

// f of the vectors that values consist of, place by place: each(f, a, b) is f(a, b), or f of both halves.
template <typename F, typename V, typename... More>
PA_INLINE void each(F&& f, V& v, More&... more) { f(v, more...); }

template <typename F, typename V, typename... More>
PA_INLINE void each(F&& f, Pair<V>& v, More&... more) { each(f, v.low, more.low...), each(f, v.high, more.high...); }

// Integers beside a vector of floats, as wide and half as wide.
template <int64_t Bytes>
struct Integers;
#define PA_INTEGERS(BYTES)                                               \
    template <>                                                          \
    struct Integers<BYTES> {                                             \
        typedef int32_t Signed __attribute__((vector_size(BYTES)));      \
        typedef uint32_t Wide __attribute__((vector_size(BYTES)));       \
        typedef uint16_t Narrow __attribute__((vector_size(BYTES / 2))); \
    };
PA_INTEGERS(64)
PA_INTEGERS(32)
PA_INTEGERS(16)
#undef PA_INTEGERS

// Loads a vector from any address. Not by memcpy, which g++ expands where the kernel is written, before it knows the kernel's instruction set.
template <typename V>
struct __attribute__((packed, may_alias)) Loose {
    V v;
};

// By reference: a vector that is passed by value has another calling convention in each instruction set.
template <typename V>
PA_INLINE void load(V& v, const float* p) { v = reinterpret_cast<const Loose<V>*>(p)->v; }

template <typename V>
PA_INLINE void load(V& v, const c10::BFloat16* p) {
    typedef typename Integers<sizeof(V)>::Narrow Narrow;
    typedef typename Integers<sizeof(V)>::Wide Wide;
    Wide wide = __builtin_convertvector(reinterpret_cast<const Loose<Narrow>*>(p)->v, Wide) << 16;
    v = reinterpret_cast<const Loose<V>*>(&wide)->v;
}

template <typename V>
PA_INLINE void store(const V& v, float* p) { reinterpret_cast<Loose<V>*>(p)->v = v; }

template <typename V>
PA_INLINE void store(const V& v, c10::BFloat16* p) {
    typedef typename Integers<sizeof(V)>::Narrow Narrow;
    typedef typename Integers<sizeof(V)>::Wide Wide;
    Wide bits;
    std::memcpy(&bits, &v, sizeof bits);
    Wide rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;  // to the nearest, ties to even; NaN stays NaN
    Narrow narrow = __builtin_convertvector((bits & 0x7FFFFFFF) > 0x7F800000 ? Wide{} + 0x7FC0 : rounded, Narrow);
    std::memcpy(p, &narrow, sizeof narrow);
}

template <typename V>
PA_INLINE void load(V& v, const double* p) { v = reinterpret_cast<const Loose<V>*>(p)->v; }

#define PA_PAIRS(T)                                                                                         \
    template <typename V>                                                                                   \
    PA_INLINE void load(Pair<V>& v, const T* p) { load(v.low, p), load(v.high, p + sizeof(V) / kBytes<T>); } \
    template <typename V>                                                                                   \
    PA_INLINE void store(const Pair<V>& v, T* p) { store(v.low, p), store(v.high, p + sizeof(V) / kBytes<T>); }
PA_PAIRS(float)
PA_PAIRS(double)
PA_PAIRS(c10::BFloat16)
#undef PA_PAIRS

// The first n of a vector, the rest 0.
template <typename V, typename W>
PA_INLINE void load_part(V& v, const W* p, int64_t n) {
    if (n >= width<V>()) return load(v, p);
    W padded[width<V>()] = {};
    std::memcpy(padded, p, n * sizeof(W));
    load(v, padded);
}

template <typename V, typename W>
PA_INLINE void store_part(const V& v, W* p, int64_t n) {
    if (n >= width<V>()) return store(v, p);
    W padded[width<V>()];
    store(v, padded);
    std::memcpy(p, padded, n * sizeof(W));
}

// To the nearest number of the dtype.
template <typename V>
PA_INLINE void round_to(V&, const float*) {}

template <typename V>
PA_INLINE void round_to(V& v, const c10::BFloat16*) {
    c10::BFloat16 narrow[width<V>()];
    store(v, narrow);
    load(v, narrow);
}

PA_INLINE void halve(const V16& v, V8& out) {
    out = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) + __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
}

template <typename V>
PA_INLINE void halve(const Pair<V>& v, V& out) {
    out = v.low;
    each([](auto& low, const auto& high) PA_INLINED { low += high; }, out, v.high);
}

PA_INLINE float sum(const V4& v) { return (v[0] + v[2]) + (v[1] + v[3]); }

PA_INLINE float sum(const V8& v) {
    V4 a = __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
    return sum(a);
}

PA_INLINE float sum(const V16& v) {
    V8 a;
    halve(v, a);
    return sum(a);
}

template <typename V>
PA_INLINE float sum(const Pair<V>& v) {
    V a;
    halve(v, a);
    return sum(a);
}

// The sums of four lines.
template <typename L>
PA_INLINE void sum4(const L& a, const L& b, const L& c, const L& d, float* out) {
    V8 ha, hb, hc, hd;
    halve(a, ha), halve(b, hb), halve(c, hc), halve(d, hd);
    V8 ab = __builtin_shufflevector(ha, hb, 0, 1, 2, 3, 8, 9, 10, 11) + __builtin_shufflevector(ha, hb, 4, 5, 6, 7, 12, 13, 14, 15);
    V8 cd = __builtin_shufflevector(hc, hd, 0, 1, 2, 3, 8, 9, 10, 11) + __builtin_shufflevector(hc, hd, 4, 5, 6, 7, 12, 13, 14, 15);
    V8 pairs = __builtin_shufflevector(ab, cd, 0, 8, 1, 9, 4, 12, 5, 13) + __builtin_shufflevector(ab, cd, 2, 10, 3, 11, 6, 14, 7, 15);
    V8 sums = pairs + __builtin_shufflevector(pairs, pairs, 2, 3, 0, 1, 6, 7, 4, 5);  // a c . . b d . .
    V4 four = __builtin_shufflevector(sums, sums, 0, 4, 1, 5);
    store(four, out);
}

PA_INLINE void sum4(const Line<V4>& a, const Line<V4>& b, const Line<V4>& c, const Line<V4>& d, float* out) { out[0] = sum(a), out[1] = sum(b), out[2] = sum(c), out[3] = sum(d); }

// exp on a whole vector, for arguments of at most 0: 2^n times a polynomial of degree 6 on [-ln 2 / 2, ln 2 / 2], 2 ulp.
template <typename V>
PA_INLINE void exponential(V& x) {
    typedef typename Integers<sizeof(V)>::Signed I;
    V low = x < -87.0f ? V{} - 87.0f : x;
    I n = __builtin_convertvector(low * 1.44269504f - 0.5f, I);  // towards 0, so to the nearest for arguments below 0
    V whole = __builtin_convertvector(n, V);
    V r = low - whole * 0.693359375f + whole * 2.12194440e-4f;
    V p = r * 1.98756915e-4f + 1.39819994e-3f;
    p = p * r + 8.33345191e-3f;
    p = p * r + 4.16657962e-2f;
    p = p * r + 1.66666655e-1f;
    p = p * r + 5.00000012e-1f;
    p = p * r * r + r + 1.0f;
    I bits = (n + 127) << 23;
    V power;
    std::memcpy(&power, &bits, sizeof power);
    x = x < -87.0f ? V{} : p * power;
}

PA_INLINE float one(const float* p) { return *p; }

PA_INLINE float one(const c10::BFloat16* p) {
    uint32_t bits = static_cast<uint32_t>(p->x) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// To the nearest, ties to even; NaN stays NaN.
PA_INLINE void round(float x, c10::BFloat16* p) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    p->x = static_cast<uint16_t>((bits & 0x7FFFFFFF) > 0x7F800000 ? 0x7FC0 : rounded);
}

}  // namespace lanes
}  // namespace pa
