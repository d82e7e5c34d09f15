// The bodies of the CUDA kernels (grid.h says how they are written) and the shapes that they are launched in.
#pragma once
#include "grid.h"

namespace pq {

constexpr int kQuantiseThreads = 64;   // one block of threads for each block of values
constexpr int kDecodeThreads = 256;    // a thread decodes 8 values
constexpr int kProductThreads = 128;   // one block of threads for each output
constexpr int kProductRows = 8;        // most rows of x in one launch

// Floats of shared memory: a value of each thread; the code; the code, and each thread's sums.
constexpr int kQuantiseShared = kQuantiseThreads, kDecodeShared = 16, kProductShared = 16 + kProductThreads * kProductRows;

// What every device gives a block unasked. Sums are halved, so threads are a power of two; the last phase has a thread for each row.
constexpr bool is_shape(int threads, int shared) { return threads >= 32 && threads <= 1024 && (threads & (threads - 1)) == 0 && shared * 4 <= 48 * 1024; }
static_assert(is_shape(kQuantiseThreads, kQuantiseShared) && is_shape(kDecodeThreads, kDecodeShared) && is_shape(kProductThreads, kProductShared) && kProductRows <= kProductThreads);

struct QuantiseArguments {
    const void* x;
    int32_t type, blocksize;
    int64_t count;
    pq_levels levels;
    uint8_t* packed;
    float* absmax;
    uint64_t patterns;  // the levels' sixteen in a register: what is chosen from an array at run time lies in memory
};

inline QuantiseArguments quantise_arguments(const void* x, int32_t type, int64_t count, int32_t blocksize, const pq_levels& levels, uint8_t* packed, float* absmax) {
    uint64_t patterns = 0;
    for (int place = 0; place < 16; place++) patterns |= uint64_t(levels.patterns[place]) << (4 * place);
    return {x, type, blocksize, count, levels, packed, absmax, patterns};
}

inline int64_t quantise_grid(const QuantiseArguments& a) { return (a.count + a.blocksize - 1) / a.blocksize; }

// shared: (kQuantiseThreads)
PQ_KERNEL quantise_block(const Block& block, const QuantiseArguments& a) {
    int64_t first = block.index * a.blocksize;
    int n = int(a.count - first < a.blocksize ? a.count - first : a.blocksize);
    bool whole = n == a.blocksize;
    block.each([&](int t) PQ_PHASE {
        float largest = 0;
        // As bits, so that a NaN is the largest.
        for (int k = t; k < n; k += block.threads) {
            uint32_t u = bits(load(a.x, a.type, first + k)) & 0x7fffffff;
            if (u > bits(largest)) largest = from_bits(u);
        }
        block.shared[t] = largest;
    });
    block.sync();
    for (int half = block.threads / 2; half > 0; half /= 2) {
        block.each([&](int t) PQ_PHASE {
            if (t < half && bits(block.shared[t + half]) > bits(block.shared[t])) block.shared[t] = block.shared[t + half];
        });
        block.sync();
    }
    float absmax = kept_absmax(block.shared[0], whole);
    block.each([&](int t) PQ_PHASE {
        if (t == 0) a.absmax[block.index] = absmax;
        for (int k = 2 * t; k < n; k += 2 * block.threads) {
            int high = place_of(a.levels, scaled(load(a.x, a.type, first + k), absmax, whole));
            int low = place_of(a.levels, k + 1 < n ? scaled(load(a.x, a.type, first + k + 1), absmax, whole) : 0.0f);
            a.packed[(first + k) / 2] = uint8_t((a.patterns >> (4 * high) & 15) << 4 | (a.patterns >> (4 * low) & 15));
        }
    });
}

struct DecodeArguments {
    pq_matrix matrix;
    void* out;
    int32_t type, shift;  // blocksize = 2^shift
    bool in_eights;       // whether eight values may be read and written at once
};

// Block sizes are powers of two.
inline int32_t shift_of(int32_t blocksize) { return __builtin_ctz(uint32_t(blocksize)); }

inline DecodeArguments decode_arguments(const pq_matrix& matrix, void* out, int32_t type) {
    return {matrix, out, type, shift_of(matrix.blocksize), is_aligned(matrix.packed, sizeof(uint32_t)) && is_aligned(out, sizeof(Sixteen))};
}

inline int64_t decode_grid(const DecodeArguments& a) { return (a.matrix.count + kDecodeThreads * 8 - 1) / (kDecodeThreads * 8); }

// shared: (16) the code
PQ_KERNEL decode_block(const Block& block, const DecodeArguments& a) {
    block.each([&](int t) PQ_PHASE {
        if (t < 16) block.shared[t] = a.matrix.code[t];
    });
    block.sync();
    block.each([&](int t) PQ_PHASE {
        int64_t group = block.index * block.threads + t, first = group * 8;
        if (first >= a.matrix.count) return;
        // Block sizes are multiples of 8, so that one factor serves.
        float by = factor(a.matrix, first >> a.shift);
        if (a.in_eights && first + 8 <= a.matrix.count) {
            uint32_t codes = eight_codes(a.matrix.packed, group);
            float values[8];
            PQ_UNROLL
            for (int k = 0; k < 8; k++) values[k] = block.shared[eight_pattern(codes, k)] * by;
            store_eight(a.out, a.type, first, values);
            return;
        }
        for (int64_t k = first; k < first + 8 && k < a.matrix.count; k++) store(a.out, a.type, k, block.shared[pattern(a.matrix, k)] * by);
    });
}

struct ProductArguments {
    pq_matrix matrix;
    int64_t outs, ins;
    const void* x;
    int64_t rows;
    void* y;
    int32_t type, shift;
    bool in_eights;  // whether eight neighbours lie in one row, and their codes and inputs may be read at once
};

inline int64_t product_grid(const ProductArguments& a) { return a.outs; }

// A launch for each few rows; the first error ends it.
template <typename Launch>
inline int32_t each_product(const pq_matrix& matrix, int64_t outs, int64_t ins, const void* x, int64_t rows, void* y, int32_t type, Launch launch) {
    int64_t size = type == PQ_F32 ? 4 : 2;
    bool in_eights = ins % 8 == 0 && is_aligned(matrix.packed, sizeof(uint32_t)) && is_aligned(x, sizeof(Sixteen));
    for (int64_t r = 0; r < rows; r += kProductRows) {
        int64_t n = rows - r < kProductRows ? rows - r : kProductRows;
        ProductArguments a{matrix, outs, ins, static_cast<const char*>(x) + r * ins * size, n, static_cast<char*>(y) + r * outs * size, type, shift_of(matrix.blocksize), in_eights};
        if (int32_t error = launch(a)) return error;
    }
    return 0;
}

PQ_BOTH float rounded(float w, int32_t type) { return type == PQ_BF16 ? of_bf16(to_bf16(w)) : type == PQ_F16 ? of_f16(to_f16(w)) : w; }

// own[r] += x_r w over eight inputs from i of the row that begins at value `row`. Loops over rows have a constant end, so that own
// stays in registers.
PQ_BOTH void add_eight(const ProductArguments& a, const float* code, int64_t row, int64_t i, float (&own)[kProductRows]) {
    uint32_t codes = eight_codes(a.matrix.packed, (row + i) / 8);
    float by = factor(a.matrix, (row + i) >> a.shift), w[8], x[8];
    PQ_UNROLL
    for (int k = 0; k < 8; k++) w[k] = rounded(code[eight_pattern(codes, k)] * by, a.type);
    PQ_UNROLL
    for (int r = 0; r < kProductRows; r++) {
        if (r < a.rows) {
            load_eight(a.x, a.type, r * a.ins + i, x);
            PQ_UNROLL
            for (int k = 0; k < 8; k++) own[r] += w[k] * x[k];
        }
    }
}

// The same one by one, where a row ends within eight or its address is odd.
PQ_BOTH void add_single(const ProductArguments& a, const float* code, int64_t row, int64_t i, float (&own)[kProductRows]) {
    int64_t end = i + 8 < a.ins ? i + 8 : a.ins;
    for (int64_t k = i; k < end; k++) {
        float w = rounded(code[pattern(a.matrix, row + k)] * factor(a.matrix, (row + k) >> a.shift), a.type);
        PQ_UNROLL
        for (int r = 0; r < kProductRows; r++)
            if (r < a.rows) own[r] += w * load(a.x, a.type, r * a.ins + k);
    }
}

// shared: (16 + threads * rows) the code, and each thread's sums
PQ_KERNEL product_block(const Block& block, const ProductArguments& a) {
    float* sums = block.shared + 16;
    block.each([&](int t) PQ_PHASE {
        if (t < 16) block.shared[t] = a.matrix.code[t];
    });
    block.sync();
    block.each([&](int t) PQ_PHASE {
        float own[kProductRows] = {};
        int64_t row = block.index * a.ins;
        for (int64_t i = int64_t(t) * 8; i < a.ins; i += int64_t(block.threads) * 8) {
            if (a.in_eights) add_eight(a, block.shared, row, i, own);
            else add_single(a, block.shared, row, i, own);
        }
        PQ_UNROLL
        for (int r = 0; r < kProductRows; r++)
            if (r < a.rows) sums[r * block.threads + t] = own[r];
    });
    block.sync();
    for (int half = block.threads / 2; half > 0; half /= 2) {
        block.each([&](int t) PQ_PHASE {
            if (t < half)
                for (int r = 0; r < a.rows; r++) sums[r * block.threads + t] += sums[r * block.threads + t + half];
        });
        block.sync();
    }
    block.each([&](int t) PQ_PHASE {
        if (t < a.rows) store(a.y, a.type, t * a.outs + block.index, sums[t * block.threads]);
    });
}

}  // namespace pq
