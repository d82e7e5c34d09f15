// Times peftalign::tree_attention and its gradient on packs of real trees (bench/attention/run compiles this with the kernels of one
// or two source trees, the second under other names), in turns, and prints the rate of the operations that are needed: 4 D for
// each pair of a row and a column that it sees forward, 10 D backward. One line for each shape.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace {

using at::Tensor;
using Forward = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const c10::optional<Tensor>&, const c10::optional<Tensor>&, const Tensor&, at::IntArrayRef, double);
using Backward = std::tuple<Tensor, Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const c10::optional<Tensor>&, const c10::optional<Tensor>&, const Tensor&, at::IntArrayRef, double);

struct Case {
    const char* name;
    int64_t heads, groups, width, pairs, fixed;  // fixed: tokens of one chain; 0 = pairs of the file
    at::ScalarType type;
};

struct Pack {
    Tensor spans, q, k, v, cos, sin, grad;
    std::vector<int64_t> segments;
    double seen = 0;  // pairs of a row and a column that it sees
};

// A prompt and its answers; each answer's rows see the prompt and what stands before them in the answer.
void add(const std::vector<int64_t>& parts, std::vector<int32_t>& spans, Pack& pack) {
    int64_t first = 0, start = static_cast<int64_t>(spans.size()) / 4;
    for (size_t b = 0; b < parts.size(); first += parts[b], b++)
        for (int64_t r = first; r < first + parts[b]; r++) {
            int64_t prompt = b > 0 ? parts[0] : 0;
            for (int64_t x : {int64_t(0), prompt, first, r + 1}) spans.push_back(static_cast<int32_t>(x));
            pack.seen += prompt + r + 1 - first;
        }
    pack.segments.push_back(start), pack.segments.push_back(first);
}

Pack pack_of(const Case& c, const std::vector<std::vector<int64_t>>& lengths, int64_t skip) {
    Pack pack;
    std::vector<int32_t> spans;
    for (int64_t k = 0; k < c.pairs; k++)
        if (c.fixed > 0) add({c.fixed}, spans, pack);
        else add(lengths[(skip + k) % lengths.size()], spans, pack);
    int64_t rows = static_cast<int64_t>(spans.size()) / 4;
    at::manual_seed(7);
    auto make = [&](int64_t heads) { return at::randn({rows, heads, c.width}).to(c.type); };
    pack.spans = at::from_blob(spans.data(), {rows, 4}, at::kInt).clone();
    pack.q = make(c.heads), pack.k = make(c.groups), pack.v = make(c.groups), pack.grad = make(c.heads);
    Tensor angle = at::randn({rows, 1, c.width / 2});
    pack.cos = at::cat({angle.cos(), angle.cos()}, -1).to(c.type), pack.sin = angle.sin().to(c.type);
    return pack;
}

struct Kernels {
    c10::TypedOperatorHandle<Forward> forward;
    c10::TypedOperatorHandle<Backward> backward;
    explicit Kernels(const std::string& name)
        : forward(c10::Dispatcher::singleton().findSchemaOrThrow((name + "::tree_attention").c_str(), "").typed<Forward>()),
          backward(c10::Dispatcher::singleton().findSchemaOrThrow((name + "::tree_attention_backward").c_str(), "").typed<Backward>()) {}
};

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

double worst(const Tensor& a, const Tensor& b) { return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>(); }

// Seconds of the forward and of the backward pass over all packs.
std::pair<double, double> once(Kernels& kernels, const std::vector<Pack>& packs, double scale, std::vector<Tensor>* results) {
    double forward = 0, backward = 0;
    for (const Pack& p : packs) {
        double a = seconds();
        auto [out, sums] = kernels.forward.call(p.q, p.k, p.v, p.cos, p.sin, p.spans, p.segments, scale);
        double b = seconds();
        auto [dq, dk, dv] = kernels.backward.call(p.grad, p.q, p.k, p.v, out, sums, p.cos, p.sin, p.spans, p.segments, scale);
        double c = seconds();
        forward += b - a, backward += c - b;
        if (results)
            for (const Tensor& t : {out, dq, dk, dv}) results->push_back(t);
    }
    return {forward, backward};
}

