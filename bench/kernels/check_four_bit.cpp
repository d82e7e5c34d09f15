// The 4-bit kernels of plugins/Peft.QLora/native against plain loops: random sizes, whole and broken blocks, each type, each instruction set
// that the processor has, 1 to 4 threads; the CUDA kernels' bodies, run on the processor, too. Every array has exactly the size that a
// kernel may touch, so that the address sanitizer sees what goes beyond. bench/kernels/check compiles it.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "values.h"

namespace {

std::mt19937_64 draws;
int failures = 0;
int64_t below(int64_t n) { return static_cast<int64_t>(draws() % static_cast<uint64_t>(n)); }

// Memory of exactly n entries; of 2 bytes more in front where `odd`, as a view into a tensor of 16 bits may lie.
template <typename T>
struct Exact {
    std::unique_ptr<char[]> memory;
    T* at;
    explicit Exact(int64_t n, bool odd = false) : memory(new char[n * sizeof(T) + (odd ? sizeof(T) : 0)]()), at(reinterpret_cast<T*>(memory.get()) + (odd ? 1 : 0)) {}
};

int64_t size_of(int32_t type) { return type == PQ_F32 ? 4 : 2; }

void expect(bool holds, const char* what, int64_t count, int32_t blocksize, int32_t type, int level, int threads) {
    if (holds) return;
    std::printf("four_bit: %s of %lld values in blocks of %d, type %d, level %d, %d threads\n", what, static_cast<long long>(count), blocksize, type, level, threads), failures++;
}

pq_levels levels_of(const float* sorted, const uint8_t* order) {
    pq_levels levels;
    for (int k = 0; k < 16; k++) levels.patterns[k] = order[k];
    for (int k = 0; k < 15; k++) levels.thresholds[k] = (sorted[k] + sorted[k + 1]) / 2;
    return levels;
}

struct Case {
    int64_t outs, ins, count, blocks;
    int32_t blocksize, type;
    bool nested;
};

Case any() {
    static const int64_t sizes[] = {1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 255, 257, 1023, 1025, 2049};
    static const int32_t types[] = {PQ_F16, PQ_F32, PQ_BF16};
    Case c;
    c.outs = sizes[below(19)], c.ins = sizes[below(21)], c.blocksize = 1 << (5 + below(8)), c.type = types[below(3)], c.nested = below(2) == 1;
    c.count = c.outs * c.ins, c.blocks = (c.count + c.blocksize - 1) / c.blocksize;
    return c;
}

struct Threads {
    int level, threads;
};
std::vector<Threads> ways() {
    std::vector<Threads> all;
    for (int level = 0; level <= 2; level++)
        if (pq_level(level) == level)
            for (int threads = 1; threads <= 4; threads++) all.push_back({level, threads});
    all.push_back({-1, 0});  // the CUDA kernels' bodies
    return all;
}

void round_of(uint64_t seed) {
    draws.seed(seed);
    Case c = any();
    std::normal_distribution<float> normal;
    Exact<float> code(16), map(256), own_absmax(c.nested ? 0 : c.blocks), nested_absmax((c.blocks + 255) / 256);
    uint8_t order[16];
    for (int k = 0; k < 16; k++) code.at[k] = (k - 7) / 8.0f, order[k] = static_cast<uint8_t>(k);
    for (int k = 0; k < 256; k++) map.at[k] = (k - 127) / 128.0f;
    pq_levels levels = levels_of(code.at, order);
    Exact<char> x(c.count * size_of(c.type), false);
    for (int64_t k = 0; k < c.count; k++) pq::store(x.at, c.type, k, below(200) == 0 ? 0.0f : normal(draws));

    // What each block's largest magnitude and codes are.
    Exact<float> absmax(c.blocks);
    Exact<uint8_t> packed((c.count + 1) / 2);
    auto wide = [&](int64_t k) { return pq::load(x.at, c.type, k); };
    for (int64_t k = 0; k < c.count; k++) absmax.at[k / c.blocksize] = std::max(absmax.at[k / c.blocksize], std::fabs(wide(k)));
    if (c.count % c.blocksize != 0) absmax.at[c.blocks - 1] = std::max(absmax.at[c.blocks - 1], 1e-38f);
    auto encoded = [&](int64_t k) {
        if (k >= c.count) return static_cast<uint8_t>(7);
        float most = std::max(absmax.at[k / c.blocksize], 1e-38f), y = (k / c.blocksize + 1) * c.blocksize <= c.count ? wide(k) * (1.0f / most) : wide(k) / most;
        uint8_t place = 0;
        while (place < 15 && y > levels.thresholds[place]) place++;
        return place;
    };
    for (int64_t k = 0; k < c.count; k += 2) packed.at[k / 2] = static_cast<uint8_t>(encoded(k) << 4 | encoded(k + 1));

    Exact<uint8_t> nested(c.nested ? c.blocks : 0);
    pq_matrix m{packed.at, c.nested ? nullptr : absmax.at, nested.at, map.at, nested_absmax.at, code.at, c.count, c.blocksize, 256, 0.5f};
    if (c.nested) pq_quantise8(absmax.at, c.blocks, 256, map.at, nested.at, nested_absmax.at);
    auto factor = [&](int64_t block) { return c.nested ? map.at[nested.at[block]] * nested_absmax.at[block / 256] + 0.5f : absmax.at[block]; };
    std::vector<float> w(c.count);
    for (int64_t k = 0; k < c.count; k++) w[k] = code.at[packed.at[k / 2] >> (k % 2 ? 0 : 4) & 15] * factor(k / c.blocksize);
    int64_t rows = 1 + below(17);
    std::vector<float> inputs(rows * c.ins);
    for (float& value : inputs) value = normal(draws);

    for (auto [level, threads] : ways()) {
        if (level >= 0) pq_level(level);
        auto check = [&](bool holds, const char* what) { expect(holds, what, c.count, c.blocksize, c.type, level, threads); };
        Exact<uint8_t> q((c.count + 1) / 2);
        Exact<float> scales(c.blocks);
        if (level >= 0) pq_quantise(x.at, c.type, c.count, c.blocksize, &levels, q.at, scales.at, threads);
        else pq_emulated_quantise(x.at, c.type, c.count, c.blocksize, &levels, q.at, scales.at, 0, INT64_MAX);
        check(std::equal(q.at, q.at + (c.count + 1) / 2, packed.at) && std::equal(scales.at, scales.at + c.blocks, absmax.at), "quantised are others");

        Exact<uint16_t> decoded(c.count * size_of(c.type) / 2, c.type != PQ_F32 && below(2) == 1);
        if (level >= 0) pq_decode(&m, decoded.at, c.type, threads);
        else pq_emulated_decode(&m, decoded.at, c.type, 0, INT64_MAX);
        Exact<float> one(1);
        bool same = true;
        for (int64_t k = 0; k < c.count; k++) pq::store(one.at, c.type, 0, w[k]), same &= pq::load(decoded.at, c.type, k) == pq::load(one.at, c.type, 0);
        check(same, "decoded are others");

        // The processor's take float32 whatever the type of arithmetic, and know no float16.
        int32_t type = level < 0 || c.type == PQ_BF16 ? c.type : PQ_F32, given = level < 0 ? type : PQ_F32;
        Exact<char> from(rows * c.ins * size_of(given)), to(rows * c.outs * size_of(given));
        for (int64_t k = 0; k < rows * c.ins; k++) pq::store(from.at, given, k, inputs[k]);
        if (level >= 0) pq_product(&m, c.outs, c.ins, reinterpret_cast<float*>(from.at), rows, reinterpret_cast<float*>(to.at), type, threads);
        else pq_emulated_product(&m, c.outs, c.ins, from.at, rows, to.at, type, 0, INT64_MAX);
        bool near = true;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t o = 0; o < c.outs; o++) {
                double sum = 0, scale = 1e-6;
                for (int64_t i = 0; i < c.ins; i++) {
                    pq::store(one.at, type, 0, w[o * c.ins + i]);
                    double term = static_cast<double>(pq::load(one.at, type, 0)) * pq::load(from.at, given, r * c.ins + i);
                    sum += term, scale += std::fabs(term);
                }
                near &= std::fabs(pq::load(to.at, given, r * c.outs + o) - sum) <= (given == PQ_F32 ? 1e-5 : 0.01) * scale;
            }
        check(near, "a product is another");
    }
}

}  // namespace

int main(int count, char** words) {
    if (count != 3) return std::fprintf(stderr, "check_four_bit ROUNDS SEED\n"), 2;
    for (int round = 0; round < std::atoi(words[1]); round++) round_of(std::strtoull(words[2], nullptr, 10) + round);
    std::printf("four_bit: %s rounds, %d failed\n", words[1], failures);
    return failures == 0 ? 0 : 1;
}
