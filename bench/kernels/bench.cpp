// Times kernels of native/ (bench/kernels/run compiles this with those of one or two source trees, the second under other names) on each
// instruction set that the processor has, in turns. A line for each case: rates of the best round, in GFLOP/s for products and in GB/s
// of what is read and written elsewhere, and how they compare with those of the best set.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "instructions.h"

namespace {

using at::Tensor;
using c10::IValue;
using Run = std::function<void(const std::string& space)>;

struct Case {
    std::string name;
    double work;  // in 1e9 operations or bytes
    Run run;
    std::function<void()> libtorch;  // the same by libtorch, if it has one
    pa::Instructions least = pa::kBaseline;  // that it is made for
};

// What another tree's operator takes behind these arguments is none.
std::vector<IValue> call(const std::string& space, const char* name, std::vector<IValue> arguments) {
    c10::OperatorHandle handle = c10::Dispatcher::singleton().findSchemaOrThrow((space + "::" + name).c_str(), "");
    arguments.resize(std::max(arguments.size(), handle.schema().arguments().size()));
    handle.callBoxed(&arguments);
    return arguments;
}

double gigabytes(std::initializer_list<Tensor> tensors) {
    double sum = 0;
    for (const Tensor& t : tensors) sum += static_cast<double>(t.numel() * t.element_size()) * 1e-9;
    return sum;
}

const char* name_of(at::ScalarType type) { return type == at::kFloat ? "float32" : "bfloat16"; }

Tensor random(at::IntArrayRef sizes, at::ScalarType type = at::kFloat) { return at::randn(sizes).to(type); }

// The products of a step of llama-25m (hidden 512, inner 1376, 8192 entries) over 1024 rows: forward, by the input, by the weight.
void add_products(std::vector<Case>& cases, at::ScalarType type) {
    for (auto [out, in] : {std::pair<int64_t, int64_t>{512, 512}, {1376, 512}, {512, 1376}, {8192, 512}}) {
        Tensor x = random({1024, in}, type), w = random({out, in}, type), g = random({1024, out}, type);
        std::string shape = "1024 rows, " + std::to_string(in) + " to " + std::to_string(out) + ", " + name_of(type);
        auto add = [&](const std::string& name, Tensor a, Tensor b) {
            cases.push_back({"products: " + name + ", " + shape, 2.0 * a.size(0) * a.size(1) * b.size(1) * 1e-9,
                             [=](const std::string& space) { call(space, "products", {std::vector<Tensor>{a}, std::vector<Tensor>{b}, std::vector<double>{1.0}}); }, [=] { at::mm(a, b); }});
        };
        add("forward", x, w.t()), add("by the input", g, w), add("by the weight", g.t(), x);
    }
}

// Of the same model's head, without logits in memory; libtorch has no such operator.
void add_head(std::vector<Case>& cases, at::ScalarType type) {
    Tensor x = random({1024, 512}, type), head = random({8192, 512}, type), targets = at::arange(1024, at::kLong);
    for (bool expect : {false, true})
        cases.push_back({std::string("head_figures: 1024 of 512, 8192 entries, ") + name_of(type) + (expect ? ", means" : ""), (expect ? 4.0 : 2.0) * 1024 * 512 * 8192 * 1e-9,
                         [=](const std::string& space) { call(space, "head_figures", {x, head, targets, expect}); }, {}, pa::kAvx2});
}

void add_few_rows(std::vector<Case>& cases, at::ScalarType type) {
    for (int64_t rows : {1, 2, 4, 8, 16}) {
        Tensor x = random({rows, 1024}, type), w = random({2048, 1024}, type);
        cases.push_back({std::string("few_rows: ") + std::to_string(rows) + " of 1024 to 2048, " + name_of(type), gigabytes({w}),
                         [=](const std::string& space) { call(space, "few_rows_linear", {x, w, IValue()}); }, [=] { at::linear(x, w); }});
    }
}

Tensor places(int64_t rows, int64_t past) { return at::arange(rows * past, at::kInt).view({rows, past}); }

void add_decoding(std::vector<Case>& cases, at::ScalarType type, int64_t rows, int64_t past) {
    int64_t heads = 12, width = 64, d = 768, inner = 2048;
    Tensor q = random({rows, heads, width}, type), keys = random({rows * past, heads, width}, type), values = random({rows * past, heads, width}, type);
    Tensor at = places(rows, past), lengths = at::full({rows}, past, at::kLong);
    std::string name = std::to_string(rows) + " rows, past of " + std::to_string(past) + ", " + name_of(type);
    cases.push_back({"decode_attention: " + name, gigabytes({keys, values}),
                     [=](const std::string& space) { call(space, "decode_attention", {q, q, q, keys, values, at, lengths, IValue(), IValue(), 0.125, 0.0, int64_t(0)}); }, {}});
    Tensor norm = random({d}, type), square = random({d, d}, type) * 0.03, up = random({inner, d}, type) * 0.03, down = random({d, inner}, type) * 0.03, x = random({rows, d}, type);
    c10::List<c10::optional<Tensor>> weights;
    for (const Tensor& w : {norm, square, Tensor(), square, Tensor(), square, Tensor(), Tensor(), Tensor(), square, Tensor(), norm, up, Tensor(), up, Tensor(), down, Tensor()})
        weights.push_back(w.defined() ? c10::optional<Tensor>(w) : c10::optional<Tensor>());
    c10::List<Tensor> caches({keys, values});
    cases.push_back({"decode_blocks: " + name, gigabytes({square, square, square, square, up, up, down, keys, values}), [=](const std::string& space) {
                         call(space, "decode_blocks", {x, weights, caches, at, lengths, IValue(), IValue(), std::vector<int64_t>{heads, heads, width, inner}, std::vector<double>{0.125, 0, 1e-5}, std::vector<int64_t>{0}});
                     }, {}});
}

void add_rows(std::vector<Case>& cases, at::ScalarType type) {
    std::string of = name_of(type);
    Tensor logits = random({32, 32000}, type), targets = at::arange(32, at::kLong);
    for (bool keep : {false, true})
        cases.push_back({std::string("target_log_probs: 32 of 32000, ") + (keep ? "kept, " : "") + of, gigabytes({logits, logits}), [=](const std::string& space) { call(space, "target_log_probs", {logits, targets, keep}); }, {}});
    Tensor x = random({1024, 512}, type), weight = random({512}, type), gate = random({1024, 1376}, type), up = random({1024, 1376}, type), grad = random({1024, 1376}, type);
    cases.push_back({"rms_norm: 1024 of 512, " + of, gigabytes({x, x}), [=](const std::string& space) { call(space, "rms_norm", {x, weight, 1e-5}); }, {}});
    cases.push_back({"swiglu: 1024 of 1376, " + of, gigabytes({gate, up, gate}), [=](const std::string& space) { call(space, "swiglu", {gate, up}); }, {}});
    Tensor xg = x.clone().requires_grad_(), wg = weight.clone().requires_grad_(), gg = gate.clone().requires_grad_(), ug = up.clone().requires_grad_(), by = random({1024, 512}, type);
    cases.push_back({"rms_norm: and its gradients, " + of, gigabytes({x, x, x, x, x}), [=](const std::string& space) { torch::autograd::grad({call(space, "rms_norm", {xg, wg, 1e-5})[0].toTensor()}, {xg, wg}, {by}); }, {}});
    cases.push_back({"swiglu: and its gradients, " + of, gigabytes({gate, gate, gate, gate, gate, gate, gate, gate}), [=](const std::string& space) { torch::autograd::grad({call(space, "swiglu", {gg, ug})[0].toTensor()}, {gg, ug}, {grad}); }, {}});
}

void add_merges(std::vector<Case>& cases, at::ScalarType type) {
    std::string of = name_of(type);
    Tensor base = random({1 << 20}, type), a = random({1 << 20}, type), b = random({1 << 20}, type), empty = at::empty({0}, at::kLong);
    std::vector<Tensor> two{a, b}, masks{empty, empty};
    auto dtype = static_cast<int64_t>(type);
    cases.push_back({"merge_gram: two of 1 M, " + of, gigabytes({a, b, base}), [=](const std::string& space) { call(space, "merge_gram", {two, std::vector<Tensor>{base}}); }, {}});
    cases.push_back({"merge_combine: two of 1 M, " + of, gigabytes({a, b, base}), [=](const std::string& space) { call(space, "merge_combine", {two, std::vector<double>{0.3, 0.7}, dtype}); }, {}});
    cases.push_back({"merge_task_vectors: two of 1 M, TIES, " + of, gigabytes({a, b, base, base}),
                     [=](const std::string& space) { call(space, "merge_task_vectors", {base, two, masks, std::vector<double>{0.3, 0.7}, std::vector<double>{1, 1}, true, true, 1.0, dtype}); }, {}});
    cases.push_back({"merge_window: half of 1 M, " + of, gigabytes({a, base, a, base}), [=](const std::string& space) { call(space, "merge_window", {a, base, int64_t(1 << 19), int64_t(1 << 19), false}); }, {}});
    cases.push_back({"merge_bernoulli: half of 1 M, " + of, gigabytes({a, base}), [=](const std::string& space) { call(space, "merge_bernoulli", {a, base, 0.5, int64_t(3), int64_t(4)}); }, {}});
}

// Of the thread's own processor time where it works alone, so that other programs do not count.
double seconds() {
    timespec now;
    clock_gettime(at::get_num_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// One way to compute a case.
struct Way {
    std::string name;
    pa::Instructions most;
    std::string space;  // of the operators; empty: libtorch's own
};

void measure(const Case& c, const std::vector<Way>& ways, int rounds) {
    std::vector<double> best(ways.size(), 1e9);
    for (int round = -1; round < rounds; round++)
        for (size_t turn = 0; turn < ways.size(); turn++) {
            size_t k = (turn + round + 1) % ways.size();  // what came before is in the caches
            if (ways[k].most < c.least || (ways[k].space.empty() && !c.libtorch)) continue;
            pa::limit_instructions(ways[k].most);
            int calls = 0;
            double begin = seconds(), took;
            do {
                if (ways[k].space.empty()) c.libtorch();
                else c.run(ways[k].space);
                calls++, took = seconds() - begin;
            } while (took < 0.003);
            if (round >= 0) best[k] = std::min(best[k], took / calls);
        }
    std::printf("%-50s", c.name.c_str());
    for (size_t k = 0; k < ways.size(); k++)
        if (best[k] > 1e8) std::printf("  %-18s", "");
        else std::printf("  %8.2f (%5.2f)  ", c.work / best[k], best[0] / best[k]);
    std::printf("\n");
    std::fflush(stdout);
}

}  // namespace

int main(int count, char** words) {
    if (count < 4) return std::fprintf(stderr, "bench THREADS ROUNDS ONLY [OTHER]...\n"), 2;
    at::set_num_threads(std::atoi(words[1]));
    std::vector<Way> ways;
    for (auto set : {pa::kAvx512Bf16, pa::kAvx512, pa::kAvx2, pa::kBaseline})
        if (pa::has_instructions(set)) ways.push_back({pa::name_of(set), set, "peftalign"});
    ways.push_back({"libtorch", pa::kAvx512Bf16, ""});
    for (int k = 4; k < count; k++) ways.push_back({words[k], pa::kAvx512Bf16, words[k]});
    std::printf("%-50s", "GFLOP/s or GB/s (part of the first)");
    for (const Way& way : ways) std::printf("  %-18s", way.name.c_str());
    std::printf("\n");
    at::manual_seed(7);
    std::vector<Case> cases;
    for (auto type : {at::kFloat, at::kBFloat16}) add_products(cases, type), add_head(cases, type);
    for (auto type : {at::kFloat, at::kBFloat16}) add_few_rows(cases, type), add_decoding(cases, type, 1, 512), add_decoding(cases, type, 4, 512), add_rows(cases, type), add_merges(cases, type);
    for (const Case& c : cases)
        if (c.name.find(words[3]) != std::string::npos) measure(c, ways, std::atoi(words[2]));
}
