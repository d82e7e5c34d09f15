// What the same libtorch does without us: calls of at::mul in microseconds, at::mm in GFLOP/s. Prints one line of numbers:
// mul, mul with autograd, mm in float32, mm in bfloat16. Arguments: threads, size of the matrices, repetitions.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

extern "C" __attribute__((weak)) void openblas_set_num_threads(int);

using Clock = std::chrono::steady_clock;

template <typename F>
double best_seconds(int repetitions, F&& work) {
    double best = 1e9;
    for (int k = 0; k < repetitions; k++) {
        auto start = Clock::now();
        work();
        best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
    }
    return best;
}

double calls(int repetitions, bool gradient) {
    constexpr int n = 20000;
    at::Tensor a = at::ones({4}).set_requires_grad(gradient), b = at::ones({4});
    return best_seconds(repetitions, [&] {
               for (int k = 0; k < n; k++) at::Tensor c = at::mul(a, b);
           }) / n * 1e6;
}

double product(int64_t n, int repetitions, at::ScalarType type) {
    at::Tensor a = at::randn({n, n}).to(type), b = at::randn({n, n}).to(type);
    return 2e-9 * n * n * n / best_seconds(repetitions, [&] { at::mm(a, b); });
}

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    int threads = std::atoi(argv[1]), repetitions = std::atoi(argv[3]);
    int64_t n = std::atoi(argv[2]);
    at::set_num_threads(threads);
    if (openblas_set_num_threads != nullptr) openblas_set_num_threads(threads);
    double plain = calls(repetitions, false), graph = calls(repetitions, true);
    std::printf("%.4f %.4f %.1f %.1f\n", plain, graph, product(n, repetitions, at::kFloat), product(n, repetitions, at::kBFloat16));
}
