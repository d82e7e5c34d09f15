// The choice of the instruction set; see instructions.h.
#include "instructions.h"

#include <c10/util/Exception.h>

#include <cstdlib>
#include <string>

namespace pa {
namespace {

Instructions chosen() {
    Instructions best = kBaseline;
    for (Instructions set : {kAvx2, kAvx512, kAvx512Bf16}) best = has_instructions(set) ? set : best;
    int named = named_instructions("PEFTALIGN_INSTRUCTIONS", name_of(kBaseline));
    return named < 0 ? best : static_cast<Instructions>(named);
}

}  // namespace

std::atomic<int> instructions_in_use{-1};

bool has_instructions(Instructions set) {
#if defined(__x86_64__)
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
    return set == kBaseline || (set == kAvx2 && avx2) || (set == kAvx512 && avx512) || (set == kAvx512Bf16 && avx512 && __builtin_cpu_supports("avx512bf16"));
#else
    return set == kBaseline;
#endif
}

const char* name_of(Instructions set) { return set == kAvx512Bf16 ? "avx512_bf16" : set == kAvx512 ? "avx512" : set == kAvx2 ? "avx2" : "baseline"; }

int named_instructions(const char* variable, const char* baseline) {
    const char* wanted = std::getenv(variable);
    if (!wanted || !*wanted) return -1;
    std::string known;
    for (Instructions set : {kAvx512Bf16, kAvx512, kAvx2, kBaseline}) {
        if (!has_instructions(set)) continue;
        std::string name = set == kBaseline ? baseline : name_of(set);
        if (name == wanted) return set;
        known += (known.empty() ? "" : ", ") + name;
    }
    TORCH_CHECK(false, variable, " is '", wanted, "'; it may be ", known, " on this processor, or unset");
}

Instructions choose_instructions() { return limit_instructions(kAvx512Bf16); }

Instructions limit_instructions(Instructions most) {
    static const Instructions own = chosen();
    Instructions set = own < most ? own : most;
    instructions_in_use.store(set, std::memory_order_relaxed);
    return set;
}

}  // namespace pa
