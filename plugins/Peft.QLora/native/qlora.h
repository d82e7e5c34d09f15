// The C interface of the plugin's native library: 4-bit matrices over raw pointers, on the processor and, where the library was
// built with nvcc, on CUDA devices on the caller's stream. No libtorch inside. Functions return 0, or an error that
// pq_error_text explains. Element types are libtorch's numbers: 5 float16, 6 float32, 15 bfloat16.
#pragma once
#include <cstdint>

#define PQ_EXPORT extern "C" __attribute__((visibility("default")))

enum pq_type : int32_t { PQ_F16 = 5, PQ_F32 = 6, PQ_BF16 = 15 };

// A matrix of outs x ins values, packed along its rows without regard to their ends: value k is in block k / blocksize and in
// byte k / 2, the even ones in the high nibble.
struct pq_matrix {
    const uint8_t* packed;        // (ceil(count / 2))
    const float* absmax;          // (blocks), or null where the factors are quantised themselves:
    const uint8_t* nested;        // (blocks) codes of the factors
    const float* nested_map;      // (256)
    const float* nested_absmax;   // (ceil(blocks / nested_blocksize))
    const float* code;            // (16) value of each bit pattern
    int64_t count;                // values
    int32_t blocksize;
    int32_t nested_blocksize;
    float nested_offset;
};

// From a value in -1 .. 1 to its bit pattern: how many thresholds it exceeds is its place among the sorted values.
struct pq_levels {
    float thresholds[15];
    uint8_t patterns[16];
};

// What is known of a device, also where it cannot run the kernels; 0 = not known. Compute capability 8.6 is 86, CUDA 12.4 is 12040.
struct pq_device {
    int32_t capability;
    int32_t driver;   // the newest CUDA that the driver runs
    int32_t toolkit;  // that the kernels were built with
};

PQ_EXPORT const char* pq_error_text(int32_t error);

// 0 portable, 1 AVX2, 2 AVX-512; a negative one asks for the best (level.h). Returns the level in use.
PQ_EXPORT int32_t pq_level(int32_t wanted);

PQ_EXPORT int32_t pq_quantise(const void* x, int32_t type, int64_t count, int32_t blocksize, const pq_levels* levels, uint8_t* packed, float* absmax, int32_t threads);
PQ_EXPORT int32_t pq_decode(const pq_matrix* matrix, void* out, int32_t type, int32_t threads);
// y = x matrix^T for a few rows of x; sums in float32, matrix values rounded to bfloat16 first where that is the type of arithmetic.
PQ_EXPORT int32_t pq_product(const pq_matrix* matrix, int64_t outs, int64_t ins, const float* x, int64_t rows, float* y, int32_t type, int32_t threads);
// Nearest entry of a sorted map of 256 for each x / absmax of its block; ties go to the lower entry. A block of zeros has absmax 0.
PQ_EXPORT int32_t pq_quantise8(const float* x, int64_t count, int32_t blocksize, const float* map, uint8_t* q, float* absmax);

// The same on a CUDA device: matrix, x and y in its memory, levels in the processor's. pq_has_cuda is 0 where nvcc was not there.
PQ_EXPORT int32_t pq_has_cuda(void);
// Whether a device can run the kernels: an error of CUDA's where they were not built for it, or where its driver is too old.
PQ_EXPORT int32_t pq_cuda_probe(int32_t device, pq_device* about);
PQ_EXPORT int32_t pq_cuda_quantise(const void* x, int32_t type, int64_t count, int32_t blocksize, const pq_levels* levels, uint8_t* packed, float* absmax, int32_t device, void* stream);
PQ_EXPORT int32_t pq_cuda_decode(const pq_matrix* matrix, void* out, int32_t type, int32_t device, void* stream);
PQ_EXPORT int32_t pq_cuda_product(const pq_matrix* matrix, int64_t outs, int64_t ins, const void* x, int64_t rows, void* y, int32_t type, int32_t device, void* stream);

// The CUDA kernels' bodies, run block by block and thread by thread on the processor: blocks first to end of the grid, or to its last.
PQ_EXPORT int32_t pq_emulated_quantise(const void* x, int32_t type, int64_t count, int32_t blocksize, const pq_levels* levels, uint8_t* packed, float* absmax, int64_t first, int64_t end);
PQ_EXPORT int32_t pq_emulated_decode(const pq_matrix* matrix, void* out, int32_t type, int64_t first, int64_t end);
PQ_EXPORT int32_t pq_emulated_product(const pq_matrix* matrix, int64_t outs, int64_t ins, const void* x, int64_t rows, void* y, int32_t type, int64_t first, int64_t end);
