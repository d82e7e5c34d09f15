// What the merge kernels share: blocks of a tensor as float, masks of one bit per entry, and Philox4x32-10 (Salmon et al. 2011)
// as src/Torch/Extras/Philox.cs has it. Plain loops, of which g++ makes vectors for each instruction set.
#pragma once
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "instructions.h"
#include "pool.h"

namespace pa {
namespace merge {

using at::Tensor;

constexpr int64_t kBlock = 2048;     // entries that are converted at a time: a few arrays of this size fit into the first cache
constexpr int64_t kTask = 1 << 16;   // entries of one task; sums are added task by task, so that threads do not change them
static_assert(kTask % kBlock == 0 && kBlock % 64 == 0, "masks are words of 64 bits");

inline int64_t tasks_of(int64_t n) { return (n + kTask - 1) / kTask; }

// Runs body(worker, task, begin, end) for every task of n entries, on the threads of pool.h: libtorch's parallel_for is serial in a library
// that is not compiled with libtorch's own OpenMP.
template <typename F>
void for_workers(int64_t n, F&& body) {
    int64_t tasks = tasks_of(n), count = std::min<int64_t>(at::get_num_threads(), tasks);
    std::atomic<int64_t> next{0};
    parallel(count, [&](int64_t worker) {
        for (int64_t task; (task = next.fetch_add(1)) < tasks;) body(worker, task, task * kTask, std::min(n, (task + 1) * kTask));
    });
}

// The same without the worker.
template <typename F>
void for_tasks(int64_t n, F&& body) {
    for_workers(n, [&](int64_t, int64_t task, int64_t begin, int64_t end) { body(task, begin, end); });
}

void widen(const c10::BFloat16* x, float* out, int64_t n);
void narrow(const float* x, c10::BFloat16* out, int64_t n);

// A contiguous tensor on the processor that is read as float, block by block.
class Source {
public:
    explicit Source(const Tensor& tensor) : data_(static_cast<const char*>(tensor.data_ptr())), type_(tensor.scalar_type()) {}

    // n <= kBlock entries from `at`; in `scratch` where they need converting.
    const float* read(int64_t at, int64_t n, float* scratch) const {
        switch (type_) {
            case at::kFloat: return reinterpret_cast<const float*>(data_) + at;
            case at::kBFloat16: widen(reinterpret_cast<const c10::BFloat16*>(data_) + at, scratch, n); return scratch;
            case at::kHalf: return convert(reinterpret_cast<const c10::Half*>(data_) + at, n, scratch);
            default: return convert(reinterpret_cast<const double*>(data_) + at, n, scratch);
        }
    }

private:
    template <typename T>
    static const float* convert(const T* x, int64_t n, float* scratch) {
        for (int64_t k = 0; k < n; k++) scratch[k] = static_cast<float>(x[k]);
        return scratch;
    }

    const char* data_;
    at::ScalarType type_;
};

inline void store(const Tensor& out, int64_t at, const float* values, int64_t n) {
    switch (out.scalar_type()) {
        case at::kFloat: std::memcpy(out.data_ptr<float>() + at, values, n * sizeof(float)); break;
        case at::kBFloat16: narrow(values, out.data_ptr<c10::BFloat16>() + at, n); break;
        case at::kHalf: for (int64_t k = 0; k < n; k++) out.data_ptr<c10::Half>()[at + k] = static_cast<c10::Half>(values[k]); break;
        default: for (int64_t k = 0; k < n; k++) out.data_ptr<double>()[at + k] = values[k];
    }
}

// Contiguous tensors of one shape and types that Source and store know on the processor, or an error that says which is not. A task must not throw.
std::vector<Tensor> checked(at::TensorList inputs, const char* what);
void check_type(at::ScalarType type, const char* what);

}  // namespace merge
}  // namespace pa
