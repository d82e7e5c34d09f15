// CUDA kernels as functions of a block of threads that compile for device and host. A body is a row of phases: each(f) runs f for
// every thread, sync() stands between phases, and what outlives a phase lies in the block's shared memory. On a device a phase is
// one call per thread; on the processor (emulate) it is a loop over the threads, so the same bodies run in every test. There what a
// device does not promise differs on purpose: shared memory begins as NaN, every other block runs its threads backwards. A phase that
// no sync() parts from the one before ends the program, and so does what is written beyond a block's shared memory, more blocks than a
// grid has, and an address that a device cannot read at once (eight.h).
#pragma once
#include <vector>

#include "eight.h"

namespace pq {

struct HostBlock {
    int64_t index;
    int threads;
    float* shared;
    bool* apart;
    template <typename F>
    void each(F f) const {
        require(*apart, "has two phases without sync() between");
        *apart = false;
        for (int t = 0; t < threads; t++) f(index % 2 ? threads - 1 - t : t);
    }
    void sync() const { *apart = true; }
};

constexpr int64_t kMostBlocks = 0x7fffffff;  // of a grid's first dimension

// Blocks first to end of a grid.
template <typename Body>
void emulate(int64_t first, int64_t end, int threads, size_t shared, Body body) {
    constexpr size_t kBeyond = 64;
    require(end <= kMostBlocks, "has more blocks than a grid");
    for (int64_t b = first; b < end; b++) {
        std::vector<float> memory(shared + kBeyond, NAN);
        bool apart = true;
        body(HostBlock{b, threads, memory.data(), &apart});
        for (size_t k = shared; k < memory.size(); k++) require(std::isnan(memory[k]), "writes beyond its block's shared memory");
    }
}

#ifdef __CUDACC__
struct DeviceBlock {
    int64_t index;
    int threads;
    float* shared;
    // Bodies are for both sides, so these are too; on the host's side nothing calls them.
    template <typename F>
    __host__ __device__ __forceinline__ void each(F f) const {
#ifdef __CUDA_ARCH__
        f(int(threadIdx.x));
#else
        (void)f;
#endif
    }
    __host__ __device__ __forceinline__ void sync() const {
#ifdef __CUDA_ARCH__
        __syncthreads();
#endif
    }
};
#define PQ_KERNEL template <typename Block> __host__ __device__ __forceinline__ void
#define PQ_PHASE __attribute__((always_inline))  // what a phase that is called takes with it would lie in memory
#else
#define PQ_KERNEL template <typename Block> inline void
#define PQ_PHASE
#endif

}  // namespace pq