void run(const Case& c, const std::vector<std::vector<int64_t>>& lengths, std::vector<Kernels>& kernels, int rounds) {
    std::vector<Pack> packs;
    double seen = 0, scale = 1 / std::sqrt(static_cast<double>(c.width));
    for (int64_t k = 0; k < (c.fixed > 0 ? 1 : 6); k++) packs.push_back(pack_of(c, lengths, k * c.pairs)), seen += packs.back().seen;
    std::vector<std::vector<Tensor>> results(kernels.size());
    std::vector<std::vector<double>> forward(kernels.size()), backward(kernels.size());
    for (size_t k = 0; k < kernels.size(); k++) once(kernels[k], packs, scale, &results[k]);
    for (int round = 0; round < rounds; round++)
        for (size_t k = 0; k < kernels.size(); k++) {
            auto [f, b] = once(kernels[k], packs, scale, nullptr);
            forward[k].push_back(f), backward[k].push_back(b);
        }
    std::printf("%-34s", c.name);
    double flops = seen * c.heads * c.width * 1e-9;
    for (size_t k = 0; k < kernels.size(); k++) {
        std::sort(forward[k].begin(), forward[k].end()), std::sort(backward[k].begin(), backward[k].end());
        std::printf("  %6.1f (%5.1f) %6.1f (%5.1f)", 4 * flops / forward[k][0], 4 * flops / forward[k][rounds / 2], 10 * flops / backward[k][0], 10 * flops / backward[k][rounds / 2]);
    }
    if (kernels.size() > 1) {
        double off = 0;
        for (size_t k = 0; k < results[0].size(); k++) off = std::max(off, worst(results[0][k], results[1][k]));
        std::printf("  %5.2f %5.2f  %.1e", forward[1][rounds / 2] / forward[0][rounds / 2], backward[1][rounds / 2] / backward[0][rounds / 2], off);
    }
    std::printf("\n");
    std::fflush(stdout);
}

}  // namespace

int main(int count, char** words) {
    if (count < 5) return std::fprintf(stderr, "bench LENGTHS.csv THREADS ROUNDS ONLY [other]\n"), 2;
    std::vector<std::vector<int64_t>> lengths;
    std::ifstream file(words[1]);
    for (std::string line; std::getline(file, line);) {
        long long a, b, c;
        if (std::sscanf(line.c_str(), "%lld,%lld,%lld", &a, &b, &c) == 3) lengths.push_back({a, b, c});
    }
    if (lengths.empty()) return std::fprintf(stderr, "%s: no rows of three lengths\n", words[1]), 2;
    at::set_num_threads(std::atoi(words[2]));
    std::vector<Kernels> kernels{Kernels("peftalign")};
    if (count > 5) kernels.emplace_back(words[5]);
    std::printf("GFLOP/s, best (median) of %s rounds, forward and backward%s\n", words[3], count > 5 ? "; the same of the other; how many times as long the other takes; greatest difference" : "");
    const Case cases[] = {
        {"25m: 6 heads of 64, HH pairs", 6, 6, 64, 4, 0, at::kFloat},
        {"110m: 12 heads of 64, HH pairs", 12, 12, 64, 4, 0, at::kFloat},
        {"12 heads of 32, HH pairs", 12, 12, 32, 4, 0, at::kFloat},
        {"6 heads of 128, HH pairs", 6, 6, 128, 4, 0, at::kFloat},
        {"8 over 2 heads of 64, HH pairs", 8, 2, 64, 4, 0, at::kFloat},
        {"8 over 2 heads of 128, HH pairs", 8, 2, 128, 4, 0, at::kFloat},
        {"6 heads of 80, HH pairs", 6, 6, 80, 4, 0, at::kFloat},
        {"6 heads of 64, HH pairs, bfloat16", 6, 6, 64, 4, 0, at::kBFloat16},
        {"6 heads of 64, 4 of 512", 6, 6, 64, 4, 512, at::kFloat},
        {"8 over 2 heads of 64, 1 of 2048", 8, 2, 64, 1, 2048, at::kFloat},
    };
    for (const Case& c : cases)
        if (std::string(c.name).find(words[4]) != std::string::npos) run(c, lengths, kernels, std::atoi(words[3]));
}
