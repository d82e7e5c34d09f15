// Compares the kernels of native/ with plain.h over random shapes, odd and empty ones too: on each instruction set that the processor has,
// with 1 to 4 threads, and from two threads at once. Values must be near, bits the same however many threads there are. It is made to run
// under a sanitizer (bench/kernels/check compiles it so), which sees what a comparison cannot: reads beyond a tensor, data races.
#include <ATen/Parallel.h>

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "trials.h"

namespace {

using namespace trials;

int failures = 0;

void report(const std::string& name, uint64_t seed, const std::string& what) {
    std::printf("%s, seed %llu: %s\n", name.c_str(), static_cast<unsigned long long>(seed), what.c_str());
    std::fflush(stdout), failures++;
}

bool same(const Tensors& a, const Tensors& b) {
    for (size_t k = 0; k < a.size(); k++)
        if (!a[k].equal(b[k])) return false;
    return true;
}

void compare(const std::string& name, uint64_t seed, const Trial& trial, const Tensors& got, const std::string& set) {
    for (size_t k = 0; k < got.size(); k++) {
        bool fits = got[k].sizes() == trial.want[k].sizes();
        Tensor off = fits ? (wide(got[k]) - trial.want[k]).abs() / trial.scales[k] : Tensor();
        if (!fits || (off.numel() > 0 && !off.le(trial.tolerance).all().item<bool>()))
            report(name, seed, "result " + std::to_string(k) + " on " + set + " is off by " + (fits ? std::to_string(off.max().item<double>()) : "its shape"));
    }
}

void test(const std::string& name, uint64_t seed, Trial (*make)(Draw&)) {
    Draw draw(seed);
    at::set_num_threads(1), pa::limit_instructions(pa::kAvx512Bf16);
    Trial trial = make(draw);
    for (auto set : {pa::kAvx512Bf16, pa::kAvx512, pa::kAvx2, pa::kBaseline}) {
        if (!pa::has_instructions(set) || set < trial.least) continue;
        pa::limit_instructions(set), at::set_num_threads(1);
        Tensors alone = trial.run(), first, second;
        compare(name, seed, trial, alone, pa::name_of(set));
        at::set_num_threads(static_cast<int>(2 + draw.below(3)));
        if (!same(trial.run(), alone)) report(name, seed, std::string("bits depend on threads on ") + pa::name_of(set));
        std::thread beside([&] { second = trial.run(); });
        first = trial.run();
        beside.join();
        if (!same(first, alone) || !same(second, alone)) report(name, seed, std::string("bits depend on what another thread computes on ") + pa::name_of(set));
    }
}

}  // namespace

int main(int count, char** words) {
    if (count != 4) return std::fprintf(stderr, "check ROUNDS SEED ONLY\n"), 2;
    const std::pair<const char*, Trial (*)(Draw&)> cases[] = {{"products", products}, {"linear", linear}, {"few_rows", few_rows}, {"head", head}, {"target_log_probs", target_log_probs}, {"norms", norms}, {"swiglu", swiglu}, {"trees", trees},
                                                              {"decode_attention", decode_attention}, {"decode_blocks", decode_blocks}, {"merges", merges}, {"masks", masks}};
    for (auto [name, make] : cases) {
        if (std::string(name).find(words[3]) == std::string::npos) continue;
        for (int round = 0; round < std::atoi(words[1]); round++) test(name, std::strtoull(words[2], nullptr, 10) + round, make);
        std::printf("%s: %s rounds\n", name, words[1]), std::fflush(stdout);
    }
    std::printf("%d failed\n", failures);
    return failures == 0 ? 0 : 1;
}
